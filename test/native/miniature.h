/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A tracer reduced to its counters and its records, whatever ring they go into. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct knobs {
	__u32 answer;
	__u32 mark;
};

enum mood { MOOD_CALM = 3, MOOD_WILD = 7 };

struct record {
	__u64 time_ns;
	__u64 number; /* counts up on each CPU */
	__u32 cpu;
	__u32 mark;
	struct {
		__u16 low;
		__u16 high;
	} nested;
	__u32 length;
};

struct counters {
	__u64 matched;
	__u64 emitted;
	__u64 ring_full;
	enum mood mood;
};

volatile const struct knobs knobs;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

static __always_inline void fill(struct record *record, struct __sk_buff *skb, struct counters *count)
{
	*record = (struct record){
		.time_ns = bpf_ktime_get_ns(),
		.number = count->emitted++,
		.cpu = bpf_get_smp_processor_id(),
		.mark = knobs.mark,
		.length = skb->len,
	};
}

SEC("tc")
int noop(struct __sk_buff *skb __attribute__((unused)))
{
	return -1;
}
