/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Every knob of a program instance, in one struct in read-only data: user space
 * writes it between open and load, the verifier then sees constants. Shared with
 * user space by BTF (see event.h).
 */
#ifndef WEFT_KNOBS_H
#define WEFT_KNOBS_H

#define WEFT_MAX_RULES 16
#define WEFT_MAX_TUNNEL_PORTS 4
#define WEFT_MAX_SUBSCRIBERS 32
#define WEFT_MAX_HOOK_SETS 1024

enum weft_rule_flags {
	WEFT_RULE_EITHER_WAY =
		0x01,          /* also matches with source and destination (addresses and ports) swapped */
	WEFT_RULE_ICMP = 0x02, /* icmp_type/icmp_code are compared: code 0xffff is any */
};

/*
 * One conjunction. A field at its neutral value (0, or a mask of 0) is not compared. The rules
 * together are a superset of the user's filter: the exact filter runs on joined paths.
 */
struct weft_rule {
	unsigned int ifindex;     /* the device of this hook; 0: any */
	unsigned int subscribers; /* bits of those for whom this rule stands */
	unsigned int source[4];   /* as in weft_event.source: wire order, IPv4 as ::ffff:a.b.c.d; masked */
	unsigned int source_mask[4];
	unsigned int destination[4];
	unsigned int destination_mask[4];
	unsigned int length_min;        /* of weft_event.length, bytes */
	unsigned int length_max;        /* 0: no limit */
	unsigned short source_port_min; /* host order; 0..65535 is any */
	unsigned short source_port_max;
	unsigned short destination_port_min;
	unsigned short destination_port_max;
	unsigned short vlan;          /* VLAN id, 0xffff: any tagged, 0: not compared */
	unsigned char family;         /* enum weft_family + 1; 0: any */
	unsigned char protocol;       /* 0: any */
	unsigned char tcp_flags_any;  /* at least one of these bits is set; 0: not compared */
	unsigned char tcp_flags_mask; /* (flags & mask) == value; mask 0: not compared */
	unsigned char tcp_flags_value;
	unsigned char flags; /* enum weft_rule_flags */
	unsigned short icmp_code;
	unsigned char icmp_type;
	unsigned char padding;
};

struct weft_knobs {
	unsigned long long pointer_key; /* odd; keys the bijection over skb addresses */
	unsigned long long hash_salt;   /* keys payload_hash; one per trace, shared by its agents */
	unsigned int hook_set;          /* this instance's id */
	unsigned int
		netns; /* small id of the namespace; hook sets of one namespace share it, slots mix it in */
	unsigned char egress; /* direction: 0 ingress, 1 egress */
	unsigned char l3;     /* the device has no link header */
	unsigned char generation;
	unsigned char follow;               /* consult and fill slots and faces */
	unsigned int sample;                /* keep one packet in so many, see sample.h; 0 and 1: all */
	unsigned int rule_count;            /* 0: nothing matches; then only followed packets are emitted */
	unsigned int match_all_subscribers; /* bits for whom every packet matches, before any rule */
	unsigned int tunnel_port_count;
	unsigned short tunnel_ports
		[WEFT_MAX_TUNNEL_PORTS]; /* host order: VXLAN's UDP destination ports of this namespace */
	struct weft_rule rules[WEFT_MAX_RULES];
	unsigned int segment_mask; /* latency.h: entries for details, less one */
	unsigned char group_by;    /* latency.h: enum weft_group */
	unsigned char transit;     /* latency.h: on egress count from the packet's first hook as well */
	unsigned short padding;
	unsigned int hook_mask; /* latency.h: entries for hooks, less one */
	unsigned int padding_2;
};

#endif
