/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The packet inside VXLAN (RFC 7348) becomes the subject of the event: it is whom the user knows. One
 * level: VXLAN inside VXLAN is shown as the UDP packet that it is. A program instance of a namespace
 * without tunnels has no port to compare, and the verifier removes all of this.
 */
#ifndef WEFT_TUNNEL_H
#define WEFT_TUNNEL_H

#include "instance.h"
#include "parse.h"

struct weft_vxlan {
	__u8 flags;
	__u8 reserved[3];
	__be32 vni; /* the upper 24 bits */
};

#define WEFT_VXLAN_VNI 0x08 /* the VNI is valid */
#define WEFT_VXLAN_GBP \
	0x80 /* group policy, which flannel can switch on: the inner frame is no other for it */

static __always_inline int weft_is_tunnel_port(__u16 port)
{
	for (__u32 i = 0; i < WEFT_MAX_TUNNEL_PORTS; i++)
		if (i < knobs.tunnel_port_count && port == knobs.tunnel_ports[i])
			return 1;
	return 0;
}

static __always_inline int weft_is_tunnelled(const struct weft_packet *packet)
{
	return !packet->parse && packet->protocol == IPPROTO_UDP && packet->flags & WEFT_HAS_PORTS &&
	       weft_is_tunnel_port(packet->destination_port);
}

/*
 * Forgets the outer packet: nothing of it may be taken for the inner one's. But when the underlay's MTU is too
 * small for the tunnel, the kernel cuts the outer packet (ip_do_fragment), and its first fragment has the inner
 * packet's headers, whose lengths are those of the whole.
 */
static __always_inline void weft_start_inner(struct weft_packet *packet, __u32 offset)
{
	__u8 cut = !!(packet->flags & WEFT_MORE_FRAGMENTS);

	__builtin_memset(packet, 0, sizeof(*packet));
	packet->cut = cut;
	packet->flags = WEFT_INNER;
	packet->network = offset;
}

static __always_inline void weft_enter_tunnel(weft_skb *skb, struct weft_packet *packet)
{
	struct weft_vxlan header __attribute__((aligned(8)));
	__u32 peer[4] __attribute__((aligned(8)));

	weft_load(skb, packet->payload, &header, sizeof(header));
	if (packet->payload_length < sizeof(header) || (header.flags & ~WEFT_VXLAN_GBP) != WEFT_VXLAN_VNI) {
		packet->parse = WEFT_PARSE_TUNNEL_INVALID;
		return;
	}
	weft_copy_address(peer, knobs.egress ? packet->destination : packet->source);
	weft_start_inner(packet, packet->payload + sizeof(header));
	weft_copy_address(packet->outer_peer, peer);
	packet->vni = bpf_ntohl(header.vni) >> 8;
	packet->parse = weft_parse_ethernet(skb, packet, packet->network);
}

/* Once the link or network layer has been parsed: `packet` then describes the subject of the event. */
static __always_inline void weft_finish_parsing(weft_skb *skb, struct weft_packet *packet)
{
	if (weft_is_tunnelled(packet))
		weft_enter_tunnel(skb, packet);
	/* Whatever is needed later is read from memory again: see struct weft_cpu. */
	asm volatile("" : : : "memory");
}

#endif
