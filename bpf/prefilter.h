/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Most packets of a node are nobody's. This tells so of the plain ones from a few fields in place, before
 * anything is parsed or stored.
 * Whatever is not plain, or might be wanted, takes the long way: here only "certainly not" counts.
 */
#ifndef WEFT_PREFILTER_H
#define WEFT_PREFILTER_H

#include "maps.h"
#include "parse.h"
#include "plain.h"
#include "rules.h"

/* By the IPv4 address itself; what a rule says of the words before it, only ::ffff:0:0/96 can be. */
static __always_inline int weft_ipv4_might_match(__be32 address, const volatile __u32 want[4],
						 const volatile __u32 mask[4])
{
	__u32 bits = mask[3];

	return !want[0] && (!bits || (address & bits) == want[3]);
}

static __always_inline int weft_ends_might_match(weft_rule *rule, __be32 source, __be32 destination,
						 __u16 source_port, __u16 destination_port)
{
	return weft_ipv4_might_match(source, rule->source, rule->source_mask) &&
	       weft_ipv4_might_match(destination, rule->destination, rule->destination_mask) &&
	       weft_port_matches(source_port, rule->source_port_min, rule->source_port_max) &&
	       weft_port_matches(destination_port, rule->destination_port_min, rule->destination_port_max);
}

static __always_inline int weft_rule_might_match(weft_rule *rule, struct __sk_buff *skb,
						 const struct weft_ipv4 *header)
{
	const union weft_transport *transport = (const void *)(header + 1);
	__u16 source = bpf_ntohs(transport->udp.source_port);
	__u16 destination = bpf_ntohs(transport->udp.destination_port);

	if (rule->ifindex && skb->ifindex != rule->ifindex)
		return 0;
	if (rule->protocol && header->protocol != rule->protocol)
		return 0;
	if (header->protocol == IPPROTO_ICMP) /* its ports are what weft makes of it */
		return 1;
	return weft_ends_might_match(rule, header->source, header->destination, source, destination) ||
	       (rule->flags & WEFT_RULE_EITHER_WAY &&
		weft_ends_might_match(rule, header->destination, header->source, destination, source));
}

static __always_inline int weft_ipv4_might_be_wanted(struct __sk_buff *skb, const struct weft_ipv4 *header)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < WEFT_MAX_RULES && i < knobs.rule_count; i++)
		if (weft_rule_might_match(&knobs.rules[i], skb, header))
			return 1;
	return 0;
}

static __always_inline int weft_ipv6_ends_might_match(weft_rule *rule, const __be32 source[4],
						      const __be32 destination[4], __u16 source_port,
						      __u16 destination_port)
{
	return weft_addresses_match(rule, source, destination) &&
	       weft_port_matches(source_port, rule->source_port_min, rule->source_port_max) &&
	       weft_port_matches(destination_port, rule->destination_port_min, rule->destination_port_max);
}

/* It wants an address that no plain IPv6 packet has, as all do that name one of IPv4. */
static __always_inline int weft_is_not_for_ipv6(weft_rule *rule)
{
	volatile const __u64 *source = (volatile const __u64 *)rule->source;
	volatile const __u64 *source_mask = (volatile const __u64 *)rule->source_mask;
	volatile const __u64 *destination = (volatile const __u64 *)rule->destination;
	volatile const __u64 *destination_mask = (volatile const __u64 *)rule->destination_mask;

	return (*source_mask == ~0ULL && !*source) || (*destination_mask == ~0ULL && !*destination);
}

static __always_inline int weft_ipv6_rule_might_match(weft_rule *rule, struct __sk_buff *skb,
						      const struct weft_ipv6 *header)
{
	const union weft_transport *transport = (const void *)(header + 1);
	__u16 source = bpf_ntohs(transport->udp.source_port);
	__u16 destination = bpf_ntohs(transport->udp.destination_port);

	if (rule->ifindex && skb->ifindex != rule->ifindex)
		return 0;
	if (rule->protocol && header->next != rule->protocol)
		return 0;
	if (header->next == IPPROTO_ICMPV6) /* see weft_rule_might_match */
		return 1;
	return weft_ipv6_ends_might_match(rule, header->source, header->destination, source, destination) ||
	       (rule->flags & WEFT_RULE_EITHER_WAY &&
		weft_ipv6_ends_might_match(rule, header->destination, header->source, destination, source));
}

static __always_inline int weft_ipv6_might_be_wanted(struct __sk_buff *skb, const struct weft_ipv6 *header)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < WEFT_MAX_RULES && i < knobs.rule_count; i++)
		if (!weft_is_not_for_ipv6(&knobs.rules[i]) &&
		    weft_ipv6_rule_might_match(&knobs.rules[i], skb, header))
			return 1;
	return 0;
}

static __always_inline int weft_is_nobodys(struct __sk_buff *skb)
{
	const struct weft_ipv4 *ipv4;
	const struct weft_ipv6 *ipv6;

	if (knobs.match_all_subscribers)
		return 0;
	ipv4 = weft_plain_header(skb);
	if (ipv4)
		return !weft_ipv4_might_be_wanted(skb, ipv4);
	ipv6 = weft_plain_ipv6(skb);
	return ipv6 && !weft_ipv6_might_be_wanted(skb, ipv6);
}

#endif
