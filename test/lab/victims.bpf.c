/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Drops one packet with payload in `every` to a TCP or UDP port, at most `most` of them, and logs its victims: which of
 * them it was that came by, counted from 0. Behind a tracer's program on the same hook, which thus sees them first.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MOST_VICTIMS 64

char LICENSE[] SEC("license") = "GPL";

struct victim {
	__u32 index;
	__u32 sequence;
	__u32 payload;
	__u32 ip_id;
};

struct tally {
	__u32 seen;
	__u32 dropped;
};

struct {
	__u32 port;
	__u32 every;
	__u32 most;
	__u32 tunnel; /* bytes of tunnel headers before the link header */
} volatile const knobs = {};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tally);
} tallies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MOST_VICTIMS);
	__type(key, __u32);
	__type(value, struct victim);
} victims SEC(".maps");

/* Offset of the transport header and its protocol; 0: none of ours. */
static __always_inline __u32 find_transport(struct __sk_buff *skb, __u8 *protocol, __u32 *ip_id)
{
	__u32 at = knobs.tunnel;
	struct ethhdr link;
	struct ipv6hdr ipv6;
	struct iphdr ipv4;

	if (bpf_skb_load_bytes(skb, at, &link, sizeof(link)))
		return 0;
	at += sizeof(link);
	if (link.h_proto == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, at, &ipv4, sizeof(ipv4)))
			return 0;
		*protocol = ipv4.protocol;
		*ip_id = bpf_ntohs(ipv4.id);
		return at + ipv4.ihl * 4;
	}
	if (link.h_proto != bpf_htons(ETH_P_IPV6) || bpf_skb_load_bytes(skb, at, &ipv6, sizeof(ipv6)))
		return 0;
	*protocol = ipv6.nexthdr;
	return at + sizeof(ipv6);
}

SEC("tc")
int drop_some(struct __sk_buff *skb)
{
	struct victim victim = {};
	struct tally *tally;
	struct tcphdr tcp = {};
	__u8 protocol = 0;
	__u32 zero = 0;
	__u32 head = sizeof(struct udphdr);
	__u32 at = find_transport(skb, &protocol, &victim.ip_id);

	if (!at || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
		return TC_ACT_UNSPEC;
	if (bpf_skb_load_bytes(skb, at, &tcp, protocol == IPPROTO_TCP ? sizeof(tcp) : sizeof(struct udphdr)))
		return TC_ACT_UNSPEC;
	if (protocol == IPPROTO_TCP) {
		head = tcp.doff * 4;
		victim.sequence = bpf_ntohl(tcp.seq);
	}
	if (tcp.dest != bpf_htons(knobs.port) || skb->len <= at + head)
		return TC_ACT_UNSPEC;
	victim.payload = skb->len - at - head;
	tally = bpf_map_lookup_elem(&tallies, &zero);
	if (!tally)
		return TC_ACT_UNSPEC;
	victim.index = __sync_fetch_and_add(&tally->seen, 1);
	if (victim.index % knobs.every != knobs.every - 1 || tally->dropped >= knobs.most)
		return TC_ACT_UNSPEC;
	bpf_map_update_elem(&victims, &tally->dropped, &victim, BPF_ANY);
	tally->dropped++;
	return TC_ACT_SHOT;
}
