/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The maps of the stopwatch. All its instances share them, as the tracer's do (maps.h). */
#ifndef WEFT_LATENCY_MAPS_H
#define WEFT_LATENCY_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "instance.h"
#include "latency.h"
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WEFT_HOPS);
	__type(key, __u32);
	__type(value, struct weft_hop);
} hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WEFT_SEGMENTS + WEFT_REST_SEGMENTS + WEFT_HOOKS);
	__type(key, __u32);
	__type(value, struct weft_segment);
} segments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_SEGMENTS + WEFT_REST_SEGMENTS);
	__type(key, __u32);
	__type(value, struct weft_histogram);
} histograms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_HOOKS);
	__type(key, __u32);
	__type(value, struct weft_reasons);
} reasons SEC(".maps");

/*
 * What hooks have in common when packets between them go by one name: all ports of a bridge, say. Key: ifindex, hook
 * set << 32. Written by user space before a hook begins to work.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WEFT_CLASSES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} classes SEC(".maps");

/* Key: hook set. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_MAX_HOOK_SETS);
	__type(key, __u32);
	__type(value, struct weft_latency_counters);
} latency_counters SEC(".maps");

/* Working memory: why it is not on the stack says struct weft_cpu in maps.h. */
struct weft_latency_cpu {
	struct weft_packet packet;
	struct weft_hop last;
	struct weft_segment wanted;
	__u64 class_key; /* a key on the stack would be remembered, too */
	__u64 rest_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_latency_cpu);
} latency_cpus SEC(".maps");

/* Shared by all instances, for its address only: see weft_pointer_id. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} anchor SEC(".maps");

#endif
