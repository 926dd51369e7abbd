/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * How a tc program reads a packet. Nothing is ever written, and bpf_skb_pull_data, which reshapes the skb, is
 * never called: what does not lie in the linear part is read with bpf_skb_load_bytes. What does, is read in
 * place: on CPUs that mitigate SRSO each return inside the kernel costs 10 ns, so a load 20.
 */
#ifndef WEFT_LOAD_TC_H
#define WEFT_LOAD_TC_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

typedef struct __sk_buff weft_skb;

/* Farther into a packet than this nobody looks for headers; the verifier wants a bound. */
#define WEFT_LINEAR_LIMIT 0x1000

/* `size` bytes at `offset`, where they lie in the linear part of the skb; else null. To be read only. */
static __always_inline const void *weft_linear(weft_skb *skb, __u32 offset, const __u32 size)
{
	const char *data = (const char *)(long)skb->data;
	const char *end = (const char *)(long)skb->data_end;

	/* The verifier must see the very register that is bounded here go into the address. */
	asm volatile("" : "+r"(offset));
	if (offset > WEFT_LINEAR_LIMIT)
		return 0;
	data += offset;
	return data + size <= end ? data : 0;
}

static __always_inline long weft_load_bytes(weft_skb *skb, __u32 offset, void *to, __u32 size)
{
	return bpf_skb_load_bytes(skb, offset, to, size);
}

#endif
