/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Every packet that the kernel discards passes the tracepoint kfree_skb, for the whole machine. This finds the
 * namespace it belonged to, and for those of this node counts it exactly and records it while there are few.
 *
 * The packet's last hook comes from the tracer's slots: skb->dev lies (an iptables drop on a bridge reports
 * the port that was never reached). For that `slots` and `shared` are the tracer's own, and `knobs` has its
 * pointer_key, hash_salt and tunnel ports.
 *
 * A tracepoint program is skipped when it would interrupt itself: recursion_misses in bpf_prog_info counts
 * what is lost by that.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "load_probe.h" /* first: says what a weft_skb is */
#include "details.h"
#include "drops.h"
#include "parse.h"
#include "sightings.h"
#include "tunnel.h"

char LICENSE[] SEC("license") = "GPL";

/* What of the kernel's own structs is read; CO-RE finds the members in the running kernel. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net {
	__u64 net_cookie;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	possible_net_t skc_net;
	unsigned char skc_net_refcnt : 1;
};

struct sock {
	struct sock_common __sk_common;
};

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct dst_entry {
	struct net_device *dev;
};

struct skb_shared_info {
	unsigned short gso_size;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	unsigned int len;
	unsigned int data_len;
	int skb_iif;
	__be16 protocol;
	__u16 network_header;
	unsigned int end;
	unsigned char *head;
	unsigned char *data;
};

enum skb_drop_reason { WEFT_NO_REASON };

/* Its members are the tracepoint's arguments: skb, location, reason (Linux 5.17), rx_sk (6.11). */
struct trace_event_raw_kfree_skb {
	enum skb_drop_reason reason; /* CO-RE takes no int for an enum */
	void *rx_sk;
};

#pragma clang attribute pop

/* One ring a CPU, as the tracer's, of records of another size. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_RINGBUF);
			__uint(max_entries, 4096);
		});
} rings SEC(".maps");

/* Network namespaces of this node, by cookie. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WEFT_DROP_NAMESPACES);
	__type(key, __u64);
	__type(value, struct weft_drop_namespace);
} namespaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, WEFT_DROP_COUNTS);
	__type(key, struct weft_drop_key);
	__type(value, struct weft_drop_count);
} drop_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_drop_counters);
} drop_counters SEC(".maps");

/* Working memory: why it is not on the stack says struct weft_cpu in maps.h. */
struct weft_drop_cpu {
	struct weft_packet packet;
	struct weft_slot slot;
	struct weft_view view;
	struct weft_drop drop[0]; /* no storage: brings the layout into the object's BTF */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_drop_cpu);
} drop_cpus SEC(".maps");

/* What is known of a drop beside its packet. */
struct weft_drop_place {
	__u64 location;
	__u64 cookie;
	__u32 reason;
	__u32 netns;
	__u32 realm;
	__u32 ifindex;
	__u8 origin;
};

static __always_inline __u64 weft_cookie_of_socket(const struct sock *sk)
{
	return sk ? BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie) : 0;
}

/* The kernel's own: it holds no namespace, and may send for any. */
static __always_inline int weft_is_kernels(const struct sock *sk)
{
	return sk && !BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_net_refcnt);
}

static __always_inline __u64 weft_cookie_of_device(const struct net_device *dev)
{
	return dev ? BPF_CORE_READ(dev, nd_net.net, net_cookie) : 0;
}

/* Null where it is not of this node; then it still says that the packet was somebody's. */
static __always_inline const struct weft_drop_namespace *weft_namespace_by(__u8 origin, __u64 cookie,
									   struct weft_drop_place *place)
{
	if (!cookie)
		return 0;
	place->origin = origin;
	place->cookie = cookie;
	return bpf_map_lookup_elem(&namespaces, &place->cookie);
}

/*
 * From the most trusted to the least: `dev` shares its place with other things, and is garbage in a datagram
 * that waited for a reader. So it only counts where it leads to a namespace of this node. The kernel's own
 * packets, TCP resets and ICMP errors, are sent by a socket that all namespaces share on a CPU; it is in the
 * packet's only during the sending (net/ipv4/icmp.c, tcp_ipv4.c), and in the machine's first one afterwards,
 * which may be a node's. They wait for no reader: their device is asked before their socket.
 */
static __always_inline const struct weft_drop_namespace *
weft_find_namespace(struct sk_buff *skb, const struct sock *rx_sk, struct weft_drop_place *place)
{
	const struct net_device *dev = BPF_CORE_READ(skb, dev);
	__u64 of_device = weft_cookie_of_device(dev);
	const struct sock *sk = BPF_CORE_READ(skb, sk);
	const struct weft_drop_namespace *netns;
	const struct dst_entry *route;

	netns = weft_namespace_by(WEFT_DROP_BY_RX_SOCKET, weft_cookie_of_socket(rx_sk), place);
	if (!place->cookie && !(of_device && weft_is_kernels(sk)))
		netns = weft_namespace_by(WEFT_DROP_BY_SOCKET, weft_cookie_of_socket(sk), place);
	if (!netns)
		netns = weft_namespace_by(WEFT_DROP_BY_DEVICE, of_device, place);
	if (netns && place->cookie == of_device)
		place->ifindex = BPF_CORE_READ(dev, ifindex);
	if (place->cookie)
		return netns;
	route = (void *)(BPF_CORE_READ(skb, _skb_refdst) & ~1UL);
	return weft_namespace_by(WEFT_DROP_BY_ROUTE,
				 route ? weft_cookie_of_device(BPF_CORE_READ(route, dev)) : 0, place);
}

/* From the network header on, as far as it is linear. 0: there is none. */
static __always_inline int weft_view_skb(struct weft_view *view, struct sk_buff *skb)
{
	const unsigned char *head = BPF_CORE_READ(skb, head);
	const unsigned char *data = BPF_CORE_READ(skb, data);
	__u32 network = BPF_CORE_READ(skb, network_header);
	__u32 len = BPF_CORE_READ(skb, len);
	__u32 linear = len - BPF_CORE_READ(skb, data_len);
	const struct skb_shared_info *shared_info = (const void *)(head + BPF_CORE_READ(skb, end));
	__s64 ahead = data - (head + network); /* what has been pulled since, or not yet (negative) */

	view->protocol = BPF_CORE_READ(skb, protocol);
	view->gso_size = BPF_CORE_READ(shared_info, gso_size);
	view->start = head + network;
	if (network == 0 || network == 0xffff || ahead < -256 || ahead > 0xffff ||
	    ahead + linear > 0xffffff || ahead + linear <= 0)
		return 0;
	view->len = len + ahead;
	view->linear = linear + ahead;
	return 1;
}

static __always_inline void weft_parse_view(struct weft_view *view, struct weft_packet *packet)
{
	packet->parse = weft_parse_l3(view, packet);
	weft_finish_parsing(view, packet);
	if (!packet->parse && packet->payload > view->linear) {
		/* Headers that could not be read were taken for zeros: nothing of them is believed. */
		__builtin_memset(packet, 0, sizeof(*packet));
		packet->parse = WEFT_PARSE_NETWORK_TRUNCATED;
	}
	weft_read_details(view, packet);
}

static __always_inline int weft_is_network(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_IP) || protocol == bpf_htons(ETH_P_IPV6) ||
	       protocol == bpf_htons(ETH_P_ARP) || protocol == bpf_htons(ETH_P_8021Q) ||
	       protocol == bpf_htons(ETH_P_8021AD);
}

static __always_inline struct weft_drop_key weft_drop_key_of(const struct weft_drop_place *place)
{
	return (struct weft_drop_key){
		.location = place->location,
		.reason = place->reason,
		.netns = place->netns,
	};
}

/* Of drops alike on this CPU; null where there are none yet. */
static __always_inline struct weft_drop_count *weft_drop_count_of(const struct weft_drop_place *place)
{
	struct weft_drop_key key = weft_drop_key_of(place);

	return bpf_map_lookup_elem(&drop_counts, &key);
}

/* The exact count of drops alike on this CPU; null where there is no room for another kind. */
static __always_inline struct weft_drop_count *weft_count_drop(const struct weft_drop_place *place)
{
	struct weft_drop_count *count = weft_drop_count_of(place);

	if (!count) {
		struct weft_drop_key key = weft_drop_key_of(place);
		struct weft_drop_count first = {};

		bpf_map_update_elem(&drop_counts, &key, &first, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&drop_counts, &key);
	}
	if (count)
		count->count++;
	return count;
}

/* The first ones of a window get a record, of the others a few. */
static __always_inline int weft_has_record(struct weft_drop_count *count)
{
	__u32 window = bpf_jiffies64() / WEFT_DROP_WINDOW_JIFFIES;

	if (count->window != window) {
		count->window = window;
		count->in_window = 0;
	}
	count->in_window++;
	return count->in_window <= WEFT_DROP_BURST || count->in_window % WEFT_DROP_SAMPLE == 0;
}

static __always_inline struct weft_drop *weft_reserve_drop(void)
{
	__u32 cpu = bpf_get_smp_processor_id();
	void *ring = bpf_map_lookup_elem(&rings, &cpu);

	return ring ? bpf_ringbuf_reserve(ring, sizeof(struct weft_drop), 0) : 0;
}

static __always_inline void weft_describe_packet(struct weft_drop *drop, const struct weft_packet *packet)
{
	weft_copy_address(drop->source, packet->source);
	weft_copy_address(drop->destination, packet->destination);
	weft_copy_address(drop->outer_peer, packet->outer_peer);
	drop->sequence = packet->sequence;
	drop->acknowledgement = packet->acknowledgement;
	drop->tsval = packet->tsval;
	drop->ip_id = packet->ip_id;
	drop->payload_length = packet->payload_length;
	drop->payload_hash = packet->payload_hash;
	drop->vni = packet->vni;
	drop->source_port = packet->source_port;
	drop->destination_port = packet->destination_port;
	drop->window = packet->window;
	drop->flags = packet->flags | packet->parse << WEFT_PARSE_SHIFT;
	drop->tcp_flags = packet->tcp_flags;
	drop->protocol = packet->protocol;
	drop->ttl = packet->ttl;
}

/* Where the tracer saw this packet last. */
static __always_inline void weft_find_hop(struct weft_drop *drop, struct weft_drop_cpu *cpu, __u64 id,
					  __u32 realm)
{
	const struct weft_slot *slot = weft_slot_of(id);
	__u64 sum;

	drop->hop_ifindex = 0;
	drop->hop_hook_set = 0;
	if (!slot || weft_slot_tag(slot) != weft_tag(id) ||
	    !weft_find_slot(slot, &cpu->slot, &sum, id, realm, &cpu->packet, WEFT_DROP_JIFFIES))
		return;
	drop->hop_ifindex = weft_slot_ifindex(&cpu->slot);
	drop->hop_hook_set = weft_slot_hook_set(&cpu->slot);
	drop->origin |= WEFT_DROP_HAS_HOP;
}

/* Returns 0 when there was no room. */
static __always_inline int weft_record_drop(struct sk_buff *skb, const struct weft_drop_place *place,
					    struct weft_drop_counters *counters, __u32 skipped)
{
	__u32 zero = 0;
	struct weft_drop_cpu *cpu = bpf_map_lookup_elem(&drop_cpus, &zero);
	const void *anchor = bpf_map_lookup_elem(&shared, &zero);
	struct weft_drop *drop;

	drop = cpu && anchor ? weft_reserve_drop() : 0;
	if (!drop) {
		counters->ring_full++;
		return 0;
	}
	drop->time_ns = bpf_ktime_get_ns();
	drop->skb = weft_pointer_id(skb, anchor);
	drop->location = place->location;
	drop->netns_cookie = place->cookie;
	drop->reason = place->reason;
	drop->ifindex = place->ifindex;
	drop->ingress_ifindex = BPF_CORE_READ(skb, skb_iif);
	drop->skipped = skipped;
	drop->origin = place->origin;
	drop->padding = 0;
	__builtin_memset(&cpu->packet, 0, sizeof(cpu->packet));
	cpu->packet.parse = WEFT_PARSE_NETWORK_TRUNCATED;
	cpu->view.len = 0;
	if (weft_view_skb(&cpu->view, skb))
		weft_parse_view(&cpu->view, &cpu->packet);
	drop->length = cpu->view.len;
	drop->gso_size = cpu->view.gso_size;
	weft_describe_packet(drop, &cpu->packet);
	weft_find_hop(drop, cpu, drop->skb, place->realm);
	counters->emitted++;
	bpf_ringbuf_submit(drop, BPF_RB_NO_WAKEUP);
	return 1;
}

SEC("tp_btf/kfree_skb")
int weft_drops(__u64 *ctx)
{
	__u32 zero = 0;
	struct sk_buff *skb = (struct sk_buff *)ctx[0];
	struct weft_drop_counters *counters = bpf_map_lookup_elem(&drop_counters, &zero);
	struct weft_drop_place place = {.location = ctx[1]};
	const struct sock *rx_sk = 0;
	const struct weft_drop_namespace *netns;
	struct weft_drop_count *count;
	__u32 skipped;
	int recorded;

	if (!counters)
		return 0;
	counters->seen++;
	if (bpf_core_field_exists(struct trace_event_raw_kfree_skb, reason))
		place.reason = ctx[2];
	if (bpf_core_field_exists(struct trace_event_raw_kfree_skb, rx_sk))
		rx_sk = (const struct sock *)ctx[3];
	if (!weft_is_network(BPF_CORE_READ(skb, protocol))) {
		counters->unrelated++;
		return 0;
	}
	netns = weft_find_namespace(skb, rx_sk, &place);
	if (!netns) {
		if (place.cookie)
			counters->foreign++;
		else
			counters->unknown++;
		return 0;
	}
	place.netns = netns->id;
	place.realm = netns->realm;
	counters->ours++;
	count = weft_count_drop(&place);
	if (!count) {
		counters->uncounted++;
	} else if (!weft_has_record(count)) {
		count->skipped++;
		counters->skipped++;
		return 0;
	}
	skipped = count ? count->skipped : 0;
	recorded = weft_record_drop(skb, &place, counters, skipped);
	/* Found anew, not kept: with it or without, the verifier would look at all of the above twice. */
	count = weft_drop_count_of(&place);
	if (count)
		count->skipped = recorded ? 0 : skipped + 1; /* the next record stands for it too */
	return 0;
}
