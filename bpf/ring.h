/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * A ring of records of one size, one for each CPU, in memory that both the programs and user space have mapped: records
 * side by side in one array map, positions in another. BPF_MAP_TYPE_RINGBUF takes two calls into the kernel and a lock
 * for each record, a third of what an event costs. Nothing of that is needed where a program is never interrupted by
 * another on its CPU, as in tc, which runs with softirqs off.
 *
 *     consumed       written  begun
 *        ▼              ▼       ▼       positions count on; a record's place is its position modulo the ring's records
 *     ┌──┬──────────────┬───────┬────┐
 *     │  │ records      │ busy  │    │
 *     └──┴──────────────┴───────┴────┘
 *
 * Shared with the addon (plain C types), see native/record_ring.h.
 */
#ifndef WEFT_RING_H
#define WEFT_RING_H

struct weft_ring {                /* two cache lines, each written by one side */
	unsigned long long begun; /* one more than `written` while a program is at work on a record */
	unsigned long long written;
	unsigned long long reserved[6];
	unsigned long long consumed;
	unsigned int first; /* in the array of all CPUs' records */
	unsigned int mask;  /* how many there are, a power of two, less one */
	unsigned long long reserved_too[6];
};

#endif
