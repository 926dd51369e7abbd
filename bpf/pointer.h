/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The skb's pointer, as far as it may be known: equal or not. */
#ifndef WEFT_POINTER_H
#define WEFT_POINTER_H

#include <linux/types.h>
#include "instance.h"

/*
 * The skb's address as a number, less a constant: a tc program's ctx is the sk_buff. The verifier forbids arithmetic on
 * ctx except the difference of two pointers (and that only with CAP_PERFMON), so a map value that all
 * instances share is subtracted. The keyed bijection hides the address and spreads its bits.
 */
static __always_inline __u64 weft_pointer_id(const void *skb, const void *anchor)
{
	__u64 id = (__u64)skb;

	asm volatile("%0 -= %1" : "+r"(id) : "r"(anchor));
	id *= knobs.pointer_key;
	id ^= id >> 32;
	id *= knobs.pointer_key;
	return id ^ id >> 29;
}

static __always_inline __u32 weft_tag(__u64 id)
{
	return id >> 16; /* the low 16 bits are the index */
}

#endif
