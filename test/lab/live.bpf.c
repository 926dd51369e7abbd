/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Gives each UDP datagram over IPv4 its number, and lets it into the stack: live frames of BPF_PROG_TEST_RUN are the same
 * bytes again and again otherwise. The IP ID counts along, as a socket's would. And takes them away at the other end.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

/* CPUs that send, from the first one on: each has numbers of its own, and no line of memory that goes to and fro. */
const volatile __u32 senders = 1;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} sent SEC(".maps");

struct frame {
	struct ethhdr link;
	struct iphdr ip;
	struct udphdr udp;
	__u64 number;
} __attribute__((packed));

SEC("xdp")
int number(struct xdp_md *context)
{
	struct frame *frame = (void *)(long)context->data;
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&sent, &key);

	if (!count || (void *)(frame + 1) > (void *)(long)context->data_end)
		return XDP_DROP;
	frame->number = (*count)++ * senders + bpf_get_smp_processor_id();
	frame->ip.id = bpf_htons((__u16)frame->number);

	__u32 sum = 0;
	__u16 *words = (void *)frame + sizeof(frame->link);

	frame->ip.check = 0;
	for (int i = 0; i < 10; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	frame->ip.check = (__u16)~sum;
	return XDP_PASS;
}

/* The far end: whatever comes goes at once. */
SEC("tc")
int discard(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_SHOT;
}
