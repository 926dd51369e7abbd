/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Programs for the addon's own tests: a tracer reduced to ring and counters, a no-op, and what others may have attached. */
#include "miniature.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_RINGBUF);
		__uint(max_entries, 4096);
	});
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct record);
} table SEC(".maps");

SEC("tc")
int emit(struct __sk_buff *skb)
{
	__u32 cpu = bpf_get_smp_processor_id(), zero = 0;
	struct counters *count = bpf_map_lookup_elem(&counters, &zero);
	void *ring = bpf_map_lookup_elem(&rings, &cpu);
	struct record *record;

	if (!count || !ring)
		return -1;
	count->matched++;
	record = bpf_ringbuf_reserve(ring, sizeof(*record), 0);
	if (!record) {
		count->ring_full++;
		return -1;
	}
	fill(record, skb, count);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return -1;
}

SEC("tc")
int answer(struct __sk_buff *skb __attribute__((unused)))
{
	return knobs.answer;
}

/* Ends the chain of TCX programs: whoever is attached behind it sees nothing. */
SEC("tc")
int pass(struct __sk_buff *skb __attribute__((unused)))
{
	return TC_ACT_OK;
}
