/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Network headers: IPv4, IPv6 with its extensions, each with the transport header behind it, and ARP. */
#ifndef WEFT_NETWORK_H
#define WEFT_NETWORK_H

#include <bpf/bpf_endian.h>
#include "event.h"
#include "headers.h"
#include "load.h"
#include "packet.h"
#include "transport.h"

#define WEFT_MAX_EXTENSIONS 8
#define WEFT_CUT_ROOM (60 + 60 + 32) /* IPv4 and TCP with all options, and the payload that is hashed */

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

#endif
