/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The record that a hook emits for one packet. This struct is the only
 * definition of the layout: src/kernel/layout.generated.ts is made from the
 * BTF that the compiler writes for it. Shared with the addon (plain C types).
 *
 * Byte order: addresses are as on the wire; every other integer is in host
 * order (ports, ids and sequence numbers are swapped once, in the kernel).
 */
#ifndef WEFT_EVENT_H
#define WEFT_EVENT_H

enum weft_event_flags {
	WEFT_FAMILY_MASK = 0x0003, /* enum weft_family */
	WEFT_INNER = 0x0004,    /* the fields describe the packet inside VXLAN; outer_peer and vni are set */
	WEFT_FRAGMENT = 0x0008, /* a fragment of an IPv4 or IPv6 datagram, first ones included */
	WEFT_LATER_FRAGMENT = 0x0010, /* not the first: no ports, sequence is the byte offset */
	WEFT_MORE_FRAGMENTS = 0x0020,
	WEFT_VLAN = 0x0040,      /* vlan is set */
	WEFT_FOLLOWED = 0x0080,  /* no rule matched here; matched at an earlier hop, or by its NAT face */
	WEFT_HAS_PORTS = 0x0100, /* the transport header was read */
	WEFT_HAS_TSVAL = 0x0200,
	WEFT_PARSE_SHIFT = 12, /* the top four bits: enum weft_parse, 0 is a clean parse */
};

enum weft_family {
	WEFT_FAMILY_OTHER = 0, /* source_port holds the ethertype */
	WEFT_FAMILY_IPV4 = 1,
	WEFT_FAMILY_IPV6 = 2,
	WEFT_FAMILY_ARP = 3, /* sender and target protocol addresses; destination_port is the operation */
};

/* Why a packet could not be parsed to its end. Counted by cause; what was read before is kept. */
enum weft_parse {
	WEFT_PARSE_OK = 0,
	WEFT_PARSE_LINK_TRUNCATED = 1,
	WEFT_PARSE_NETWORK_TRUNCATED = 2,
	WEFT_PARSE_NETWORK_INVALID = 3, /* version, header length or total length contradict each other */
	WEFT_PARSE_EXTENSION_TRUNCATED = 4,
	WEFT_PARSE_EXTENSION_LIMIT = 5, /* more extension headers than we follow */
	WEFT_PARSE_TRANSPORT_TRUNCATED = 6,
	WEFT_PARSE_TRANSPORT_INVALID = 7, /* data offset or UDP length contradict the packet */
	WEFT_PARSE_TUNNEL_INVALID = 8,    /* to the VXLAN port, but not a valid VXLAN header */
	WEFT_PARSE_VLAN_LIMIT = 9,        /* more than two VLAN tags */
	WEFT_PARSE_CAUSES = 10,
};

struct weft_event {
	unsigned long long time_ns; /* CLOCK_MONOTONIC, read after the record was reserved */
	unsigned long long skb; /* the skb's address under a keyed bijection; equal means the same pointer */
	unsigned char source[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned char destination[16];
	unsigned char outer_peer[16]; /* WEFT_INNER: the outer source on ingress, destination on egress */
	unsigned int ifindex;         /* in the hook set's namespace */
	unsigned int ingress_ifindex; /* __sk_buff.ingress_ifindex: 0 for packets made here */
	unsigned int length;          /* skb->len, link header included on L2 devices, bytes */
	unsigned int subscribers;     /* bit n: for subscriber n */
	unsigned int sequence;        /* TCP seq; ICMP echo seq; byte offset of a later fragment */
	unsigned int acknowledgement; /* TCP */
	unsigned int tsval;           /* TCP timestamp option; WEFT_HAS_TSVAL */
	unsigned int ip_id;           /* IPv4 ID; IPv6: the fragment header's id, else 0 */
	unsigned int payload_length;  /* bytes behind the transport header, over all GSO segments */
	unsigned int
		payload_hash; /* of up to 32 payload bytes, keyed by the session's salt; 0 without payload */
	unsigned int vni;     /* WEFT_INNER */
	unsigned short source_port;      /* ICMP: the echo id. See WEFT_FAMILY_OTHER */
	unsigned short destination_port; /* ICMP: type << 8 | code */
	unsigned short gso_size;         /* bytes of payload a segment; 0: not GSO */
	unsigned short window;           /* TCP, unscaled */
	unsigned short vlan;             /* VLAN id of the outermost tag */
	unsigned short
		lost; /* records that found this CPU's ring full since the last one that fitted; 65535: or more */
	unsigned short flags;     /* enum weft_event_flags */
	unsigned short hook_set;  /* which program instance: namespace, direction, L2 or L3 */
	unsigned char tcp_flags;  /* CWR ECE URG ACK PSH RST SYN FIN, high to low */
	unsigned char protocol;   /* IPPROTO of the transport header; ARP and others: 0 */
	unsigned char ttl;        /* or hop limit */
	unsigned char generation; /* which filter generation decided, low 8 bits */
};

_Static_assert(sizeof(struct weft_event) == 128, "two cache lines, see DESIGN");

#endif
