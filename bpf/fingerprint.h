/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#ifndef WEFT_FINGERPRINT_H
#define WEFT_FINGERPRINT_H

#include "mix.h"
#include "packet.h"

/*
 * A fingerprint is what NAT, routing and encapsulation leave alone; the pointer breaks at segmentation
 * anyway, so lengths count. Conntrack reassembles under the pointer of the fragment that came last, and
 * fragments again under the same: a fragment and its whole share protocol and IP ID, the "label".
 */
static __always_inline __u64 weft_label(const struct weft_packet *packet)
{
	return (__u64)packet->ip_id << 8 | packet->protocol;
}

static __always_inline __u32 weft_body(const struct weft_packet *packet)
{
	return weft_finish(((__u64)packet->sequence << 32 | packet->acknowledgement) * WEFT_ODD_2 +
			   ((__u64)packet->payload_length << 32 | packet->payload_hash) * WEFT_ODD_3);
}

#endif
