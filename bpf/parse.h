/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * From an skb to a weft_packet. A program includes load_tc.h or load_probe.h before: they say what a weft_skb
 * is and how it is read.
 *
 * One read brings what nearly every packet needs: the ethertype and 40 bytes behind it, which are an IPv4
 * header with a TCP header, or an IPv6 header. A window that reaches beyond the packet is filled with zeros,
 * and every field is checked against the packet's length before it is believed.
 *
 * The first thing wrong ends the parsing; what was read before it is kept.
 */
#ifndef WEFT_PARSE_H
#define WEFT_PARSE_H

#include <bpf/bpf_endian.h>
#include "event.h"
#include "headers.h"
#include "load.h"
#include "network.h"
#include "packet.h"

#define WEFT_ETHERNET 14
#define WEFT_MAX_VLAN_TAGS 2

static __always_inline int weft_is_vlan(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

static __always_inline void weft_note_vlan(struct weft_packet *packet, __u16 tci)
{
	if (packet->flags & WEFT_VLAN)
		return; /* the outermost one is shown */
	packet->flags |= WEFT_VLAN;
	packet->vlan = tci & 0x0fff;
}

/* The window stands at a network header (or a VLAN tag, which is skipped) of type `ethertype`. */
static __always_inline enum weft_parse weft_parse_network(weft_skb *skb, struct weft_packet *packet,
							  struct weft_window *window, __be16 ethertype)
{
	if (weft_is_vlan(ethertype)) {
		int tags = packet->flags & WEFT_VLAN ? 1 : 0;

		for (; tags < WEFT_MAX_VLAN_TAGS && weft_is_vlan(ethertype); tags++) {
			if (packet->network + sizeof(window->vlan) > skb->len)
				return WEFT_PARSE_LINK_TRUNCATED;
			weft_note_vlan(packet, bpf_ntohs(window->vlan.tci));
			ethertype = window->vlan.ethertype;
			packet->network += sizeof(window->vlan);
			weft_load(skb, packet->network, window->network, sizeof(window->network));
		}
		if (weft_is_vlan(ethertype))
			return WEFT_PARSE_VLAN_LIMIT;
	}
	if (ethertype == bpf_htons(ETH_P_IP))
		return weft_parse_ipv4(skb, packet, window);
	if (ethertype == bpf_htons(ETH_P_IPV6))
		return weft_parse_ipv6(skb, packet, window);
	if (ethertype == bpf_htons(ETH_P_ARP))
		return weft_parse_arp(skb, packet, &window->arp);
	packet->source_port = bpf_ntohs(ethertype);
	return WEFT_PARSE_OK;
}

static __always_inline enum weft_parse weft_parse_ethernet(weft_skb *skb, struct weft_packet *packet,
							   __u32 offset)
{
	const __u32 size = WEFT_ETHERNET + sizeof(((struct weft_window *)0)->network);
	const void *linear = weft_linear(skb, offset, size);
	struct weft_window window;

	if (linear) {
		window.ethertype = *(const __be16 *)(linear + 12);
		weft_copy(window.network, linear + WEFT_ETHERNET, sizeof(window.network));
	} else {
		weft_load_slowly(skb, offset, window.macs, size);
		if (skb->len - offset < WEFT_ETHERNET)
			return WEFT_PARSE_LINK_TRUNCATED;
	}
	packet->network = offset + WEFT_ETHERNET;
	return weft_parse_network(skb, packet, &window, window.ethertype);
}

/* TUN, ipip, WireGuard: the packet starts with its network header, whose version says which. */
static __always_inline enum weft_parse weft_parse_l3(weft_skb *skb, struct weft_packet *packet)
{
	struct weft_window window;
	__be16 ethertype = skb->protocol;

	weft_load(skb, 0, window.network, sizeof(window.network));
	if (skb->len == 0)
		return WEFT_PARSE_NETWORK_TRUNCATED;
	if (window.ipv4.version_ihl >> 4 == 4)
		ethertype = bpf_htons(ETH_P_IP);
	else if (window.ipv4.version_ihl >> 4 == 6)
		ethertype = bpf_htons(ETH_P_IPV6);
	return weft_parse_network(skb, packet, &window, ethertype);
}

#endif
