/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Where a followed packet was seen last: a direct-mapped table, index = hash(skb pointer).
 *
 * There are no locks. Two packets may share a slot, two CPUs may write one at a time, and a pointer is
 * reused a microsecond after its packet is gone. So an entry says nothing by itself: its seal is a hash of
 * all its words, of the pointer, of the packet's fingerprint and of the namespace, and a torn or foreign
 * entry fails it.
 */
#ifndef WEFT_SLOTS_H
#define WEFT_SLOTS_H

#define WEFT_SLOTS 65536

struct weft_slot { /* one cache line */
	unsigned int
		seal; /* over all below, the pointer, the namespace, and what a fragment shares with its whole */
	unsigned int body;    /* the rest of the fingerprint: compared unless either is a fragment */
	unsigned int tag;     /* of the pointer: spares most foreigners the rest */
	unsigned int jiffies; /* when, low word */
	unsigned int ifindex; /* where: device and program instance */
	unsigned short hook_set;
	unsigned char protocol;
	unsigned char fragment;   /* it was one */
	unsigned int subscribers; /* for whom the packet is followed */
	unsigned short source_port;
	unsigned short destination_port;
	unsigned int source[4];
	unsigned int destination[4];
};

_Static_assert(sizeof(struct weft_slot) == 64, "one cache line");

#endif
