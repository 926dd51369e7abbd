/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A known delay behind weft's program: whoever measures the way from this hook to the next must find it there. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define SPIN_NS 20000
#define MOST_TURNS (1 << 20)

static long turn(__u32 index __attribute__((unused)), void *until)
{
	return bpf_ktime_get_ns() >= *(__u64 *)until;
}

SEC("tc")
int spin(struct __sk_buff *skb __attribute__((unused)))
{
	__u64 until = bpf_ktime_get_ns() + SPIN_NS;

	bpf_loop(MOST_TURNS, turn, &until, 0);
	return -1;
}
