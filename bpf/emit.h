/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* One packet into the ring of this CPU, or counted as one for which there was no room. */
#ifndef WEFT_EMIT_H
#define WEFT_EMIT_H

#include "follow.h"
#include "maps.h"
#include "packet.h"

static __always_inline void weft_describe(struct weft_event *event, struct __sk_buff *skb,
					  const struct weft_packet *packet)
{
	weft_copy_address(event->source, packet->source);
	weft_copy_address(event->destination, packet->destination);
	weft_copy_address(event->outer_peer, packet->outer_peer);
	event->ifindex = skb->ifindex;
	event->ingress_ifindex = skb->ingress_ifindex;
	event->length = skb->len;
	event->sequence = packet->sequence;
	event->acknowledgement = packet->acknowledgement;
	event->tsval = packet->tsval;
	event->ip_id = packet->ip_id;
	event->payload_length = packet->payload_length;
	event->payload_hash = packet->payload_hash;
	event->vni = packet->vni;
	event->source_port = packet->source_port;
	event->destination_port = packet->destination_port;
	event->gso_size = skb->gso_size;
	event->window = packet->window;
	event->vlan = packet->vlan;
	event->hook_set = knobs.hook_set;
	event->tcp_flags = packet->tcp_flags;
	event->protocol = packet->protocol;
	event->ttl = packet->ttl;
	event->generation = knobs.generation;
}

/* `id`: weft_pointer_id. `extra`: flags beyond those of parsing. */
static __always_inline void weft_emit(struct __sk_buff *skb, struct weft_cpu *cpu,
				      struct weft_counters *count, __u64 id, __u32 subscribers, __u16 extra)
{
	const struct weft_packet *packet = &cpu->packet;
	struct weft_ring *ring = weft_ring_here();
	struct weft_event *event = ring ? weft_begin_record(ring, &records) : 0;

	count->matched++;
	if (!event) {
		count->ring_full++;
		cpu->lost++;
		return;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->skb = id;
	event->subscribers = subscribers;
	event->lost = cpu->lost < 0xffff ? cpu->lost : 0xffff;
	event->flags = packet->flags | extra | packet->parse << WEFT_PARSE_SHIFT;
	weft_describe(event, skb, packet);
	cpu->lost = 0;
	count->emitted++;
	/* Nobody is woken: the consumer polls, for a wake-up would be most of a record's cost. */
	weft_end_record(ring);
}

#endif
