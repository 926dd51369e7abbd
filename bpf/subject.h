/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The subject of an event: the whole of parsing, for tc programs. */
#ifndef WEFT_SUBJECT_H
#define WEFT_SUBJECT_H

#include "load_tc.h"
#include "parse.h"
#include "plain.h"
#include "tunnel.h"

/* What the general way says of a plain IPv4 packet, straight from its headers. 0: it is not plain. */
static __always_inline int weft_parse_plain(struct __sk_buff *skb, struct weft_packet *packet)
{
	const struct weft_ipv4 *header = weft_plain_header(skb);
	const union weft_transport *transport = (const void *)(header + 1);
	__u32 size = 8, total;

	if (!header)
		return 0;
	__builtin_memset(packet, 0, sizeof(*packet));
	total = bpf_ntohs(header->total_length);
	weft_map_ipv4(packet->source, header->source);
	weft_map_ipv4(packet->destination, header->destination);
	packet->flags = WEFT_FAMILY_IPV4 | WEFT_HAS_PORTS;
	packet->protocol = header->protocol;
	packet->ttl = header->ttl;
	packet->ip_id = bpf_ntohs(header->id);
	packet->network = WEFT_ETHERNET;
	packet->transport = WEFT_ETHERNET + sizeof(*header);
	packet->end = WEFT_ETHERNET + total;
	if (header->protocol == IPPROTO_ICMP) {
		packet->destination_port = transport->icmp.type << 8 | transport->icmp.code;
		if (weft_is_icmp_echo(packet, transport->icmp.type)) {
			packet->source_port = bpf_ntohs(transport->icmp.id);
			packet->sequence = bpf_ntohs(transport->icmp.sequence);
		}
	} else {
		packet->source_port = bpf_ntohs(transport->udp.source_port);
		packet->destination_port = bpf_ntohs(transport->udp.destination_port);
	}
	if (header->protocol == IPPROTO_TCP) {
		packet->sequence = bpf_ntohl(transport->tcp.sequence);
		packet->acknowledgement = bpf_ntohl(transport->tcp.acknowledgement);
		packet->tcp_flags = transport->tcp.flags;
		packet->window = bpf_ntohs(transport->tcp.window);
		size = (transport->tcp.offset >> 4) * 4;
	}
	packet->payload = WEFT_ETHERNET + sizeof(*header) + size;
	packet->payload_length = total - sizeof(*header) - size;
	return 1;
}

/* Any packet. Out of line: what plain packets need stays together in the instruction cache. */
static __attribute__((noinline)) int weft_parse_any(struct __sk_buff *skb, struct weft_packet *packet)
{
	__builtin_memset(packet, 0, sizeof(*packet));
	if (skb->vlan_present)
		weft_note_vlan(packet, skb->vlan_tci);
	packet->parse = knobs.l3 ? weft_parse_l3(skb, packet) : weft_parse_ethernet(skb, packet, 0);
	weft_finish_parsing(skb, packet);
	return 0;
}

static __always_inline void weft_parse(struct __sk_buff *skb, struct weft_packet *packet)
{
	if (!weft_parse_plain(skb, packet))
		weft_parse_any(skb, packet);
}

#endif
