/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The maps of the tracer. All instances of a process share the maps: the first one
 * loaded creates them (`rings` and `records` are made by the addon), the others reuse them by name.
 */
#ifndef WEFT_MAPS_H
#define WEFT_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "counters.h"
#include "event.h"
#include "instance.h"
#include "packet.h"
#include "sightings.h"
#include "write_record.h"

/* Of all CPUs' rings, see ring.h. One producer a ring: many CPUs on one reach a sixth of the rate. */
WEFT_RECORDS(struct weft_event);

/* Key: hook set. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_MAX_HOOK_SETS);
	__type(key, __u32);
	__type(value, struct weft_counters);
} counters SEC(".maps");

/*
 * What belongs to a CPU and its ring, whichever instance runs on it. The working memory is here and not on
 * the stack because the verifier remembers every value on the stack and follows each combination on its own;
 * what lies in a map it forgets. tc runs with softirqs off: nobody else is on this CPU meanwhile.
 */
struct weft_cpu {
	__u32 lost;    /* records that found the ring full since the last one that fitted */
	__u32 matched; /* subscriber bits by the rules */
	struct weft_packet packet;
	struct weft_slot slot;
	struct weft_face face;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_cpu);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WEFT_FACES);
	__type(key, struct weft_face);
	__type(value, __u32); /* subscriber bits */
} faces SEC(".maps");

#endif
