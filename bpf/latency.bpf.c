/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The stopwatch on the tc hooks: no packet goes to user space. Each hook looks up where and when it saw this
 * very packet last, counts the time since then into the histogram of that pair of hooks, and leaves a note for
 * the next hook. Instances are as those of the tracer; rules, sampling and subscribers are not looked at.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "subject.h" /* first: says what a weft_skb is */
#include "brief.h"
#include "histograms.h"
#include "latency_maps.h"
#include "notes.h"
#include "pointer.h"
#include "segments.h"
#include "unmatched.h"

#define WEFT_NEXT (-1) /* see trace.bpf.c */

char LICENSE[] SEC("license") = "GPL";

/* One class of hooks, or 0: user space has not named the place. */
static __always_inline __u32 weft_class_of(struct weft_latency_cpu *cpu, __u32 hook_set, __u32 ifindex)
{
	__u32 *class;

	cpu->class_key = ifindex | (__u64)hook_set << 32;
	class = bpf_map_lookup_elem(&classes, &cpu->class_key);
	return class ? *class : 0;
}

/*
 * A sample (weft_latency_cpu.wanted, rest_ns) for which there was no room of its own. Global, so that the verifier looks at it
 * once. 0: no room here either.
 */
__noinline int weft_count_rest(void)
{
	__u32 zero = 0;
	struct weft_latency_cpu *cpu = bpf_map_lookup_elem(&latency_cpus, &zero);
	struct weft_histogram *histogram;
	struct weft_segment *wanted;
	__u32 index;

	if (!cpu)
		return 0;
	wanted = &cpu->wanted;
	wanted->from_ifindex = weft_class_of(cpu, wanted->from_hook_set, wanted->from_ifindex);
	wanted->to_ifindex = weft_class_of(cpu, wanted->to_hook_set, wanted->to_ifindex);
	if (!wanted->from_ifindex || !wanted->to_ifindex)
		return 0;
	wanted->from_hook_set = 0;
	wanted->to_hook_set = 0;
	wanted->group = WEFT_GROUP_OTHER;
	index = weft_find_segment(wanted, knobs.segment_mask + 1, WEFT_REST_SEGMENTS - 1);
	histogram = bpf_map_lookup_elem(&histograms, &index);
	if (!histogram)
		return 0;
	weft_add_sample(histogram, cpu->rest_ns);
	return 1;
}

/* One packet into the segment from a place to here, of its group. */
static __always_inline void weft_count_sample(struct __sk_buff *skb, struct weft_latency_cpu *cpu,
					      struct weft_latency_counters *count,
					      enum weft_segment_kind kind, __u64 from, __u64 ns)
{
	struct weft_segment *wanted = &cpu->wanted;
	struct weft_histogram *histogram;
	__u32 index;

	wanted->from_ifindex = from;
	wanted->from_hook_set = from >> 32;
	wanted->to_ifindex = skb->ifindex;
	wanted->to_hook_set = knobs.hook_set;
	wanted->kind = kind;
	wanted->group = weft_group_of(&cpu->packet);
	index = weft_find_segment(wanted, 0, knobs.segment_mask);
	histogram = bpf_map_lookup_elem(&histograms, &index);
	if (histogram) {
		weft_add_sample(histogram, ns);
		return;
	}
	cpu->rest_ns = ns;
	if (!weft_count_rest() && kind == WEFT_SEGMENT_HOP)
		count->untracked++;
}

static __always_inline void weft_count_unmatched(struct __sk_buff *skb, struct weft_latency_cpu *cpu,
						 struct weft_latency_counters *count,
						 enum weft_segment_kind why)
{
	struct weft_segment *wanted = &cpu->wanted;
	struct weft_reasons *counts;
	__u32 index;

	wanted->from_ifindex = 0;
	wanted->from_hook_set = 0;
	wanted->to_ifindex = skb->ifindex;
	wanted->to_hook_set = knobs.hook_set;
	wanted->kind = WEFT_SEGMENT_REASONS;
	wanted->group = WEFT_GROUP_NONE;
	index = weft_find_segment(wanted, knobs.segment_mask + 1 + WEFT_REST_SEGMENTS, knobs.hook_mask) -
		(knobs.segment_mask + 1 + WEFT_REST_SEGMENTS);
	counts = bpf_map_lookup_elem(&reasons, &index);
	if (counts && why < WEFT_SEGMENT_KINDS)
		counts->count[why]++;
	else
		count->untracked++;
}

static __always_inline void weft_measure(struct __sk_buff *skb, struct weft_latency_cpu *cpu,
					 struct weft_latency_counters *count, const void *base)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 id = weft_pointer_id(skb, base);
	__u32 index = id & (WEFT_HOPS - 1);
	struct weft_hop *hop = bpf_map_lookup_elem(&hops, &index);
	struct weft_hop *last = &cpu->last;
	int known;

	if (!hop)
		return;
	weft_read_fingerprint(skb, &cpu->packet);
	weft_copy_hop(last, hop);
	known = weft_is_known(last, id, &cpu->packet, now);
	if (!known || !weft_is_transition(skb, last)) {
		weft_leave_note(hop, skb, id, now, &cpu->packet, 0);
		weft_count_unmatched(skb, cpu, count, weft_why_unmatched(skb, cpu, id, known, now));
		return;
	}
	weft_leave_note(hop, skb, id, now, &cpu->packet, last);
	weft_count_sample(skb, cpu, count, WEFT_SEGMENT_HOP, last->place, now - last->time_ns);
	if (knobs.transit && knobs.egress && last->first_place != last->place)
		weft_count_sample(skb, cpu, count, WEFT_SEGMENT_TRANSIT, last->first_place,
				  now - last->first_time_ns);
}

SEC("tc")
int weft_latency(struct __sk_buff *skb)
{
	__u32 zero = 0, hook_set = knobs.hook_set;
	struct weft_latency_counters *count = bpf_map_lookup_elem(&latency_counters, &hook_set);
	struct weft_latency_cpu *cpu = bpf_map_lookup_elem(&latency_cpus, &zero);
	const void *base = bpf_map_lookup_elem(&anchor, &zero);

	if (!count || !cpu || !base)
		return WEFT_NEXT;
	count->seen++;
	weft_measure(skb, cpu, count, base);
	return WEFT_NEXT;
}

/* Swapped in before hooks are taken away, as the tracer's. */
SEC("tc")
int weft_noop(struct __sk_buff *skb)
{
	(void)skb;
	return WEFT_NEXT;
}

SEC("tc")
int weft_retire_segment(struct __sk_buff *skb)
{
	weft_exchange_hash(skb, WEFT_SEGMENT_RETIRED);
	return WEFT_NEXT;
}

SEC("tc")
int weft_free_segment(struct __sk_buff *skb)
{
	weft_exchange_hash(skb, 0);
	return WEFT_NEXT;
}
