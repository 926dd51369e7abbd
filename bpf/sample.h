/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Which packets a sampled trace keeps: the same ones at every hop and node, so by nothing that NAT, routing,
 * the host or segmentation changes.
 *
 *   TCP with timestamps   by TSval: all segments of a GSO packet carry it, GRO does not merge across it. What
 *                         is kept comes in bursts, of one tick of the sender's clock each.
 *   TCP without           by the 64 KiB block of sequence space in which the packet begins. A large packet
 *                         that reaches into the next block may lose its segments there.
 *   with an IP ID         by it: fragments and their whole share it. Of UDP GSO the segments have IDs of their
 *                         own, and only the first is sure to share the fate of the whole.
 *   all others            by the hash of the payload, and by the sequence of an echo.
 */
#ifndef WEFT_SAMPLE_H
#define WEFT_SAMPLE_H

#include "details.h"
#include "packet.h"

/* Needs the packet's details. Unsalted: agents must agree without having talked. */
static __always_inline int weft_is_sampled(const struct weft_packet *packet)
{
	__u64 key = packet->protocol;

	if (knobs.sample <= 1)
		return 1;
	if (packet->flags & WEFT_HAS_TSVAL)
		key |= (__u64)packet->tsval << 8;
	else if (packet->protocol == IPPROTO_TCP && packet->flags & WEFT_HAS_PORTS)
		key |= (__u64)(packet->sequence >> 16) << 8;
	else if (packet->ip_id)
		key |= (__u64)packet->ip_id << 8;
	else
		key |= (__u64)(packet->payload_hash ^ packet->sequence) << 8;
	/* The first of so many equal parts of the hashes: any number will do, not powers of two alone. */
	return (weft_finish(key * WEFT_ODD_1) >> 32) * knobs.sample >> 32 == 0;
}

#endif
