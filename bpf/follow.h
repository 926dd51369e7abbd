/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Following a packet from hook to hook, past address translation: slots.h holds where it was, faces.h what
 * its connection looks like before and after.
 */
#ifndef WEFT_FOLLOW_H
#define WEFT_FOLLOW_H

#include "details.h"
#include "maps.h"
#include "packet.h"
#include "pointer.h"

/* 0: neither is this skb's pointer in its slot, nor was any packet translated. */
static __always_inline int weft_might_be_followed(struct __sk_buff *skb)
{
	__u32 zero = 0;
	const struct weft_shared *state = bpf_map_lookup_elem(&shared, &zero);
	const struct weft_slot *slot;
	__u64 id;

	if (!state)
		return 0;
	id = weft_pointer_id(skb, state);
	slot = weft_slot_of(id);
	return state->faces_used || (slot && weft_slot_tag(slot) == weft_tag(id));
}

static __always_inline void weft_fill_slot(struct weft_slot *slot, struct __sk_buff *skb, __u64 id,
					   const struct weft_packet *packet, __u32 subscribers)
{
	__u64 fragment = packet->flags & WEFT_FRAGMENT ? 1 : 0;
	const __u64 *source = (const __u64 *)packet->source;
	const __u64 *destination = (const __u64 *)packet->destination;
	__u32 body = weft_body(packet);
	struct weft_slot here = {
		.key = bpf_jiffies64() << 32 | weft_tag(id),
		.place = fragment << 56 | (__u64)packet->protocol << 48 | (__u64)knobs.hook_set << 32 |
			 skb->ifindex,
		.flow = (__u64)packet->destination_port << 48 | (__u64)packet->source_port << 32 |
			subscribers,
		.source = {source[0], source[1]},
		.destination = {destination[0], destination[1]},
	};

	here.check = (__u64)body << 32 | weft_seal(&here, body, knobs.netns, id, weft_label(packet));
	weft_copy_slot(slot, &here);
}

static __always_inline int weft_is_icmp(__u8 protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

/* ICMP's destination port is type and code, which the reply has otherwise. */
static __always_inline void weft_set_face(struct weft_face *face, __u8 protocol, const void *source,
					  const void *destination, __u16 source_port, __u16 destination_port)
{
	face->netns = knobs.netns;
	face->protocol = protocol;
	face->source_port = source_port;
	face->destination_port = weft_is_icmp(protocol) ? source_port : destination_port;
	weft_copy_address(face->source, source);
	weft_copy_address(face->destination, destination);
}

static __always_inline void weft_reverse_face(struct weft_face *face)
{
	__u16 port = face->source_port;

	face->source_port = face->destination_port;
	face->destination_port = port;
	for (int i = 0; i < 4; i++) {
		__u32 word = face->source[i];

		face->source[i] = face->destination[i];
		face->destination[i] = word;
	}
}

/* Adds to what is there: another subscriber may follow the same connection. */
static __always_inline void weft_remember_face(const struct weft_face *face, __u32 subscribers)
{
	__u32 *known = bpf_map_lookup_elem(&faces, face);

	if (known)
		__sync_fetch_and_or(known, subscribers);
	else
		bpf_map_update_elem(&faces, face, &subscribers, BPF_ANY);
}

static __always_inline void weft_remember_both_ways(struct weft_face *face, __u32 subscribers)
{
	weft_remember_face(face, subscribers);
	weft_reverse_face(face);
	weft_remember_face(face, subscribers);
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

static __always_inline void weft_remember_faces(struct weft_shared *state, struct weft_face *face,
						const struct weft_slot *last,
						const struct weft_packet *packet, __u32 subscribers)
{
	weft_set_face(face, weft_slot_protocol(last), last->source, last->destination,
		      weft_slot_source_port(last), weft_slot_destination_port(last));
	weft_remember_both_ways(face, subscribers);
	weft_set_face(face, packet->protocol, packet->source, packet->destination, packet->source_port,
		      packet->destination_port);
	weft_remember_both_ways(face, subscribers);
	if (weft_slot_is_fragment(last) || packet->flags & WEFT_FRAGMENT) {
		/* Later fragments will be looked up without ports. */
		face->source_port = 0;
		face->destination_port = 0;
		weft_remember_both_ways(face, subscribers);
	}
	state->faces_used = 1;
}

static __always_inline __u32 weft_match_face(struct weft_face *face, const struct weft_packet *packet)
{
	__u32 *subscribers;

	weft_set_face(face, packet->protocol, packet->source, packet->destination, packet->source_port,
		      packet->destination_port);
	subscribers = bpf_map_lookup_elem(&faces, face);
	return subscribers ? *subscribers : 0;
}

#endif
