/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * How a tracepoint reads a packet: bounded reads of kernel memory, of the linear part only. A view begins at
 * the network header, as on a device without link header.
 */
#ifndef WEFT_LOAD_PROBE_H
#define WEFT_LOAD_PROBE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct weft_view { /* members that __sk_buff has too mean the same */
	const void *start;
	__u32 linear; /* bytes that can be read from `start` on */
	__u32 len;
	__u32 gso_size;
	__u16 protocol;
	__u16 padding;
};

typedef struct weft_view weft_skb;

static __always_inline const void *weft_linear(weft_skb *skb, __u32 offset, const __u32 size)
{
	(void)skb;
	(void)offset;
	(void)size;
	return 0; /* nothing can be read in place */
}

static __always_inline long weft_load_bytes(weft_skb *skb, __u32 offset, void *to, __u32 size)
{
	if (offset > skb->linear || size > skb->linear - offset)
		return -1;
	return bpf_probe_read_kernel(to, size, skb->start + offset);
}

#endif
