/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What `--by` tells apart in the kernel: protocols and flows. */
#ifndef WEFT_GROUPS_H
#define WEFT_GROUPS_H

#include "details.h"
#include "instance.h"
#include "latency.h"
#include "mix.h"
#include "packet.h"

static __always_inline __u32 weft_group_of(const struct weft_packet *packet)
{
	const __u64 *source = (const __u64 *)packet->source;
	const __u64 *destination = (const __u64 *)packet->destination;
	__u32 hash;

	if (knobs.group_by == WEFT_GROUP_PROTOCOL)
		return packet->protocol + 1;
	if (knobs.group_by != WEFT_GROUP_FLOW)
		return 0;
	/* Both ends alike, so that replies are of the flow. */
	hash = weft_finish(weft_finish(source[0] * WEFT_ODD_1 + source[1] * WEFT_ODD_2 +
				       packet->source_port * WEFT_ODD_3) +
			   weft_finish(destination[0] * WEFT_ODD_1 + destination[1] * WEFT_ODD_2 +
				       packet->destination_port * WEFT_ODD_3) +
			   packet->protocol * WEFT_ODD_4);
	return hash == WEFT_GROUP_NONE || hash == WEFT_GROUP_OTHER ? 1 : hash;
}

static __always_inline void weft_note_flow(struct weft_segment *segment, const struct weft_packet *packet)
{
	weft_copy_address(segment->flow.source, packet->source);
	weft_copy_address(segment->flow.destination, packet->destination);
	segment->flow.source_port = packet->source_port;
	segment->flow.destination_port = packet->destination_port;
	segment->flow.protocol = packet->protocol;
}

#endif
