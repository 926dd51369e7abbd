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

/* `from`: a place, 0 for unmatched. One packet into one segment, of its group or of the group "other". */
static __always_inline void weft_count(struct __sk_buff *skb, struct weft_latency_cpu *cpu,
				       struct weft_latency_counters *count, enum weft_segment_kind kind,
				       __u64 from, __u64 ns)
{
	struct weft_segment *wanted = &cpu->wanted;
	struct weft_histogram *histogram;

	wanted->from_ifindex = from;
	wanted->from_hook_set = from >> 32;
	wanted->to_ifindex = skb->ifindex;
	wanted->to_hook_set = knobs.hook_set;
	wanted->kind = kind;
	wanted->group = weft_group_of(&cpu->packet);
	histogram = weft_find_histogram(wanted, &cpu->packet);
	if (!histogram && knobs.group_by != WEFT_GROUP_NONE) {
		wanted->group = WEFT_GROUP_OTHER;
		histogram = weft_find_histogram(wanted, &cpu->packet);
	}
	if (!histogram)
		count->untracked++;
	else if (kind > WEFT_SEGMENT_TRANSIT)
		histogram->count++;
	else
		weft_add_sample(histogram, ns);
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
		weft_count(skb, cpu, count, weft_why_unmatched(skb, cpu, id, known, now), 0, 0);
		return;
	}
	weft_leave_note(hop, skb, id, now, &cpu->packet, last);
	weft_count(skb, cpu, count, WEFT_SEGMENT_HOP, last->place, now - last->time_ns);
	if (knobs.transit && knobs.egress && last->first_place != last->place)
		weft_count(skb, cpu, count, WEFT_SEGMENT_TRANSIT, last->first_place,
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
