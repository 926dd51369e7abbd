/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The tracer on the tc hooks: one event for each packet that a rule wants, or that was wanted at an earlier
 * hook. It reads and returns "next": nothing is written, marked or reshaped.
 *
 * One instance is loaded for each (namespace, direction, with or without a link header); which one it is,
 * and what it looks for, is in `knobs`.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "subject.h" /* first: says what a weft_skb is */
#include "emit.h"
#include "follow.h"
#include "maps.h"
#include "prefilter.h"
#include "rules.h"
#include "sample.h"

#define WEFT_NEXT (-1) /* TCX_NEXT, and TC_ACT_UNSPEC for clsact */

char LICENSE[] SEC("license") = "GPL";

static __always_inline void weft_count_parse(struct weft_counters *count, const struct weft_packet *packet)
{
	__u32 cause = packet->parse;

	if (cause == WEFT_PARSE_OK)
		return;
	asm volatile("" : "+r"(cause)); /* the verifier must see the register bounded that is the index */
	if (cause < WEFT_PARSE_CAUSES)
		count->unparseable[cause]++;
}

/* Without following: what the rules say is all there is. */
static __always_inline void weft_trace_matching(struct __sk_buff *skb, struct weft_cpu *cpu,
						struct weft_counters *count, const void *anchor)
{
	struct weft_packet *packet = &cpu->packet;
	__u32 subscribers = weft_match_rules(skb, cpu);

	if (!subscribers)
		return;
	weft_read_details(skb, packet);
	if (!weft_is_sampled(packet)) {
		count->unsampled++;
		return;
	}
	weft_emit(skb, cpu, count, weft_pointer_id(skb, anchor), subscribers, 0);
}

static __always_inline void weft_trace_following(struct __sk_buff *skb, struct weft_cpu *cpu,
						 struct weft_counters *count, struct weft_shared *state)
{
	struct weft_packet *packet = &cpu->packet;
	__u64 id = weft_pointer_id(skb, state);
	struct weft_slot *slot = weft_slot_of(id);
	__u32 matched = weft_match_rules(skb, cpu);
	__u32 faced = 0, subscribers;
	int found = 0, translated;
	__u64 sum = 0;

	if (!slot)
		return;
	if (state->faces_used)
		faced = weft_match_face(state, &cpu->face, packet);
	subscribers = matched | faced;
	if (!subscribers && weft_slot_tag(slot) != weft_tag(id))
		return;
	weft_read_details(skb, packet);
	if (weft_slot_tag(slot) == weft_tag(id))
		found = weft_find_slot(slot, &cpu->slot, &sum, id, knobs.netns, packet, WEFT_FOLLOW_JIFFIES);
	if (found)
		subscribers |= weft_slot_subscribers(&cpu->slot);
	if (!subscribers)
		return;
	/* A face that all these subscribers know was remembered with its other side. */
	translated = found && weft_is_translated(&cpu->slot, packet);
	if (translated && subscribers & ~faced)
		weft_remember_faces(state, &cpu->face, &cpu->slot, packet, subscribers);
	if (!weft_is_sampled(packet)) {
		count->unsampled++;
		return;
	}
	if (found && !translated && weft_slot_subscribers(&cpu->slot) == subscribers &&
	    !(weft_slot_is_fragment(&cpu->slot) | (packet->flags & WEFT_FRAGMENT)))
		weft_move_slot(slot, &cpu->slot, sum, skb);
	else
		weft_fill_slot(slot, skb, id, packet, subscribers);
	weft_emit(skb, cpu, count, id, subscribers, matched ? 0 : WEFT_FOLLOWED);
}

SEC("tc")
int weft_trace(struct __sk_buff *skb)
{
	__u32 zero = 0, hook_set = knobs.hook_set;
	struct weft_counters *count = bpf_map_lookup_elem(&counters, &hook_set);
	struct weft_shared *state;
	struct weft_cpu *cpu;

	if (!count)
		return WEFT_NEXT;
	count->seen++;
	if (weft_is_nobodys(skb) && !(knobs.follow && weft_might_be_followed(skb)))
		return WEFT_NEXT;
	state = bpf_map_lookup_elem(&shared, &zero);
	cpu = bpf_map_lookup_elem(&cpus, &zero);
	if (!cpu || !state)
		return WEFT_NEXT;
	weft_parse(skb, &cpu->packet);
	weft_count_parse(count, &cpu->packet);
	if (knobs.follow)
		weft_trace_following(skb, cpu, count, state);
	else
		weft_trace_matching(skb, cpu, count, state);
	return WEFT_NEXT;
}

/* Swapped in before hooks are taken away: an update costs a microsecond, a removal milliseconds. */
SEC("tc")
int weft_noop(struct __sk_buff *skb)
{
	(void)skb;
	return WEFT_NEXT;
}
