/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The stopwatch on the tc hooks: no packet goes to user space. Each hook looks up where and when it saw this
 * very packet last, counts the time since then into the histogram of that pair of hooks, and leaves a note for
 * the next hook. Instances are as those of the tracer; rules, sampling and subscribers are not looked at.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "subject.h" /* first: says what a weft_skb is */
#include "details.h"
#include "fingerprint.h"
#include "latency.h"
#include "plain.h"
#include "pointer.h"

#define WEFT_NEXT (-1) /* see trace.bpf.c */
#define WEFT_EVICTED_NS 10000000ULL
#define WEFT_HOP_MAX_NS 10000000000ULL /* an older note is not believed */

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WEFT_HOPS);
	__type(key, __u32);
	__type(value, struct weft_hop);
} hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WEFT_SEGMENTS);
	__type(key, __u32);
	__type(value, struct weft_segment);
} segments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_SEGMENTS);
	__type(key, __u32);
	__type(value, struct weft_histogram);
} histograms SEC(".maps");

/* Key: hook set. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_MAX_HOOK_SETS);
	__type(key, __u32);
	__type(value, struct weft_latency_counters);
} latency_counters SEC(".maps");

/* Working memory: why it is not on the stack says struct weft_cpu in maps.h. */
struct weft_latency_cpu {
	struct weft_packet packet;
	struct weft_hop last;
	struct weft_segment wanted;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_latency_cpu);
} latency_cpus SEC(".maps");

/* Shared by all instances, for its address only: see weft_pointer_id. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} anchor SEC(".maps");

static __always_inline __u64 weft_place(const struct __sk_buff *skb)
{
	return skb->ifindex | (__u64)knobs.hook_set << 32 | (__u64)knobs.egress << 48;
}

static __always_inline __u64 weft_check(const struct weft_hop *hop, __u64 id,
					const struct weft_packet *packet)
{
	return weft_finish((id ^ knobs.netns) * WEFT_ODD_1 + weft_body(packet) * WEFT_ODD_2 +
			   hop->label * WEFT_ODD_3 + hop->key * WEFT_ODD_4 + hop->place * WEFT_ODD_5 +
			   hop->time_ns * WEFT_ODD_6 + hop->first_place * WEFT_ODD_7 +
			   hop->first_time_ns * WEFT_ODD_8 + hop->length * WEFT_ODD_1);
}

/* This very packet left the note. */
static __always_inline int weft_is_known(const struct weft_hop *last, __u64 id,
					 const struct weft_packet *packet, __u64 now)
{
	return last->check == weft_check(last, id, packet) && last->label == weft_label(packet) &&
	       now - last->time_ns <= WEFT_HOP_MAX_NS;
}

/*
 * On egress the kernel tells by which device the packet came in: it must be the one by which it was seen to
 * come in. Encapsulation forgets it (skb_scrub_packet), between a tunnel's egress and the NIC's. On ingress it
 * is the device itself, which says nothing.
 */
static __always_inline int weft_is_transition(const struct __sk_buff *skb, const struct weft_hop *last)
{
	if (last->place == weft_place(skb))
		return 0;
	if (!knobs.egress)
		return 1;
	return skb->ingress_ifindex == last->key >> 32 || (skb->ingress_ifindex == 0 && last->place >> 48);
}

static __always_inline enum weft_segment_kind weft_why_unmatched(const struct __sk_buff *skb,
								 const struct weft_latency_cpu *cpu, __u64 id,
								 int known, __u64 now)
{
	const struct weft_packet *packet = &cpu->packet;
	const struct weft_hop *last = &cpu->last;
	__u64 age = now - last->time_ns;

	if (known)
		return WEFT_UNMATCHED_TRANSITION;
	if (skb->pkt_type == 1 || skb->pkt_type == 2) /* PACKET_BROADCAST, PACKET_MULTICAST */
		return WEFT_UNMATCHED_CLONED;
	if ((__u32)last->key == weft_tag(id) && last->label == weft_label(packet) && age < WEFT_HOP_MAX_NS) {
		if (packet->payload_length > last->length)
			return WEFT_UNMATCHED_MERGED;
		if (packet->payload_length < last->length)
			return WEFT_UNMATCHED_SEGMENTED;
	}
	if ((__u32)last->key != weft_tag(id) && last->time_ns && age < WEFT_EVICTED_NS)
		return WEFT_UNMATCHED_EVICTED;
	if (knobs.egress && packet->flags & WEFT_INNER && packet->payload_length)
		return WEFT_UNMATCHED_SEGMENTED;
	return WEFT_UNMATCHED_UNSEEN;
}

static __always_inline __u32 weft_group_of(const struct weft_packet *packet)
{
	const __u64 *source = (const __u64 *)packet->source;
	const __u64 *destination = (const __u64 *)packet->destination;
	__u32 hash;

	if (knobs.group_by == WEFT_GROUP_PROTOCOL)
		return packet->protocol + 1;
	if (knobs.group_by != WEFT_GROUP_FLOW)
		return 0;
	/* Both ends alike, so that replies are of the flow. */
	hash = weft_finish(weft_finish(source[0] * WEFT_ODD_1 + source[1] * WEFT_ODD_2 +
				       packet->source_port * WEFT_ODD_3) +
			   weft_finish(destination[0] * WEFT_ODD_1 + destination[1] * WEFT_ODD_2 +
				       packet->destination_port * WEFT_ODD_3) +
			   packet->protocol * WEFT_ODD_4);
	return hash == WEFT_GROUP_NONE || hash == WEFT_GROUP_OTHER ? 1 : hash;
}

static __always_inline void weft_note_flow(struct weft_segment *segment, const struct weft_packet *packet)
{
	weft_copy_address(segment->flow.source, packet->source);
	weft_copy_address(segment->flow.destination, packet->destination);
	segment->flow.source_port = packet->source_port;
	segment->flow.destination_port = packet->destination_port;
	segment->flow.protocol = packet->protocol;
}

/* Writes what the winner of a free entry owes it. */
static __always_inline void weft_describe_segment(struct weft_segment *segment,
						  const struct weft_segment *wanted,
						  const struct weft_packet *packet)
{
	segment->from_ifindex = wanted->from_ifindex;
	segment->to_ifindex = wanted->to_ifindex;
	segment->from_hook_set = wanted->from_hook_set;
	segment->to_hook_set = wanted->to_hook_set;
	segment->group = wanted->group;
	segment->kind = wanted->kind;
	if (knobs.group_by == WEFT_GROUP_FLOW && wanted->group != WEFT_GROUP_OTHER)
		weft_note_flow(segment, packet);
	__sync_lock_test_and_set(&segment->ready, 1); /* an exchange orders what is before it (Linux 5.12) */
}

static __always_inline __u64 weft_hash_segment(const struct weft_segment *wanted)
{
	__u64 ends = (__u64)wanted->from_ifindex << 32 | wanted->to_ifindex;
	__u64 sets = (__u64)wanted->from_hook_set << 32 | wanted->to_hook_set;
	__u64 hash = weft_finish(ends * WEFT_ODD_1 + (sets | (__u64)wanted->kind << 56) * WEFT_ODD_2 +
				 wanted->group * WEFT_ODD_3);

	return hash > WEFT_SEGMENT_RETIRED ? hash : WEFT_SEGMENT_RETIRED + 1;
}

/*
 * The histogram of a segment, or null where the table is full there. What comes free may be taken by a segment that
 * has an entry further on: then its packets are in two, and user space adds them up.
 */
static __always_inline struct weft_histogram *weft_find_histogram(const struct weft_segment *wanted,
								  const struct weft_packet *packet)
{
	__u64 hash = weft_hash_segment(wanted);
	/* Where there are groups they may fill one half; the other half is for what is always there. */
	int halved = knobs.group_by != WEFT_GROUP_NONE;
	int grouped = wanted->group != WEFT_GROUP_NONE && wanted->group != WEFT_GROUP_OTHER;
	__u32 room = halved ? (knobs.segment_mask + 1) / 2 : knobs.segment_mask + 1;
	__u32 stride = hash | 1; /* of each its own: full stretches do not grow together */

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < WEFT_SEGMENT_PROBES; i++) {
		__u32 index = ((hash >> 32) + i * stride) & (room - 1);
		struct weft_segment *segment;
		__u64 found;

		if (halved && !grouped)
			index += room;
		segment = bpf_map_lookup_elem(&segments, &index);
		if (!segment)
			return 0;
		found = segment->hash;
		if (found == 0) {
			found = __sync_val_compare_and_swap(&segment->hash, 0, hash);
			if (found == 0) {
				weft_describe_segment(segment, wanted, packet);
				found = hash;
			}
		}
		if (found == hash)
			return bpf_map_lookup_elem(&histograms, &index);
	}
	return 0;
}

static __always_inline __u32 weft_bucket(__u64 ns)
{
	__u32 octave = 0;
	__u64 rest = ns;

	if (ns < WEFT_BUCKETS_PER_OCTAVE)
		return ns;
	if (rest >> 32) {
		octave += 32;
		rest >>= 32;
	}
	if (rest >> 16) {
		octave += 16;
		rest >>= 16;
	}
	if (rest >> 8) {
		octave += 8;
		rest >>= 8;
	}
	if (rest >> 4) {
		octave += 4;
		rest >>= 4;
	}
	if (rest >> 2) {
		octave += 2;
		rest >>= 2;
	}
	octave += rest >> 1;
	return (octave - 4) * WEFT_BUCKETS_PER_OCTAVE +
	       ((ns >> (octave - 5)) & (WEFT_BUCKETS_PER_OCTAVE - 1));
}

static __always_inline void weft_add_sample(struct weft_histogram *histogram, __u64 ns)
{
	__u32 bucket;

	if (ns > WEFT_LATENCY_MAX)
		ns = WEFT_LATENCY_MAX;
	bucket = weft_bucket(ns);
	asm volatile("" : "+r"(bucket)); /* see weft_linear */
	if (bucket >= WEFT_BUCKETS)
		return;
	if (histogram->count == 0 || ns < histogram->min_ns)
		histogram->min_ns = ns;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
	histogram->count++;
	histogram->sum_ns += ns;
	histogram->buckets[bucket]++;
}

/* `from`: a place, 0 for unmatched. One packet into one segment, of its group or of the group "other". */
static __always_inline void weft_count(struct __sk_buff *skb, struct weft_latency_cpu *cpu,
				       struct weft_latency_counters *count, enum weft_segment_kind kind,
				       __u64 from, __u64 ns)
{
	struct weft_segment *wanted = &cpu->wanted;
	struct weft_histogram *histogram;

	wanted->from_ifindex = from;
	wanted->from_hook_set = from >> 32;
	wanted->to_ifindex = skb->ifindex;
	wanted->to_hook_set = knobs.hook_set;
	wanted->kind = kind;
	wanted->group = weft_group_of(&cpu->packet);
	histogram = weft_find_histogram(wanted, &cpu->packet);
	if (!histogram && knobs.group_by != WEFT_GROUP_NONE) {
		wanted->group = WEFT_GROUP_OTHER;
		histogram = weft_find_histogram(wanted, &cpu->packet);
	}
	if (!histogram)
		count->untracked++;
	else if (kind > WEFT_SEGMENT_TRANSIT)
		histogram->count++;
	else
		weft_add_sample(histogram, ns);
}

static __always_inline void weft_copy_hop(volatile struct weft_hop *to, const volatile struct weft_hop *from)
{
	to->check = from->check;
	to->key = from->key;
	to->place = from->place;
	to->time_ns = from->time_ns;
	to->first_place = from->first_place;
	to->first_time_ns = from->first_time_ns;
	to->label = from->label;
	to->length = from->length;
}

/* Leaves the note for the next hook. `last`: null at the packet's first hook. */
static __always_inline void weft_leave_note(struct weft_hop *hop, struct __sk_buff *skb, __u64 id, __u64 now,
					    const struct weft_packet *packet, const struct weft_hop *last)
{
	struct weft_hop here = {
		.key = weft_tag(id) | (__u64)skb->ingress_ifindex << 32,
		.place = weft_place(skb),
		.time_ns = now,
		.first_place = last ? last->first_place : weft_place(skb),
		.first_time_ns = last ? last->first_time_ns : now,
		.label = weft_label(packet),
		.length = packet->payload_length,
	};

	here.check = weft_check(&here, id, packet);
	weft_copy_hop(hop, &here);
}

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

static __always_inline void weft_measure(struct __sk_buff *skb, struct weft_latency_cpu *cpu,
					 struct weft_latency_counters *count, const void *base)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 id = weft_pointer_id(skb, base);
	__u32 index = id & (WEFT_HOPS - 1);
	struct weft_hop *hop = bpf_map_lookup_elem(&hops, &index);
	struct weft_hop *last = &cpu->last;
	int known;

	if (!hop)
		return;
	weft_read_fingerprint(skb, &cpu->packet);
	weft_copy_hop(last, hop);
	known = weft_is_known(last, id, &cpu->packet, now);
	if (!known || !weft_is_transition(skb, last)) {
		weft_leave_note(hop, skb, id, now, &cpu->packet, 0);
		weft_count(skb, cpu, count, weft_why_unmatched(skb, cpu, id, known, now), 0, 0);
		return;
	}
	weft_leave_note(hop, skb, id, now, &cpu->packet, last);
	weft_count(skb, cpu, count, WEFT_SEGMENT_HOP, last->place, now - last->time_ns);
	if (knobs.transit && knobs.egress && last->first_place != last->place)
		weft_count(skb, cpu, count, WEFT_SEGMENT_TRANSIT, last->first_place,
			   now - last->first_time_ns);
}

SEC("tc")
int weft_latency(struct __sk_buff *skb)
{
	__u32 zero = 0, hook_set = knobs.hook_set;
	struct weft_latency_counters *count = bpf_map_lookup_elem(&latency_counters, &hook_set);
	struct weft_latency_cpu *cpu = bpf_map_lookup_elem(&latency_cpus, &zero);
	const void *base = bpf_map_lookup_elem(&anchor, &zero);

	if (!count || !cpu || !base)
		return WEFT_NEXT;
	count->seen++;
	weft_measure(skb, cpu, count, base);
	return WEFT_NEXT;
}

/* Swapped in before hooks are taken away, as the tracer's. */
SEC("tc")
int weft_noop(struct __sk_buff *skb)
{
	(void)skb;
	return WEFT_NEXT;
}

/*
 * Run by user space, the index of an entry in skb->mark: a program can exchange a hash in one piece, an update of
 * the map cannot. First the entry is retired, so that no packet finds it any more; when those that had found it are
 * through, and its counts have been read, it is cleared and becomes free.
 */
static __always_inline int weft_exchange_hash(struct __sk_buff *skb, __u64 hash)
{
	__u32 index = skb->mark;
	struct weft_segment *segment = bpf_map_lookup_elem(&segments, &index);

	if (segment)
		__sync_lock_test_and_set(&segment->hash, hash);
	return WEFT_NEXT;
}

SEC("tc")
int weft_retire_segment(struct __sk_buff *skb)
{
	return weft_exchange_hash(skb, WEFT_SEGMENT_RETIRED);
}

SEC("tc")
int weft_free_segment(struct __sk_buff *skb)
{
	return weft_exchange_hash(skb, 0);
}
