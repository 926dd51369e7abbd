/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Transport headers: ports, sequence, and where the payload begins. */
#ifndef WEFT_TRANSPORT_H
#define WEFT_TRANSPORT_H

#include <bpf/bpf_endian.h>
#include "event.h"
#include "headers.h"
#include "packet.h"

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

#endif
