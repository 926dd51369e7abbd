/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Somebody else's tc filter: drops all it sees. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("classifier")
int foreign(struct __sk_buff *skb __attribute__((unused)))
{
	return TC_ACT_SHOT;
}
