/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Most packets of a node are nobody's. This tells so of the plain ones (IPv4 without options, tags or
 * fragments, with lengths that agree) from a few fields in place, before anything is parsed or stored.
 * Whatever is not plain, or might be wanted, takes the long way: here only "certainly not" counts.
 */
#ifndef WEFT_PREFILTER_H
#define WEFT_PREFILTER_H

#include "maps.h"
#include "parse.h"
#include "rules.h"

/* Its lengths agree, so that it would count as parseable; and it is not a tunnel's. */
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

/* By the IPv4 address itself; what a rule says of the words before it, only ::ffff:0:0/96 can be. */
static __always_inline int weft_ipv4_might_match(__be32 address, const volatile __u32 want[4],
						 const volatile __u32 mask[4])
{
	__u32 bits = mask[3];

	return !want[0] && (!bits || (address & bits) == want[3]);
}

static __always_inline int weft_rule_might_match(weft_rule *rule, struct __sk_buff *skb,
						 const struct weft_ipv4 *header)
{
	if (rule->ifindex && skb->ifindex != rule->ifindex)
		return 0;
	if (rule->protocol && header->protocol != rule->protocol)
		return 0;
	if (weft_ipv4_might_match(header->source, rule->source, rule->source_mask) &&
	    weft_ipv4_might_match(header->destination, rule->destination, rule->destination_mask))
		return 1;
	return rule->flags & WEFT_RULE_EITHER_WAY &&
	       weft_ipv4_might_match(header->destination, rule->source, rule->source_mask) &&
	       weft_ipv4_might_match(header->source, rule->destination, rule->destination_mask);
}

static __always_inline int weft_is_nobodys(struct __sk_buff *skb)
{
	const void *data = (const void *)(long)skb->data;
	const struct weft_ipv4 *header = data + WEFT_ETHERNET;
	const union weft_transport *transport = (const void *)(header + 1);

	if (knobs.match_all_subscribers || knobs.l3 || skb->vlan_present ||
	    (const void *)(transport + 1) > (const void *)(long)skb->data_end ||
	    *(const __be16 *)(data + 12) != bpf_htons(ETH_P_IP) || !weft_is_plain(skb, header, transport))
		return 0;
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < WEFT_MAX_RULES; i++)
		if (i < knobs.rule_count && weft_rule_might_match(&knobs.rules[i], skb, header))
			return 0;
	return 1;
}

#endif
