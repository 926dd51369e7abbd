/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Where a followed packet was seen last: a direct-mapped table, index = hash(skb pointer).
 *
 * There are no locks. Two packets may share a slot, two CPUs may write one at a time, and a pointer is
 * reused a microsecond after its packet is gone. So an entry says nothing by itself: its seal is a hash of
 * all its words, of the pointer, of the packet's fingerprint and of the namespace, and a torn or foreign
 * entry fails it.
 *
 * Eight words, and read and written as such: whatever spans two smaller stores has to wait for both.
 *
 *           63                        31             0
 *   check   | body of the fingerprint | seal         |
 *   key     | jiffies, when           | pointer tag  |
 *   place   | fragment, protocol, hook set | ifindex | 8, 8, 16 and 32 bits
 *   flow    | destination port, source port | subscribers | 16, 16 and 32 bits
 */
#ifndef WEFT_SLOTS_H
#define WEFT_SLOTS_H

#define WEFT_SLOTS 65536

struct weft_slot { /* one cache line */
	unsigned long long check;
	unsigned long long key;
	unsigned long long place;
	unsigned long long flow;
	unsigned long long source[2]; /* as in weft_event */
	unsigned long long destination[2];
};

_Static_assert(sizeof(struct weft_slot) == 64, "one cache line");

#define weft_slot_body(slot) ((unsigned int)((slot)->check >> 32))
#define weft_slot_seal(slot) ((unsigned int)(slot)->check)
#define weft_slot_jiffies(slot) ((unsigned int)((slot)->key >> 32))
#define weft_slot_tag(slot) ((unsigned int)(slot)->key)
#define weft_slot_is_fragment(slot) ((slot)->place >> 56)
#define weft_slot_protocol(slot) ((unsigned char)((slot)->place >> 48))
#define weft_slot_hook_set(slot) ((unsigned short)((slot)->place >> 32))
#define weft_slot_ifindex(slot) ((unsigned int)(slot)->place)
#define weft_slot_destination_port(slot) ((unsigned short)((slot)->flow >> 48))
#define weft_slot_source_port(slot) ((unsigned short)((slot)->flow >> 32))
#define weft_slot_subscribers(slot) ((unsigned int)(slot)->flow)

#endif
