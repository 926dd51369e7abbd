/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The programs' side of ring.h. */
#ifndef WEFT_WRITE_RECORD_H
#define WEFT_WRITE_RECORD_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "ring.h"

_Static_assert(sizeof(struct weft_ring) == 128, "two cache lines");

/* An array that user space maps; the addon makes it, with as many entries as are wanted. */
#define WEFT_MAPPED(name, entry)                   \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(max_entries, 1);            \
		__uint(map_flags, BPF_F_MMAPABLE); \
		__type(key, __u32);                \
		__type(value, entry);              \
	} name SEC(".maps")

/* Index: CPU. */
WEFT_MAPPED(rings, struct weft_ring);
/* Of all CPUs, each ring's side by side. */
#define WEFT_RECORDS(record) WEFT_MAPPED(records, record)

static __always_inline struct weft_ring *weft_ring_here(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&rings, &cpu);
}

/*
 * Where the next record goes, of `records`; 0: there is no room. What it says of the time must be read after this: a
 * record that is older than the consumer's own clock is then written or visibly busy, never still to come.
 */
static __always_inline void *weft_begin_record(struct weft_ring *ring, void *records)
{
	__u64 position = ring->written;
	__u32 index = ring->first + ((__u32)position & ring->mask);
	void *record;

	if (position - *(volatile __u64 *)&ring->consumed > ring->mask)
		return 0;
	record = bpf_map_lookup_elem(records, &index);
	if (record)
		*(volatile __u64 *)&ring->begun = position + 1;
	return record;
}

/* After this the record is the consumer's. */
static __always_inline void weft_end_record(struct weft_ring *ring)
{
	__u64 written = ring->written + 1;

#ifdef __TARGET_ARCH_x86 /* whose stores are seen in their order */
	asm volatile("" ::: "memory");
	*(volatile __u64 *)&ring->written = written;
#else
	__sync_lock_test_and_set(&ring->written, written); /* a full barrier; Linux 5.12 */
#endif
}

#endif
