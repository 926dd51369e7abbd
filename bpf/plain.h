/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Plain packets, which nearly all are: IPv4 without options, tags or fragments, TCP, UDP or ICMP in it, all
 * headers linear, lengths that agree (so it would parse without a complaint), and not a tunnel's.
 */
#ifndef WEFT_PLAIN_H
#define WEFT_PLAIN_H

#include "parse.h"

static __always_inline int weft_is_plain(struct __sk_buff *skb, const struct weft_ipv4 *header,
					 const union weft_transport *transport)
{
	__u32 total = bpf_ntohs(header->total_length);
	__u32 size;

	if (header->version_ihl != 0x45 || header->fragment & bpf_htons(0x3fff) ||
	    total + WEFT_ETHERNET > skb->len)
		return 0;
	switch (header->protocol) {
	case IPPROTO_TCP:
		size = (transport->tcp.offset >> 4) * 4;
		return size >= 20 && total >= 20 + size;
	case IPPROTO_UDP:
		return total >= 28 && bpf_ntohs(transport->udp.length) == total - 20 &&
		       !weft_is_tunnel_port(bpf_ntohs(transport->udp.destination_port));
	case IPPROTO_ICMP:
		return total >= 28;
	}
	return 0;
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

#endif
