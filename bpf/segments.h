/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The table of segments: found or taken by packets, given back by user space. */
#ifndef WEFT_SEGMENTS_H
#define WEFT_SEGMENTS_H

#include "groups.h"
#include "latency_maps.h"
#include "mix.h"

/* Writes what the winner of a free entry owes it. */
static __always_inline void weft_describe_segment(struct weft_segment *segment,
						  const struct weft_segment *wanted,
						  const struct weft_packet *packet)
{
	segment->from_ifindex = wanted->from_ifindex;
	segment->to_ifindex = wanted->to_ifindex;
	segment->from_hook_set = wanted->from_hook_set;
	segment->to_hook_set = wanted->to_hook_set;
	segment->group = wanted->group;
	segment->kind = wanted->kind;
	if (knobs.group_by == WEFT_GROUP_FLOW && wanted->group != WEFT_GROUP_OTHER)
		weft_note_flow(segment, packet);
	__sync_lock_test_and_set(&segment->ready, 1); /* an exchange orders what is before it (Linux 5.12) */
}

static __always_inline __u64 weft_hash_segment(const struct weft_segment *wanted)
{
	__u64 ends = (__u64)wanted->from_ifindex << 32 | wanted->to_ifindex;
	__u64 sets = (__u64)wanted->from_hook_set << 32 | wanted->to_hook_set;
	__u64 hash = weft_finish(ends * WEFT_ODD_1 + (sets | (__u64)wanted->kind << 56) * WEFT_ODD_2 +
				 wanted->group * WEFT_ODD_3);

	return hash > WEFT_SEGMENT_RETIRED ? hash : WEFT_SEGMENT_RETIRED + 1;
}

/* Global, so that the verifier looks at it once, and not at all that comes after each way out of the loop. */
__noinline int weft_search_segment(__u32 first, __u32 mask)
{
	__u32 zero = 0;
	struct weft_latency_cpu *cpu = bpf_map_lookup_elem(&latency_cpus, &zero);
	__u32 stride;
	__u64 hash;

	if (!cpu)
		return -1;
	hash = weft_hash_segment(&cpu->wanted);
	stride = hash | 1; /* of each its own: full stretches do not grow together */

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < WEFT_SEGMENT_PROBES; i++) {
		__u32 index = first + (((hash >> 32) + i * stride) & mask);
		struct weft_segment *segment = bpf_map_lookup_elem(&segments, &index);
		__u64 found;

		if (!segment)
			return -1;
		found = segment->hash;
		if (found == 0) {
			found = __sync_val_compare_and_swap(&segment->hash, 0, hash);
			if (found == 0) {
				weft_describe_segment(segment, &cpu->wanted, &cpu->packet);
				found = hash;
			}
		}
		if (found == hash)
			return index;
	}
	return -1;
}

/*
 * The index of the entry of weft_latency_cpu.wanted in the part of the table that begins at `first`, or -1 where it is full. What
 * comes free may be taken by a segment that has an entry further on: then its packets are in two, and user space adds
 * them up.
 */
static __always_inline __u32 weft_find_segment(const struct weft_segment *wanted, __u32 first, __u32 mask)
{
	__u64 hash = weft_hash_segment(wanted);
	__u32 index = first + ((hash >> 32) & mask);
	const struct weft_segment *segment = bpf_map_lookup_elem(&segments, &index);

	if (segment && segment->hash == hash)
		return index;
	return weft_search_segment(first, mask);
}

/*
 * Run by user space, the index of an entry in skb->mark: a program can exchange a hash in one piece, an update of
 * the map cannot. First the entry is retired, so that no packet finds it any more; when those that had found it are
 * through, and its counts have been read, it is cleared and becomes free.
 */
static __always_inline void weft_exchange_hash(struct __sk_buff *skb, __u64 hash)
{
	__u32 index = skb->mark;
	struct weft_segment *segment = bpf_map_lookup_elem(&segments, &index);

	if (segment)
		__sync_lock_test_and_set(&segment->hash, hash);
}

#endif
