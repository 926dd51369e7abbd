/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What parsing finds in a packet: the subject of rules, slots and events. One a CPU, see maps.h. */
#ifndef WEFT_PACKET_H
#define WEFT_PACKET_H

#include <linux/types.h>

struct weft_packet {
	__u32 source[4]; /* as in weft_event: wire order, IPv4 mapped */
	__u32 destination[4];
	__u32 outer_peer[4];
	__u32 vni;
	__u32 ip_id;
	__u32 sequence;
	__u32 acknowledgement;
	__u32 network;   /* offset of the network header in the skb */
	__u32 transport; /* offset of the transport header */
	__u32 end;       /* offset behind the network packet: link padding is not payload */
	__u32 payload;   /* offset */
	__u32 payload_length;
	__u32 payload_hash; /* filled by weft_read_details, like tsval */
	__u32 tsval;
	__u16 source_port;
	__u16 destination_port;
	__u16 window;
	__u16 vlan;
	__u16 flags; /* enum weft_event_flags, without the parse cause */
	__u8 protocol;
	__u8 tcp_flags;
	__u8 ttl;
	__u8 parse;            /* enum weft_parse */
	__u8 cut;              /* its tunnel's packet was cut: the rest of it is in another skb */
} __attribute__((aligned(8))); /* cleared in few steps */

#endif
