/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Following a packet from hook to hook, past address translation: slots.h holds where it was, translation.h
 * what its connection looks like before and after.
 */
#ifndef WEFT_FOLLOW_H
#define WEFT_FOLLOW_H

#include "details.h"
#include "maps.h"
#include "packet.h"
#include "pointer.h"
#include "translation.h"

/* Of a plain packet. 0: neither is its pointer in its slot, nor is its connection one that was translated. */
static __always_inline int weft_might_be_followed(struct __sk_buff *skb)
{
	__u32 zero = 0;
	const struct weft_shared *state = bpf_map_lookup_elem(&shared, &zero);
	const struct weft_slot *slot;
	__u64 id;

	if (!state)
		return 0;
	if (state->faces_used && weft_plain_might_have_face(skb, state))
		return 1;
	id = weft_pointer_id(skb, state);
	slot = weft_slot_of(id);
	return slot && weft_slot_tag(slot) == weft_tag(id);
}

static __always_inline int weft_is_translated(const struct weft_slot *last, const struct weft_packet *packet)
{
	const __u64 *source = (const __u64 *)packet->source;
	const __u64 *destination = (const __u64 *)packet->destination;

	if (weft_slot_protocol(last) != packet->protocol)
		return 0;
	if (last->source[0] != source[0] || last->source[1] != source[1] ||
	    last->destination[0] != destination[0] || last->destination[1] != destination[1])
		return 1;
	if (weft_slot_is_fragment(last) || packet->flags & WEFT_LATER_FRAGMENT)
		return 0; /* one of them has no ports to compare */
	return weft_slot_source_port(last) != packet->source_port ||
	       weft_slot_destination_port(last) != packet->destination_port;
}

#endif
