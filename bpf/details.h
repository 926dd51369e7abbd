/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What only packets that matter pay for: a hash of the first payload bytes, and TCP's timestamp.
 */
#ifndef WEFT_DETAILS_H
#define WEFT_DETAILS_H

#include "instance.h"
#include "mix.h"
#include "parse.h"

#define WEFT_HASHED 32          /* payload bytes */
#define WEFT_MAX_TCP_OPTIONS 12 /* looked at for a timestamp; a SYN has five or six */
#define WEFT_TCP_END 0
#define WEFT_TCP_NOP 1
#define WEFT_TCP_TIMESTAMP 8

/*
 * A payload shorter than what is hashed, in place: whole words, and the last one as the upper end of the eight
 * bytes before the payload's end, which begin in a header. Where it is not linear, 0.
 */
static __always_inline int weft_read_short(weft_skb *skb, __u32 offset, __u32 length,
					   __u64 bytes[WEFT_HASHED / 8])
{
	const __u64 *last = weft_linear(skb, offset + length - 8, 8);
	__u32 spare = (8 - length % 8) * 8;
	const __u64 *word;
	__u64 tail;

	if (!last)
		return 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	tail = *last >> (spare & 63);
#else
	tail = *last << (spare & 63);
#endif
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < WEFT_HASHED / 8; i++) {
		if (length >= i * 8 + 8) {
			word = weft_linear(skb, offset + i * 8, 8);
			if (!word)
				return 0;
			bytes[i] = *word;
		} else {
			bytes[i] = length > i * 8 ? tail : 0;
		}
	}
	return 1;
}

/* The multiplications do not wait for each other: this is a third of the time of a chained hash. */
static __always_inline __u32 weft_hash_payload(weft_skb *skb, __u32 offset, __u32 length)
{
	__u64 bytes[WEFT_HASHED / 8];
	__u64 salt = knobs.hash_salt;
	__u32 hash;

	if (length >= WEFT_HASHED) {
		length = WEFT_HASHED;
		weft_load(skb, offset, bytes, WEFT_HASHED);
	} else if (length == 0) {
		return 0;
	} else if (!weft_read_short(skb, offset, length, bytes)) {
		__builtin_memset(bytes, 0, sizeof(bytes));
		asm volatile("" : "+r"(length)); /* see weft_load_slowly */
		if (length == 0 || length > sizeof(bytes))
			return 0;
		if (weft_load_bytes(skb, offset, bytes, length))
			return 0;
	}
	hash = weft_finish((bytes[0] ^ salt) * WEFT_ODD_1 + (bytes[1] ^ salt) * WEFT_ODD_2 +
			   (bytes[2] ^ salt) * WEFT_ODD_3 + (bytes[3] ^ salt) * WEFT_ODD_4 + length) >>
	       32;
	return hash ? hash : 1;
}

struct weft_tcp_option { /* as long as a timestamp */
	__u8 kind;
	__u8 size;
	__be16 value[4];
};

/* Options in any order: SYNs, mostly. Everybody else has NOP, NOP, timestamp (RFC 7323, appendix A). */
static __always_inline void weft_search_tsval(weft_skb *skb, struct weft_packet *packet)
{
	struct weft_tcp_option option;
	__u32 at = packet->transport + 20;

#pragma clang loop unroll(disable)
	for (int i = 0; i < WEFT_MAX_TCP_OPTIONS; i++) {
		/* Where no timestamp would fit, none comes any more. */
		if (at + sizeof(option) > packet->payload ||
		    weft_load_bytes(skb, at, &option, sizeof(option)))
			return;
		if (option.kind == WEFT_TCP_TIMESTAMP && option.size == sizeof(option)) {
			packet->tsval = (__u32)bpf_ntohs(option.value[0]) << 16 | bpf_ntohs(option.value[1]);
			packet->flags |= WEFT_HAS_TSVAL;
			return;
		}
		if (option.kind == WEFT_TCP_END)
			return;
		if (option.kind == WEFT_TCP_NOP)
			at += 1;
		else if (option.size < 2)
			return;
		else
			at += option.size;
	}
}

static __always_inline void weft_read_tsval(weft_skb *skb, struct weft_packet *packet)
{
	__u32 length = packet->payload - packet->transport - 20;
	__be32 head[2] __attribute__((aligned(8)));

	if (length >= 12) {
		weft_load(skb, packet->transport + 20, head, sizeof(head));
		if (head[0] == bpf_htonl(0x0101080a)) {
			packet->tsval = bpf_ntohl(head[1]);
			packet->flags |= WEFT_HAS_TSVAL;
			return;
		}
	}
	if (length >= sizeof(struct weft_tcp_option))
		weft_search_tsval(skb, packet);
}

static __always_inline void weft_read_details(weft_skb *skb, struct weft_packet *packet)
{
	if (packet->parse)
		return;
	packet->payload_hash = weft_hash_payload(skb, packet->payload, packet->payload_length);
	if (packet->protocol == IPPROTO_TCP && packet->flags & WEFT_HAS_PORTS)
		weft_read_tsval(skb, packet);
}

#endif
