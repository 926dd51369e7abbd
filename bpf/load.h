/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Bytes of a packet, wherever they lie, and addresses. What a weft_skb is, load_tc.h or load_probe.h says. */
#ifndef WEFT_LOAD_H
#define WEFT_LOAD_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* In words: packets are not aligned, and the compiler would go byte by byte. `size`: a multiple of four. */
static __always_inline void weft_copy(void *to, const void *from, const __u32 size)
{
	if (size % 8 == 0)
		for (__u32 at = 0; at < size; at += 8)
			*(__u64 *)(to + at) = *(const __u64 *)(from + at);
	else
		for (__u32 at = 0; at < size; at += 4)
			*(__u32 *)(to + at) = *(const __u32 *)(from + at);
}

/* Wherever the bytes lie; zeros where the packet has none. `size` is at most 64. */
static __always_inline void weft_load_slowly(weft_skb *skb, __u32 offset, void *to, const __u32 size)
{
	__u32 have;

	if (!weft_load_bytes(skb, offset, to, size))
		return;
	__builtin_memset(to, 0, size);
	have = skb->len - offset;
	asm volatile("" : "+r"(have)); /* the verifier must see this bounded */
	if (have == 0 || have >= size)
		return;
	weft_load_bytes(skb, offset, to, have);
}

static __always_inline void weft_load(weft_skb *skb, __u32 offset, void *to, const __u32 size)
{
	const void *linear = weft_linear(skb, offset, size);

	if (linear)
		weft_copy(to, linear, size);
	else
		weft_load_slowly(skb, offset, to, size);
}

/* `to` is aligned to eight bytes. Whole words: a load that spans two stores waits for both. */
static __always_inline void weft_map_ipv4(__u32 to[4], __be32 ipv4)
{
	__u64 *words = (__u64 *)to;

	words[0] = 0;
	words[1] = (__u64)ipv4 << 32 | 0xffff0000; /* bytes 0, 0, 255, 255 */
}

static __always_inline void weft_copy_address(void *to, const void *from)
{
	weft_copy(to, from, 16);
}

#endif
