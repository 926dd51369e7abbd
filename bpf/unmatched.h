/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Why a packet has no sample: what its slot's note tells of it. */
#ifndef WEFT_UNMATCHED_H
#define WEFT_UNMATCHED_H

#include "latency_maps.h"
#include "notes.h"

#define WEFT_EVICTED_NS 10000000ULL

static __always_inline enum weft_segment_kind weft_why_unmatched(const struct __sk_buff *skb,
								 const struct weft_latency_cpu *cpu, __u64 id,
								 int known, __u64 now)
{
	const struct weft_packet *packet = &cpu->packet;
	const struct weft_hop *last = &cpu->last;
	__u64 age = now - last->time_ns;

	if (known)
		return WEFT_UNMATCHED_TRANSITION;
	if (skb->pkt_type == 1 || skb->pkt_type == 2) /* PACKET_BROADCAST, PACKET_MULTICAST */
		return WEFT_UNMATCHED_CLONED;
	if ((__u32)last->key == weft_tag(id) && last->label == weft_label(packet) && age < WEFT_HOP_MAX_NS) {
		if (packet->payload_length > last->length)
			return WEFT_UNMATCHED_MERGED;
		if (packet->payload_length < last->length)
			return WEFT_UNMATCHED_SEGMENTED;
	}
	if ((__u32)last->key != weft_tag(id) && last->time_ns && age < WEFT_EVICTED_NS)
		return WEFT_UNMATCHED_EVICTED;
	if (knobs.egress && packet->flags & WEFT_INNER && packet->payload_length)
		return WEFT_UNMATCHED_SEGMENTED;
	return WEFT_UNMATCHED_UNSEEN;
}

#endif
