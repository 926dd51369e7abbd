/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * For whom a packet is, by the rules of the filter. They are read-only data of a loaded program, so the verifier
 * knows every field in every round of a loop. Loops stay rolled all the same: unrolled, these were two thirds of
 * the program's text, which costs more to load, and to fetch into a cold cache, than their tests cost to run.
 */
#ifndef WEFT_RULES_H
#define WEFT_RULES_H

#include "instance.h"
#include "maps.h"
#include "packet.h"
#include "parse.h"

typedef const volatile struct weft_rule weft_rule;

/* In words of eight bytes: half the instructions. */
static __always_inline int weft_address_matches(const __u32 address[4], const volatile __u32 want[4],
						const volatile __u32 mask[4])
{
	const __u64 *have = (const __u64 *)address;

	for (int i = 0; i < 2; i++) {
		__u64 bits = ((const volatile __u64 *)mask)[i];

		if (bits && (have[i] & bits) != ((const volatile __u64 *)want)[i])
			return 0;
	}
	return 1;
}

static __always_inline int weft_port_matches(__u16 port, __u16 min, __u16 max)
{
	return (min == 0 || port >= min) && (max == 0xffff || port <= max);
}

static __always_inline int weft_rule_has_ports(weft_rule *rule)
{
	return rule->source_port_min != 0 || rule->source_port_max != 0xffff ||
	       rule->destination_port_min != 0 || rule->destination_port_max != 0xffff;
}

static __always_inline int weft_addresses_match(weft_rule *rule, const __u32 source[4],
						const __u32 destination[4])
{
	return weft_address_matches(source, rule->source, rule->source_mask) &&
	       weft_address_matches(destination, rule->destination, rule->destination_mask);
}

/* A later fragment has no ports: it may belong to a packet whose ports match. */
static __always_inline int weft_ports_match(weft_rule *rule, const struct weft_packet *packet, __u16 source,
					    __u16 destination)
{
	if (!weft_rule_has_ports(rule) || packet->flags & WEFT_LATER_FRAGMENT)
		return 1;
	return packet->flags & WEFT_HAS_PORTS &&
	       weft_port_matches(source, rule->source_port_min, rule->source_port_max) &&
	       weft_port_matches(destination, rule->destination_port_min, rule->destination_port_max);
}

static __always_inline int weft_ends_match(weft_rule *rule, const struct weft_packet *packet)
{
	return weft_addresses_match(rule, packet->source, packet->destination) &&
	       weft_ports_match(rule, packet, packet->source_port, packet->destination_port);
}

static __always_inline int weft_ends_match_reversed(weft_rule *rule, const struct weft_packet *packet)
{
	return weft_addresses_match(rule, packet->destination, packet->source) &&
	       weft_ports_match(rule, packet, packet->destination_port, packet->source_port);
}

static __always_inline int weft_tcp_matches(weft_rule *rule, const struct weft_packet *packet)
{
	if (!rule->tcp_flags_any && !rule->tcp_flags_mask)
		return 1;
	if (packet->protocol != IPPROTO_TCP)
		return 0;
	if (packet->flags & WEFT_LATER_FRAGMENT)
		return 1; /* it may belong to one that matches */
	if (!(packet->flags & WEFT_HAS_PORTS))
		return 0;
	if (rule->tcp_flags_any && !(packet->tcp_flags & rule->tcp_flags_any))
		return 0;
	return !rule->tcp_flags_mask || (packet->tcp_flags & rule->tcp_flags_mask) == rule->tcp_flags_value;
}

static __always_inline int weft_icmp_matches(weft_rule *rule, const struct weft_packet *packet)
{
	if (!(rule->flags & WEFT_RULE_ICMP))
		return 1;
	if (packet->protocol != IPPROTO_ICMP && packet->protocol != IPPROTO_ICMPV6)
		return 0;
	if (packet->flags & WEFT_LATER_FRAGMENT)
		return 1;
	return packet->flags & WEFT_HAS_PORTS && packet->destination_port >> 8 == rule->icmp_type &&
	       (rule->icmp_code == 0xffff || (packet->destination_port & 0xff) == rule->icmp_code);
}

static __always_inline int weft_vlan_matches(weft_rule *rule, const struct weft_packet *packet)
{
	if (!rule->vlan)
		return 1;
	return packet->flags & WEFT_VLAN && (rule->vlan == 0xffff || packet->vlan == rule->vlan);
}

static __always_inline int weft_rule_matches(weft_rule *rule, struct __sk_buff *skb,
					     const struct weft_packet *packet)
{
	if (rule->ifindex && skb->ifindex != rule->ifindex)
		return 0;
	if (rule->family && (packet->flags & WEFT_FAMILY_MASK) != rule->family - 1)
		return 0;
	if (rule->protocol && packet->protocol != rule->protocol)
		return 0;
	if (rule->length_min && skb->len < rule->length_min)
		return 0;
	if (rule->length_max && skb->len > rule->length_max)
		return 0;
	if (!weft_vlan_matches(rule, packet) || !weft_tcp_matches(rule, packet) ||
	    !weft_icmp_matches(rule, packet))
		return 0;
	return weft_ends_match(rule, packet) ||
	       (rule->flags & WEFT_RULE_EITHER_WAY && weft_ends_match_reversed(rule, packet));
}

/* Returns the bits of those for whom the packet is. */
static __always_inline __u32 weft_match_rules(struct __sk_buff *skb, struct weft_cpu *cpu)
{
	cpu->matched = knobs.match_all_subscribers;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < WEFT_MAX_RULES && i < knobs.rule_count; i++) {
		/* Nothing is carried from rule to rule in registers, or each combination is verified. */
		asm volatile("" : : : "memory");
		if (weft_rule_matches(&knobs.rules[i], skb, &cpu->packet))
			cpu->matched |= knobs.rules[i].subscribers;
	}
	asm volatile("" : : : "memory");
	return cpu->matched;
}

#endif
