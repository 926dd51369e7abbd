/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Notes on the tc hooks where each packet was seen last, and nothing else: for drops.bpf.c, when no tracer runs.
 * Instances are as those of the tracer; rules, sampling and subscribers are not looked at.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "subject.h" /* first: says what a weft_skb is */
#include "details.h"
#include "parse.h"
#include "sightings.h"

#define WEFT_NEXT (-1) /* see trace.bpf.c */

char LICENSE[] SEC("license") = "GPL";

/* Working memory, see weft_cpu. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_packet);
} packets SEC(".maps");

SEC("tc")
int weft_whereabouts(struct __sk_buff *skb)
{
	__u32 zero = 0;
	const struct weft_shared *state = bpf_map_lookup_elem(&shared, &zero);
	struct weft_packet *packet = bpf_map_lookup_elem(&packets, &zero);
	struct weft_slot *slot;
	__u64 id;

	if (!state || !packet)
		return WEFT_NEXT;
	id = weft_pointer_id(skb, state);
	slot = weft_slot_of(id);
	if (!slot)
		return WEFT_NEXT;
	weft_parse(skb, packet);
	weft_read_details(skb, packet);
	weft_fill_slot(slot, skb, id, packet, 0);
	return WEFT_NEXT;
}

/* Swapped in before hooks are taken away, as the tracer's. */
SEC("tc")
int weft_noop(struct __sk_buff *skb)
{
	(void)skb;
	return WEFT_NEXT;
}
