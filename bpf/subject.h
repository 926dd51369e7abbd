/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The subject of an event: the whole of parsing, for tc programs. */
#ifndef WEFT_SUBJECT_H
#define WEFT_SUBJECT_H

#include "load_tc.h"
#include "parse.h"
#include "tunnel.h"

static __always_inline void weft_parse(struct __sk_buff *skb, struct weft_packet *packet)
{
	__builtin_memset(packet, 0, sizeof(*packet));
	if (skb->vlan_present)
		weft_note_vlan(packet, skb->vlan_tci);
	packet->parse = knobs.l3 ? weft_parse_l3(skb, packet) : weft_parse_ethernet(skb, packet, 0);
	weft_finish_parsing(skb, packet);
}

#endif
