/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The slots: filled by who sees packets, looked up by whoever wants to know where one was seen last. */
#ifndef WEFT_SIGHTINGS_H
#define WEFT_SIGHTINGS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "event.h"
#include "faces.h"
#include "fingerprint.h"
#include "packet.h"
#include "pointer.h"
#include "slots.h"

/* What all instances share. */
struct weft_shared {
	__u32 faces_used; /* not 0: `faces` may hold something */
	__u32 padding;
	__u8 marks[WEFT_MARKS];     /* see faces.h */
	struct weft_event event[0]; /* no storage: brings the layout into the object's BTF */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_shared);
} shared SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WEFT_SLOTS);
	__type(key, __u32);
	__type(value, struct weft_slot);
} slots SEC(".maps");

/* In jiffies, so 1 s to 10 s: what was not seen for longer is not followed any more. */
#define WEFT_FOLLOW_JIFFIES 1024
/* A neighbour is asked for three seconds and more before what waits for it is thrown away (net/core/neighbour.c). */
#define WEFT_DROP_JIFFIES (16 * WEFT_FOLLOW_JIFFIES)

/* A slot's seal, before weft_finish: linear in each of the slot's words, so that it can go along with a change of some. */
static __always_inline __u64 weft_sum(const struct weft_slot *slot, __u32 body, __u32 netns, __u64 id,
				      __u64 label)
{
	return (id ^ netns) * WEFT_ODD_4 + label * WEFT_ODD_1 + body * WEFT_ODD_2 + slot->key * WEFT_ODD_5 +
	       slot->place * WEFT_ODD_6 + slot->flow * WEFT_ODD_7 + slot->source[0] * WEFT_ODD_8 +
	       slot->source[1] * WEFT_ODD_1 + slot->destination[0] * WEFT_ODD_3 +
	       slot->destination[1] * WEFT_ODD_2;
}

static __always_inline struct weft_slot *weft_slot_of(__u64 id)
{
	__u32 index = id & (WEFT_SLOTS - 1);

	return bpf_map_lookup_elem(&slots, &index);
}

static __always_inline void weft_copy_slot(volatile struct weft_slot *to,
					   const volatile struct weft_slot *from)
{
	to->check = from->check;
	to->key = from->key;
	to->place = from->place;
	to->flow = from->flow;
	to->source[0] = from->source[0];
	to->source[1] = from->source[1];
	to->destination[0] = from->destination[0];
	to->destination[1] = from->destination[1];
}

/*
 * Fills `last` and its `sum` and returns 1 when this very packet was seen at an earlier hook, not longer ago than
 * `patience`, in jiffies. Needs the packet's details.
 */
static __always_inline int weft_find_slot(const struct weft_slot *slot, struct weft_slot *last, __u64 *sum,
					  __u64 id, __u32 netns, const struct weft_packet *packet,
					  __u32 patience)
{
	weft_copy_slot(last, slot);
	if ((__u32)bpf_jiffies64() - weft_slot_jiffies(last) > patience)
		return 0;
	*sum = weft_sum(last, weft_slot_body(last), netns, id, weft_label(packet));
	if (weft_slot_seal(last) != (__u32)weft_finish(*sum))
		return 0;
	return weft_slot_is_fragment(last) || packet->flags & WEFT_FRAGMENT ||
	       weft_slot_body(last) == weft_body(packet);
}

/* This packet was seen here. Needs its details. */
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

	here.check = (__u64)body << 32 |
		     (__u32)weft_finish(weft_sum(&here, body, knobs.netns, id, weft_label(packet)));
	weft_copy_slot(slot, &here);
}

/* A packet that was found with the same addresses, ports and subscribers: only when and where are new. */
static __always_inline void weft_move_slot(volatile struct weft_slot *slot, const struct weft_slot *last,
					   __u64 sum, const struct __sk_buff *skb)
{
	__u64 key = bpf_jiffies64() << 32 | weft_slot_tag(last);
	__u64 place = (last->place >> 48) << 48 | (__u64)knobs.hook_set << 32 | skb->ifindex;

	sum += (key - last->key) * WEFT_ODD_5 + (place - last->place) * WEFT_ODD_6;
	slot->check = (__u64)weft_slot_body(last) << 32 | (__u32)weft_finish(sum);
	slot->key = key;
	slot->place = place;
}

#endif
