/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What connections look like on either side of NAT: see faces.h. */
#ifndef WEFT_TRANSLATION_H
#define WEFT_TRANSLATION_H

#include "maps.h"
#include "mix.h"
#include "packet.h"
#include "plain.h"

static __always_inline int weft_is_icmp(__u8 protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

/* ICMP's destination port is type and code, which the reply has otherwise. */
static __always_inline void weft_set_face(struct weft_face *face, __u8 protocol, const void *source,
					  const void *destination, __u16 source_port, __u16 destination_port)
{
	face->netns = knobs.netns;
	face->protocol = protocol;
	face->source_port = source_port;
	face->destination_port = weft_is_icmp(protocol) ? source_port : destination_port;
	weft_copy_address(face->source, source);
	weft_copy_address(face->destination, destination);
}

static __always_inline void weft_reverse_face(struct weft_face *face)
{
	__u16 port = face->source_port;

	face->source_port = face->destination_port;
	face->destination_port = port;
	for (int i = 0; i < 4; i++) {
		__u32 word = face->source[i];

		face->source[i] = face->destination[i];
		face->destination[i] = word;
	}
}

static __always_inline __u32 weft_mark_index(const void *source, const void *destination, __u32 ports,
					     __u32 protocol)
{
	const __u64 *from = source;
	const __u64 *to = destination;

	return weft_finish(from[0] * WEFT_ODD_1 + from[1] * WEFT_ODD_2 + to[0] * WEFT_ODD_3 +
			   to[1] * WEFT_ODD_4 + ((__u64)protocol << 32 | ports) * WEFT_ODD_5) &
	       (WEFT_MARKS - 1);
}

static __always_inline __u32 weft_mark_of(const struct weft_face *face)
{
	return weft_mark_index(face->source, face->destination,
			       face->source_port | (__u32)face->destination_port << 16, face->protocol);
}

/* A step is 16 s to 160 s; a mark is believed for eight. */
static __always_inline __u8 weft_mark_now(void)
{
	return bpf_jiffies64() >> 14;
}

static __always_inline int weft_is_marked(const struct weft_shared *state, __u32 index)
{
	return (__u8)(weft_mark_now() - state->marks[index]) < 8;
}

/* As weft_match_face would find it, of a packet that has not been parsed. */
static __always_inline int weft_plain_might_have_face(struct __sk_buff *skb, const struct weft_shared *state)
{
	const struct weft_ipv4 *header = weft_plain_header(skb);
	const union weft_transport *transport = (const void *)(header + 1);
	const struct weft_ipv6 *ipv6;
	__u32 source[4] __attribute__((aligned(8)));
	__u32 destination[4] __attribute__((aligned(8)));
	__u32 ports;

	if (!header) {
		ipv6 = weft_plain_ipv6(skb);
		if (!ipv6 || ipv6->next == IPPROTO_ICMPV6)
			return 1;
		transport = (const void *)(ipv6 + 1);
		ports = bpf_ntohs(transport->udp.source_port) |
			(__u32)bpf_ntohs(transport->udp.destination_port) << 16;
		return weft_is_marked(state,
				      weft_mark_index(ipv6->source, ipv6->destination, ports, ipv6->next));
	}
	if (header->protocol == IPPROTO_ICMP)
		return 1;
	weft_map_ipv4(source, header->source);
	weft_map_ipv4(destination, header->destination);
	ports = bpf_ntohs(transport->udp.source_port) | (__u32)bpf_ntohs(transport->udp.destination_port)
								<< 16;
	return weft_is_marked(state, weft_mark_index(source, destination, ports, header->protocol));
}

/* Adds to what is there: another subscriber may follow the same connection. */
static __always_inline void weft_remember_face(struct weft_shared *state, const struct weft_face *face,
					       __u32 subscribers)
{
	__u32 *known = bpf_map_lookup_elem(&faces, face);

	state->marks[weft_mark_of(face)] = weft_mark_now();
	if (known)
		*known |=
			subscribers; /* atomic only from Linux 5.12 on; a lost bit comes with the next packet */
	else
		bpf_map_update_elem(&faces, face, &subscribers, BPF_ANY);
}

static __always_inline void weft_remember_both_ways(struct weft_shared *state, struct weft_face *face,
						    __u32 subscribers)
{
	weft_remember_face(state, face, subscribers);
	weft_reverse_face(face);
	weft_remember_face(state, face, subscribers);
}

static __always_inline void weft_remember_faces(struct weft_shared *state, struct weft_face *face,
						const struct weft_slot *last,
						const struct weft_packet *packet, __u32 subscribers)
{
	weft_set_face(face, weft_slot_protocol(last), last->source, last->destination,
		      weft_slot_source_port(last), weft_slot_destination_port(last));
	weft_remember_both_ways(state, face, subscribers);
	weft_set_face(face, packet->protocol, packet->source, packet->destination, packet->source_port,
		      packet->destination_port);
	weft_remember_both_ways(state, face, subscribers);
	if (weft_slot_is_fragment(last) || packet->flags & WEFT_FRAGMENT) {
		/* Later fragments will be looked up without ports. */
		face->source_port = 0;
		face->destination_port = 0;
		weft_remember_both_ways(state, face, subscribers);
	}
	state->faces_used = 1;
}

static __always_inline __u32 weft_match_face(struct weft_shared *state, struct weft_face *face,
					     const struct weft_packet *packet)
{
	__u32 *subscribers;
	__u32 mark;

	weft_set_face(face, packet->protocol, packet->source, packet->destination, packet->source_port,
		      packet->destination_port);
	mark = weft_mark_of(face);
	if (!weft_is_marked(state, mark))
		return 0;
	subscribers = bpf_map_lookup_elem(&faces, face);
	if (!subscribers)
		return 0;
	state->marks[mark] = weft_mark_now();
	return *subscribers;
}

#endif
