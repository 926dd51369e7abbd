/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Drops one TCP data packet in `every` to a port, at most `most` of them, and logs its victims: which of the packets with
 * payload it was that came by, counted from 0. Behind a tracer's program on the same hook, which thus sees them first.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
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

SEC("tc")
int drop_some(struct __sk_buff *skb)
{
	struct victim victim = {};
	struct tally *tally;
	struct ethhdr link;
	struct tcphdr tcp;
	__u32 at = sizeof(link);
	__u32 length;
	__u32 zero = 0;

	if (bpf_skb_load_bytes(skb, 0, &link, sizeof(link)))
		return TC_ACT_UNSPEC;
	if (link.h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;
		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.protocol != IPPROTO_TCP)
			return TC_ACT_UNSPEC;
		at += ip.ihl * 4;
		victim.ip_id = bpf_ntohs(ip.id);
	} else if (link.h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;
		if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.nexthdr != IPPROTO_TCP)
			return TC_ACT_UNSPEC;
		at += sizeof(ip);
	} else {
		return TC_ACT_UNSPEC;
	}
	if (bpf_skb_load_bytes(skb, at, &tcp, sizeof(tcp)) || tcp.dest != bpf_htons(knobs.port))
		return TC_ACT_UNSPEC;
	length = at + tcp.doff * 4;
	if (skb->len <= length)
		return TC_ACT_UNSPEC;
	victim.payload = skb->len - length;
	victim.sequence = bpf_ntohl(tcp.seq);
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
