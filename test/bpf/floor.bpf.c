/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What test/bpf/cost.ts measures beside the programs: the least that an event or a latency hop can cost on a machine.
 * On one whose every return inside the kernel is mitigated (SRSO) the clock and the ring alone can be a whole budget.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../../bpf/event.h"
#include "../../bpf/write_record.h"

#define NEXT (-1)

char LICENSE[] SEC("license") = "GPL";

WEFT_RECORDS(struct weft_event);

/* User space empties nothing: a full ring is told by this. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} full SEC(".maps");

SEC("tc")
int empty(struct __sk_buff *skb)
{
	(void)skb;
	return NEXT;
}

SEC("tc")
int clock_alone(struct __sk_buff *skb)
{
	(void)skb;
	return bpf_ktime_get_ns() == 1 ? 0 : NEXT;
}

SEC("tc")
int record_alone(struct __sk_buff *skb)
{
	struct weft_ring *ring = weft_ring_here();
	struct weft_event *record = ring ? weft_begin_record(ring, &records) : 0;
	__u32 zero = 0;
	__u64 *lost;

	(void)skb;
	if (record) {
		record->time_ns = bpf_ktime_get_ns();
		weft_end_record(ring);
		return NEXT;
	}
	lost = bpf_map_lookup_elem(&full, &zero);
	if (lost)
		++*lost;
	return NEXT;
}
