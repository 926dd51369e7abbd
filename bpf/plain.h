/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Plain packets, which nearly all are: IPv4 without options, or IPv6 without extension headers, no tags, no
 * fragments, TCP, UDP or ICMP in it, all headers linear, lengths that agree (so it would parse without a
 * complaint), and not a tunnel's.
 */
#ifndef WEFT_PLAIN_H
#define WEFT_PLAIN_H

#include "parse.h"
#include "tunnel.h"

/* `icmp`: the family's own, the other's is not plain. `room`: bytes behind the network header. */
static __always_inline int weft_is_plain_transport(const union weft_transport *transport, __u8 protocol,
						   const __u8 icmp, __u32 room)
{
	__u32 size;

	if (protocol == IPPROTO_TCP) {
		size = (transport->tcp.offset >> 4) * 4;
		return size >= 20 && room >= size;
	}
	if (protocol == IPPROTO_UDP)
		return room >= 8 && bpf_ntohs(transport->udp.length) == room &&
		       !weft_is_tunnel_port(bpf_ntohs(transport->udp.destination_port));
	return protocol == icmp && room >= 8;
}

static __always_inline int weft_is_plain(struct __sk_buff *skb, const struct weft_ipv4 *header,
					 const union weft_transport *transport)
{
	__u32 total = bpf_ntohs(header->total_length);

	return header->version_ihl == 0x45 && !(header->fragment & bpf_htons(0x3fff)) &&
	       total + WEFT_ETHERNET <= skb->len && total >= sizeof(*header) &&
	       weft_is_plain_transport(transport, header->protocol, IPPROTO_ICMP, total - sizeof(*header));
}

/* Its IPv4 header, in place, with the transport header behind it; null: it is not plain. */
static __always_inline const struct weft_ipv4 *weft_plain_header(struct __sk_buff *skb)
{
	const void *data = (const void *)(long)skb->data;
	const struct weft_ipv4 *header = data + WEFT_ETHERNET;
	const union weft_transport *transport = (const void *)(header + 1);

	if (knobs.l3 || skb->vlan_present ||
	    (const void *)(transport + 1) > (const void *)(long)skb->data_end ||
	    *(const __be16 *)(data + 12) != bpf_htons(ETH_P_IP) || !weft_is_plain(skb, header, transport))
		return 0;
	return header;
}

/* Half an address, 64 bits, are all zero: ::1, or an IPv4 address in disguise. */
static __always_inline int weft_begins_with_zeros(const __be32 address[4])
{
	return !*(const __u64 *)address;
}

/* As weft_plain_header, for IPv6. */
static __always_inline const struct weft_ipv6 *weft_plain_ipv6(struct __sk_buff *skb)
{
	const void *data = (const void *)(long)skb->data;
	const struct weft_ipv6 *header = data + WEFT_ETHERNET;
	const union weft_transport *transport = (const void *)(header + 1);
	__u32 room;

	if (knobs.l3 || skb->vlan_present ||
	    (const void *)(transport + 1) > (const void *)(long)skb->data_end ||
	    *(const __be16 *)(data + 12) != bpf_htons(ETH_P_IPV6) ||
	    (header->version_class_label & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000) ||
	    weft_begins_with_zeros(header->source) || weft_begins_with_zeros(header->destination))
		return 0;
	room = bpf_ntohs(header->payload_length);
	if (room + sizeof(*header) + WEFT_ETHERNET > skb->len ||
	    !weft_is_plain_transport(transport, header->next, IPPROTO_ICMPV6, room))
		return 0;
	return header;
}

#endif
