/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * How long packets stay between two hooks, counted in the kernel. Shared with user space by BTF (event.h).
 *
 * Every packet at a hook is one of these, so that for each hook (as `to`)
 *     packets seen = samples from all hooks + unmatched by all reasons + weft_latency_counters.untracked
 *
 * `segments` has three parts, of which each is a hash table:
 *
 *     details   between two hooks, for each group: as many as user space gave room for (knobs.segment_mask)
 *     rest      what found no room there, between two classes of hooks (`classes`): there are few, so
 *               that no sample is left out however many ports, pairs of ports and flows a node has
 *     hooks     why packets had no sample, for each hook (knobs.hook_mask)
 *
 * `histograms` go by the same index as the first two, `reasons` by that of the third less where it begins. What ends or
 * begins at a device that is gone is given back by user space: see weft_exchange_hash. Counters in histograms
 * wrap; user space adds up differences.
 */
#ifndef WEFT_LATENCY_H
#define WEFT_LATENCY_H

#define WEFT_HOPS 65536
#define WEFT_SEGMENTS 1024 /* details, by default: a power of two */
#define WEFT_REST_SEGMENTS 128
#define WEFT_HOOKS 1024 /* by default: a power of two */
#define WEFT_CLASSES 16384
#define WEFT_SEGMENT_PROBES 12
#define WEFT_SEGMENT_RETIRED 1 /* in weft_segment.hash: user space takes its counts, then it is free */

/*
 * 32 buckets an octave. Bucket i < 32 holds i ns; after that bucket i holds those ns whose five bits behind
 * the leading one are i % 32: from (32 + i % 32) << (i / 32 - 1), that many ns << (i / 32 - 1) wide. The middle
 * of a bucket is at most 1.6 % away from what it holds.
 */
#define WEFT_BUCKETS_PER_OCTAVE 32
#define WEFT_LATENCY_MAX ((1ULL << 34) - 1) /* ns; what is longer counts as this */
#define WEFT_BUCKETS 960

enum weft_segment_kind {
	WEFT_SEGMENT_HOP = 0,     /* from the previous hook */
	WEFT_SEGMENT_TRANSIT = 1, /* from the packet's first hook, if that is another one */
	/*
	 * No sample: counted in weft_reasons. At a hook where packets begin (a pod's port, a NIC), this is how they begin,
	 * whatever the reason. The reasons are deductions, made where the hook before did not show the packet:
	 */
	WEFT_UNMATCHED_MERGED = 2,     /* the pointer is known with the first part of this: GRO, reassembly */
	WEFT_UNMATCHED_SEGMENTED = 3,  /* a part of what the pointer held; or new, behind a tunnel's egress */
	WEFT_UNMATCHED_CLONED = 4,     /* broadcast and multicast leave as clones */
	WEFT_UNMATCHED_EVICTED = 5,    /* another packet took the slot within the last 10 ms */
	WEFT_UNMATCHED_TRANSITION = 6, /* known, but a packet does not come here from there */
	WEFT_UNMATCHED_UNSEEN = 7,     /* no hook saw it: made here, or passed before weft came */
	WEFT_SEGMENT_KINDS = 8,
	WEFT_SEGMENT_REASONS = 8, /* no kind of packets: the entry of a hook's weft_reasons; `from` is 0 */
};

enum weft_group { /* what weft_knobs.group_by makes of a packet; 0 in weft_segment.group: not grouped */
		  WEFT_GROUP_NONE = 0,
		  WEFT_GROUP_PROTOCOL = 1, /* IPPROTO + 1 */
		  WEFT_GROUP_FLOW = 2,     /* a hash of both ends in either order: `flow` has them */
};

/* Of the rest: from_ifindex and to_ifindex are classes of hooks, and hook sets are 0. */
#define WEFT_GROUP_OTHER 0xffffffff

/* Where a packet was seen last. Sealed as weft_slot is; eight words. */
struct weft_hop {
	unsigned long long check; /* a hash of all below, the pointer, the fingerprint, the namespace */
	unsigned long long key;   /* pointer tag, and the ifindex by which it came into this host << 32 */
	unsigned long long place; /* ifindex, hook set << 32, egress << 48 */
	unsigned long long time_ns;
	unsigned long long first_place;
	unsigned long long first_time_ns;
	unsigned long long label;  /* what parts of one packet share */
	unsigned long long length; /* of the payload, bytes */
};

/* The ends of the flow that a grouped segment stands for, as first seen at `to`. */
struct weft_flow {
	unsigned char source[16];
	unsigned char destination[16];
	unsigned short source_port;
	unsigned short destination_port;
	unsigned char protocol;
	unsigned char padding[3];
};

struct weft_segment {
	unsigned long long hash; /* 0: free; taken by compare-and-swap, the rest is written after it */
	unsigned int from_ifindex;
	unsigned int to_ifindex;
	unsigned short from_hook_set;
	unsigned short to_hook_set;
	unsigned int group;
	unsigned char kind; /* enum weft_segment_kind */
	unsigned char padding[3];
	unsigned int ready;    /* not 0: the rest has been written */
	struct weft_flow flow; /* WEFT_GROUP_FLOW only */
};

struct weft_histogram {
	unsigned long long count;
	unsigned long long sum_ns;
	unsigned long long min_ns; /* 0 while count is 0 */
	unsigned long long max_ns;
	unsigned int buckets[WEFT_BUCKETS];
};

struct weft_reasons {
	unsigned long long count[WEFT_SEGMENT_KINDS]; /* by enum weft_segment_kind */
};

struct weft_latency_counters {
	unsigned long long seen;
	unsigned long long untracked; /* no room in `segments`, not even among the rest */
};

#endif
