/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Of a packet only what tells it from others: less than the tracer reads, and sooner. */
#ifndef WEFT_BRIEF_H
#define WEFT_BRIEF_H

#include "details.h"
#include "fingerprint.h"
#include "latency.h"
#include "plain.h"

/*
 * What weft_parse says of a plain packet, as far as fingerprints need it. Not the addresses: NAT changes them,
 * and only grouping by flow looks at them.
 */
static __always_inline int weft_parse_briefly(struct __sk_buff *skb, struct weft_packet *packet)
{
	const struct weft_ipv4 *header = weft_plain_header(skb);
	const union weft_transport *transport = (const void *)(header + 1);
	__u32 size = 8;

	if (!header)
		return 0;
	packet->parse = WEFT_PARSE_OK;
	packet->flags = 0;
	packet->ip_id = bpf_ntohs(header->id);
	packet->protocol = header->protocol;
	packet->sequence = 0;
	packet->acknowledgement = 0;
	if (header->protocol == IPPROTO_TCP) {
		packet->sequence = bpf_ntohl(transport->tcp.sequence);
		packet->acknowledgement = bpf_ntohl(transport->tcp.acknowledgement);
		size = (transport->tcp.offset >> 4) * 4;
	} else if (header->protocol == IPPROTO_ICMP && weft_is_icmp_echo(packet, transport->icmp.type)) {
		packet->sequence = bpf_ntohs(transport->icmp.sequence);
	}
	packet->payload = WEFT_ETHERNET + sizeof(*header) + size;
	packet->payload_length = bpf_ntohs(header->total_length) - sizeof(*header) - size;
	return 1;
}

/* Sequence numbers tell TCP segments apart; of others the payload has to. */
static __always_inline void weft_read_fingerprint(struct __sk_buff *skb, struct weft_packet *packet)
{
	if (knobs.group_by == WEFT_GROUP_FLOW)
		weft_parse(skb, packet);
	else if (!weft_parse_briefly(skb, packet))
		weft_parse_any(skb, packet);
	packet->payload_hash = 0;
	if (!packet->parse && packet->protocol != IPPROTO_TCP)
		packet->payload_hash = weft_hash_payload(skb, packet->payload, packet->payload_length);
}

#endif
