/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What test/bpf/cost.ts measures beside the programs: the least that an event or a latency hop can cost on a machine.
 * On one whose every return inside the kernel is mitigated (SRSO) the clock and the ring alone can be a whole budget.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define NEXT (-1)
#define RECORD 128 /* sizeof(struct weft_event) */

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

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
	__u64 *record = bpf_ringbuf_reserve(&ring, RECORD, 0);
	__u32 zero = 0;
	__u64 *lost;

	(void)skb;
	if (record) {
		record[0] = bpf_ktime_get_ns();
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
		return NEXT;
	}
	lost = bpf_map_lookup_elem(&full, &zero);
	if (lost)
		++*lost;
	return NEXT;
}
