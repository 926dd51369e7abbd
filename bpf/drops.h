/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Packets that the kernel discards. Shared with user space by BTF (event.h); members that weft_event has too
 * mean the same.
 *
 * Counts are exact, records are not all there: of drops alike (same reason, place and namespace) every CPU
 * records the first ones of a moment and then one in so many, and each record says how many it stands for.
 * In packets, over all CPUs:
 *     seen = unrelated + unknown + foreign + ours
 *     ours = sum of drop_counts + uncounted = records drained + ring_full + skipped
 */
#ifndef WEFT_DROPS_H
#define WEFT_DROPS_H

#include "event.h"

#define WEFT_DROP_COUNTS 4096
#define WEFT_DROP_NAMESPACES 4096
#define WEFT_DROP_BURST 32          /* records of drops alike, a CPU and window */
#define WEFT_DROP_WINDOW_JIFFIES 32 /* 32 ms to 0.3 s */
#define WEFT_DROP_SAMPLE 256        /* beyond the burst one record in so many */

enum weft_drop_flags { /* beside those of weft_event_flags, in weft_drop.origin */
		       WEFT_DROP_BY_RX_SOCKET = 0x01, /* how the namespace was found: the receiving socket, */
		       WEFT_DROP_BY_SOCKET = 0x02,    /* skb->sk, */
		       WEFT_DROP_BY_DEVICE =
			       0x04, /* skb->dev, which may be one that the packet never reached, */
		       WEFT_DROP_BY_ROUTE = 0x08, /* the route's device */
		       WEFT_DROP_HAS_HOP =
			       0x10, /* hop_ifindex and hop_hook_set say where the tracer saw it last */
};

struct weft_drop {
	unsigned long long time_ns;
	unsigned long long skb;
	unsigned char source[16];
	unsigned char destination[16];
	unsigned char outer_peer[16]; /* WEFT_INNER: the outer destination */
	unsigned long long location;  /* address in the kernel's text: of the function, see /proc/kallsyms */
	unsigned long long netns_cookie;
	unsigned int reason;  /* enum skb_drop_reason of the running kernel, subsystem in the upper half */
	unsigned int ifindex; /* skb->dev, in the namespace; 0: none. Not where the packet was seen last */
	unsigned int ingress_ifindex;
	unsigned int length; /* from the network header on */
	unsigned int sequence;
	unsigned int acknowledgement;
	unsigned int tsval;
	unsigned int ip_id;
	unsigned int payload_length;
	unsigned int payload_hash;
	unsigned int vni;
	unsigned int hop_ifindex;
	unsigned int skipped; /* drops alike on this CPU since its last record of them */
	unsigned short hop_hook_set;
	unsigned short source_port;
	unsigned short destination_port;
	unsigned short gso_size;
	unsigned short window;
	unsigned short flags; /* enum weft_event_flags, the parse cause on top */
	unsigned char tcp_flags;
	unsigned char protocol;
	unsigned char ttl;
	unsigned char origin; /* enum weft_drop_flags */
	unsigned int padding;
};

_Static_assert(sizeof(struct weft_drop) == 152, "a multiple of eight");

struct weft_drop_namespace {
	unsigned int id;    /* in weft_drop_key */
	unsigned int realm; /* weft_knobs.netns of the hooks that may have seen its packets */
};

struct weft_drop_key {
	unsigned long long location;
	unsigned int reason;
	unsigned int netns; /* weft_drop_namespace.id */
};

struct weft_drop_count { /* per CPU */
	unsigned long long count;
	unsigned int window; /* jiffies / WEFT_DROP_WINDOW_JIFFIES of the last drop */
	unsigned int in_window;
	unsigned int skipped; /* since the last record */
	unsigned int padding;
};

struct weft_drop_counters { /* per CPU */
	unsigned long long seen;
	unsigned long long unrelated; /* no network packets: unix and netlink sockets */
	unsigned long long unknown;   /* no namespace could be found */
	unsigned long long foreign;   /* of a namespace that is not in `namespaces` */
	unsigned long long ours;
	unsigned long long uncounted; /* ours, but `drop_counts` was full */
	unsigned long long skipped;   /* ours, counted, without a record */
	unsigned long long ring_full;
	unsigned long long emitted;
};

#endif
