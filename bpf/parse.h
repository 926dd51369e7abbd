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

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "event.h"
#include "instance.h"
#include "packet.h"

#define WEFT_ETHERNET 14
#define WEFT_MAX_VLAN_TAGS 2
#define WEFT_MAX_EXTENSIONS 8
#define WEFT_CUT_ROOM (60 + 60 + 32) /* IPv4 and TCP with all options, and the payload that is hashed */

/* linux/if_ether.h and linux/in.h bring libc's headers along, which -target bpf does not have. */
#define ETH_P_IP 0x0800
#define ETH_P_ARP 0x0806
#define ETH_P_8021Q 0x8100
#define ETH_P_IPV6 0x86dd
#define ETH_P_8021AD 0x88a8

#define IPPROTO_HOPOPTS 0
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_AH 51
#define IPPROTO_ICMPV6 58
#define IPPROTO_DSTOPTS 60
#define IPPROTO_SCTP 132
#define IPPROTO_MH 135

struct weft_arp { /* RFC 826, Ethernet and IPv4 */
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_hardware[6];
	__be16 sender[2]; /* two halves: it is not aligned to four bytes */
	__u8 target_hardware[6];
	__be16 target[2];
};

struct weft_ipv4 { /* RFC 791 */
	__u8 version_ihl;
	__u8 tos;
	__be16 total_length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 source;
	__be32 destination;
};

struct weft_ipv6 { /* RFC 8200 */
	__be32 version_class_label;
	__be16 payload_length;
	__u8 next;
	__u8 hop_limit;
	__be32 source[4];
	__be32 destination[4];
};

struct weft_extension { /* RFC 8200, 4.2 to 4.6: the first eight bytes of any */
	__u8 next;
	__u8 length; /* in 8 bytes beyond the first 8; AH: in 4 bytes beyond the first 8 */
	__be16 fragment;
	__be32 fragment_id;
};

union weft_transport {
	struct { /* RFC 9293 */
		__be16 source_port;
		__be16 destination_port;
		__be32 sequence;
		__be32 acknowledgement;
		__u8 offset;
		__u8 flags;
		__be16 window;
	} tcp;
	struct { /* RFC 768 */
		__be16 source_port;
		__be16 destination_port;
		__be16 length;
	} udp;
	struct { /* RFC 792, RFC 4443 */
		__u8 type;
		__u8 code;
		__be16 checksum;
		__be16 id;
		__be16 sequence;
	} icmp;
	__u32 words[5];
};

struct weft_window {
	__u8 padding[2]; /* puts the network header on a multiple of eight: the stack is accessed aligned */
	__u8 macs[12];
	__be16 ethertype;
	union {
		struct {
			__be16 tci;
			__be16 ethertype;
		} vlan;
		struct weft_arp arp;
		struct weft_ipv6 ipv6;
		struct {
			struct weft_ipv4 ipv4;
			union weft_transport transport;
		};
		__u8 network[40];
	};
} __attribute__((aligned(8)));

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

static __always_inline int weft_is_tunnel_port(__u16 port)
{
	for (__u32 i = 0; i < WEFT_MAX_TUNNEL_PORTS; i++)
		if (i < knobs.tunnel_port_count && port == knobs.tunnel_ports[i])
			return 1;
	return 0;
}

static __always_inline int weft_is_icmp_echo(const struct weft_packet *packet, __u8 type)
{
	if (packet->protocol == IPPROTO_ICMPV6)
		return type == 128 || type == 129;
	return type == 8 || type == 0 || type == 13 || type == 14; /* timestamps have an id too */
}

static __always_inline enum weft_parse weft_parse_transport(struct weft_packet *packet,
							    const union weft_transport *header)
{
	__u32 room = packet->end - packet->transport;
	__u32 size;

	packet->payload = packet->transport;
	packet->payload_length = room;
	if (packet->flags & WEFT_LATER_FRAGMENT)
		return WEFT_PARSE_OK;

	switch (packet->protocol) {
	case IPPROTO_TCP:
		packet->payload_length = 0;
		if (room < 20)
			return WEFT_PARSE_TRANSPORT_TRUNCATED;
		packet->flags |= WEFT_HAS_PORTS;
		packet->source_port = bpf_ntohs(header->tcp.source_port);
		packet->destination_port = bpf_ntohs(header->tcp.destination_port);
		packet->sequence = bpf_ntohl(header->tcp.sequence);
		packet->acknowledgement = bpf_ntohl(header->tcp.acknowledgement);
		packet->tcp_flags = header->tcp.flags;
		packet->window = bpf_ntohs(header->tcp.window);
		size = (header->tcp.offset >> 4) * 4;
		if (size < 20 || size > room)
			return WEFT_PARSE_TRANSPORT_INVALID;
		break;
	case IPPROTO_UDP:
		packet->payload_length = 0;
		if (room < 8)
			return WEFT_PARSE_TRANSPORT_TRUNCATED;
		packet->flags |= WEFT_HAS_PORTS;
		packet->source_port = bpf_ntohs(header->udp.source_port);
		packet->destination_port = bpf_ntohs(header->udp.destination_port);
		size = bpf_ntohs(header->udp.length);
		/* A fragment holds a part of what the length says; 0 is a jumbogram (RFC 2675). */
		if (!(packet->flags & WEFT_FRAGMENT) && size != 0) {
			if (size < 8 || size > room)
				return WEFT_PARSE_TRANSPORT_INVALID;
			room = size;
		}
		size = 8;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		packet->payload_length = 0;
		if (room < 8)
			return WEFT_PARSE_TRANSPORT_TRUNCATED;
		packet->flags |= WEFT_HAS_PORTS;
		packet->destination_port = header->icmp.type << 8 | header->icmp.code;
		if (weft_is_icmp_echo(packet, header->icmp.type)) {
			packet->source_port = bpf_ntohs(header->icmp.id);
			packet->sequence = bpf_ntohs(header->icmp.sequence);
		}
		size = 8;
		break;
	case IPPROTO_SCTP:
		packet->payload_length = 0;
		if (room < 12)
			return WEFT_PARSE_TRANSPORT_TRUNCATED;
		packet->flags |= WEFT_HAS_PORTS;
		packet->source_port = bpf_ntohs(header->udp.source_port);
		packet->destination_port = bpf_ntohs(header->udp.destination_port);
		size = 12;
		break;
	default:
		return WEFT_PARSE_OK;
	}
	packet->payload = packet->transport + size;
	packet->payload_length = room - size;
	return WEFT_PARSE_OK;
}

/*
 * May a packet of `total` bytes be believed of which less is here? Only behind a cut tunnel's packet, and when
 * all that is read of it is here: headers and what is hashed of the payload.
 */
static __always_inline int weft_is_short(const struct weft_packet *packet, __u32 total, __u32 room)
{
	return total > room && !(packet->cut && room >= WEFT_CUT_ROOM);
}

/* `offset` in bytes, `more`: the flags of either family's fragment field. */
static __always_inline void weft_note_fragment(struct weft_packet *packet, __u32 offset, int more)
{
	packet->flags |= WEFT_FRAGMENT;
	if (more)
		packet->flags |= WEFT_MORE_FRAGMENTS;
	if (offset) {
		packet->flags |= WEFT_LATER_FRAGMENT;
		packet->sequence = offset;
	}
}

static __always_inline enum weft_parse weft_parse_ipv4(weft_skb *skb, struct weft_packet *packet,
						       struct weft_window *window)
{
	const struct weft_ipv4 *header = &window->ipv4;
	__u32 room = skb->len - packet->network;
	__u32 size = (header->version_ihl & 15) * 4;
	__u32 total;
	__u16 fragment;

	if (room < sizeof(*header))
		return WEFT_PARSE_NETWORK_TRUNCATED;
	if (header->version_ihl >> 4 != 4)
		return WEFT_PARSE_NETWORK_INVALID;
	weft_map_ipv4(packet->source, header->source);
	weft_map_ipv4(packet->destination, header->destination);
	packet->flags |= WEFT_FAMILY_IPV4;
	packet->protocol = header->protocol;
	packet->ttl = header->ttl;
	packet->ip_id = bpf_ntohs(header->id);

	total = bpf_ntohs(header->total_length);
	if (total == 0 && skb->gso_size) /* BIG TCP: longer than the field can say */
		total = room;
	if (size < sizeof(*header) || total < size)
		return WEFT_PARSE_NETWORK_INVALID;
	if (weft_is_short(packet, total, room))
		return WEFT_PARSE_NETWORK_TRUNCATED;
	packet->transport = packet->network + size;
	packet->end = packet->network + total;

	fragment = bpf_ntohs(header->fragment);
	if (fragment & 0x3fff)
		weft_note_fragment(packet, (fragment & 0x1fff) * 8, fragment & 0x2000);
	if (size != sizeof(*header))
		weft_load(skb, packet->transport, &window->transport, sizeof(window->transport));
	return weft_parse_transport(packet, &window->transport);
}

static __always_inline int weft_is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_FRAGMENT ||
	       next == IPPROTO_DSTOPTS || next == IPPROTO_AH || next == IPPROTO_MH;
}

/* Walks to the transport header; a later fragment ends the walk, what follows is not a header. */
static __always_inline enum weft_parse weft_parse_extensions(weft_skb *skb, struct weft_packet *packet)
{
	struct weft_extension extension;
	__u32 at = packet->transport;
	__u32 size;

#pragma clang loop unroll(disable)
	for (int i = 0; i < WEFT_MAX_EXTENSIONS; i++) {
		if (!weft_is_extension(packet->protocol))
			return WEFT_PARSE_OK;
		if (at + sizeof(extension) > packet->end ||
		    weft_load_bytes(skb, at, &extension, sizeof(extension)))
			return WEFT_PARSE_EXTENSION_TRUNCATED;
		size = (extension.length + 1) * 8;
		if (packet->protocol == IPPROTO_AH)
			size = (extension.length + 2) * 4;
		if (packet->protocol == IPPROTO_FRAGMENT) {
			__u16 fragment = bpf_ntohs(extension.fragment);

			size = sizeof(extension);
			packet->ip_id = bpf_ntohl(extension.fragment_id);
			/* An atomic fragment (RFC 6946), offset 0 and no more, is a whole packet. */
			if (fragment & 0xfff9)
				weft_note_fragment(packet, fragment & 0xfff8, fragment & 1);
		}
		if (at + size > packet->end)
			return WEFT_PARSE_EXTENSION_TRUNCATED;
		at += size;
		packet->transport = at;
		packet->protocol = extension.next;
		if (packet->flags & WEFT_LATER_FRAGMENT)
			return WEFT_PARSE_OK;
	}
	return weft_is_extension(packet->protocol) ? WEFT_PARSE_EXTENSION_LIMIT : WEFT_PARSE_OK;
}

static __always_inline enum weft_parse weft_parse_ipv6(weft_skb *skb, struct weft_packet *packet,
						       struct weft_window *window)
{
	const struct weft_ipv6 *header = &window->ipv6;
	__u32 room = skb->len - packet->network;
	union weft_transport transport;
	enum weft_parse parse;
	__u32 total;

	if (room < sizeof(*header))
		return WEFT_PARSE_NETWORK_TRUNCATED;
	if ((header->version_class_label & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000))
		return WEFT_PARSE_NETWORK_INVALID;
	weft_copy_address(packet->source, header->source);
	weft_copy_address(packet->destination, header->destination);
	packet->flags |= WEFT_FAMILY_IPV6;
	packet->protocol = header->next;
	packet->ttl = header->hop_limit;

	total = sizeof(*header) + bpf_ntohs(header->payload_length);
	if (header->payload_length == 0 && skb->gso_size) /* BIG TCP, with or without its jumbo option */
		total = room;
	if (weft_is_short(packet, total, room))
		return WEFT_PARSE_NETWORK_TRUNCATED;
	packet->transport = packet->network + sizeof(*header);
	packet->end = packet->network + total;

	parse = weft_parse_extensions(skb, packet);
	if (parse)
		return parse;
	if (packet->cut && packet->transport - packet->network + WEFT_CUT_ROOM - sizeof(*header) > room)
		return WEFT_PARSE_TRANSPORT_TRUNCATED; /* extension headers took the place of what is read */
	weft_load(skb, packet->transport, &transport, sizeof(transport));
	return weft_parse_transport(packet, &transport);
}

static __always_inline enum weft_parse weft_parse_arp(weft_skb *skb, struct weft_packet *packet,
						      const struct weft_arp *header)
{
	packet->flags |= WEFT_FAMILY_ARP;
	if (skb->len - packet->network < sizeof(*header))
		return WEFT_PARSE_NETWORK_TRUNCATED;
	if (header->protocol != bpf_htons(ETH_P_IP) || header->hardware_length != 6 ||
	    header->protocol_length != 4)
		return WEFT_PARSE_NETWORK_INVALID;
	packet->destination_port = bpf_ntohs(header->operation);
	weft_map_ipv4(packet->source, header->sender[0] | (__u32)header->sender[1] << 16);
	weft_map_ipv4(packet->destination, header->target[0] | (__u32)header->target[1] << 16);
	return WEFT_PARSE_OK;
}

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
