/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What one hook leaves for the next: when and where it saw a packet. Nothing locks the notes: each is sealed by a hash
 * of all of it, of the pointer, the fingerprint and the namespace, as slots.h says of the tracer's.
 */
#ifndef WEFT_NOTES_H
#define WEFT_NOTES_H

#include "fingerprint.h"
#include "instance.h"
#include "latency.h"
#include "mix.h"
#include "packet.h"
#include "pointer.h"

#define WEFT_HOP_MAX_NS 10000000000ULL /* an older note is not believed */

static __always_inline __u64 weft_place(const struct __sk_buff *skb)
{
	return skb->ifindex | (__u64)knobs.hook_set << 32 | (__u64)knobs.egress << 48;
}

static __always_inline __u64 weft_check(const struct weft_hop *hop, __u64 id,
					const struct weft_packet *packet)
{
	return weft_finish((id ^ knobs.netns) * WEFT_ODD_1 + weft_body(packet) * WEFT_ODD_2 +
			   hop->label * WEFT_ODD_3 + hop->key * WEFT_ODD_4 + hop->place * WEFT_ODD_5 +
			   hop->time_ns * WEFT_ODD_6 + hop->first_place * WEFT_ODD_7 +
			   hop->first_time_ns * WEFT_ODD_8 + hop->length * WEFT_ODD_1);
}

/* This very packet left the note. */
static __always_inline int weft_is_known(const struct weft_hop *last, __u64 id,
					 const struct weft_packet *packet, __u64 now)
{
	return last->check == weft_check(last, id, packet) && last->label == weft_label(packet) &&
	       now - last->time_ns <= WEFT_HOP_MAX_NS;
}

/*
 * On egress the kernel tells by which device the packet came in: it must be the one by which it was seen to
 * come in. Encapsulation forgets it (skb_scrub_packet), between a tunnel's egress and the NIC's. On ingress it
 * is the device itself, which says nothing.
 */
static __always_inline int weft_is_transition(const struct __sk_buff *skb, const struct weft_hop *last)
{
	if (last->place == weft_place(skb))
		return 0;
	if (!knobs.egress)
		return 1;
	return skb->ingress_ifindex == last->key >> 32 || (skb->ingress_ifindex == 0 && last->place >> 48);
}

static __always_inline void weft_copy_hop(volatile struct weft_hop *to, const volatile struct weft_hop *from)
{
	to->check = from->check;
	to->key = from->key;
	to->place = from->place;
	to->time_ns = from->time_ns;
	to->first_place = from->first_place;
	to->first_time_ns = from->first_time_ns;
	to->label = from->label;
	to->length = from->length;
}

/* Leaves the note for the next hook. `last`: null at the packet's first hook. */
static __always_inline void weft_leave_note(struct weft_hop *hop, struct __sk_buff *skb, __u64 id, __u64 now,
					    const struct weft_packet *packet, const struct weft_hop *last)
{
	struct weft_hop here = {
		.key = weft_tag(id) | (__u64)skb->ingress_ifindex << 32,
		.place = weft_place(skb),
		.time_ns = now,
		.first_place = last ? last->first_place : weft_place(skb),
		.first_time_ns = last ? last->first_time_ns : now,
		.label = weft_label(packet),
		.length = packet->payload_length,
	};

	here.check = weft_check(&here, id, packet);
	weft_copy_hop(hop, &here);
}

#endif
