/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Headers as they lie in packets, and the window onto them that parsing reads at once. */
#ifndef WEFT_HEADERS_H
#define WEFT_HEADERS_H

#include <linux/bpf.h>

/* linux/if_ether.h and linux/in.h bring libc's headers along, which -target bpf does not have. */
#define ETH_P_IP 0x0800
#define ETH_P_ARP 0x0806
#define ETH_P_8021Q 0x8100
#define ETH_P_IPV6 0x86dd
#define ETH_P_8021AD 0x88a8

#define IPPROTO_HOPOPTS 0
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_AH 51
#define IPPROTO_ICMPV6 58
#define IPPROTO_DSTOPTS 60
#define IPPROTO_SCTP 132
#define IPPROTO_MH 135

struct weft_arp { /* RFC 826, Ethernet and IPv4 */
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_hardware[6];
	__be16 sender[2]; /* two halves: it is not aligned to four bytes */
	__u8 target_hardware[6];
	__be16 target[2];
};

struct weft_ipv4 { /* RFC 791 */
	__u8 version_ihl;
	__u8 tos;
	__be16 total_length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 source;
	__be32 destination;
};

struct weft_ipv6 { /* RFC 8200 */
	__be32 version_class_label;
	__be16 payload_length;
	__u8 next;
	__u8 hop_limit;
	__be32 source[4];
	__be32 destination[4];
};

struct weft_extension { /* RFC 8200, 4.2 to 4.6: the first eight bytes of any */
	__u8 next;
	__u8 length; /* in 8 bytes beyond the first 8; AH: in 4 bytes beyond the first 8 */
	__be16 fragment;
	__be32 fragment_id;
};

union weft_transport {
	struct { /* RFC 9293 */
		__be16 source_port;
		__be16 destination_port;
		__be32 sequence;
		__be32 acknowledgement;
		__u8 offset;
		__u8 flags;
		__be16 window;
	} tcp;
	struct { /* RFC 768 */
		__be16 source_port;
		__be16 destination_port;
		__be16 length;
	} udp;
	struct { /* RFC 792, RFC 4443 */
		__u8 type;
		__u8 code;
		__be16 checksum;
		__be16 id;
		__be16 sequence;
	} icmp;
	__u32 words[5];
};

struct weft_window {
	__u8 padding[2]; /* puts the network header on a multiple of eight: the stack is accessed aligned */
	__u8 macs[12];
	__be16 ethertype;
	union {
		struct {
			__be16 tci;
			__be16 ethertype;
		} vlan;
		struct weft_arp arp;
		struct weft_ipv6 ipv6;
		struct {
			struct weft_ipv4 ipv4;
			union weft_transport transport;
		};
		__u8 network[40];
	};
} __attribute__((aligned(8)));

#endif
