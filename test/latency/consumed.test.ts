import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KernelDrop } from "../../src/kernel/drops.js";
import { isConsumed } from "../../src/latency/consumed.js";
import { Family } from "../../src/packet/sightings.js";
import { dropped } from "./dropped.js";

const TCP = 6;
const UDP = 17;

/** As seen on Linux 6.18 while a lab was healthy. */
const HEALTHY: readonly (readonly [string, Partial<KernelDrop>])[] = [
	["ping reads from a raw socket, so ICMP finds none", { reason: "NO_SOCKET", function: "ping_rcv" }],
	["the end of a connection", { function: "tcp_rcv_state_process", protocol: TCP }],
	["a reset that was heard", { reason: "TCP_RESET", function: "tcp_reset", protocol: TCP }],
	["neighbour discovery for others", { function: "ip6_mc_input", flags: Family.ipv6, destination: "ff02::1:ff00:1" }],
	["neighbour discovery that was answered", { function: "icmpv6_rcv", flags: Family.ipv6, destination: "fe80::1" }],
	["multicast into a tunnel", { reason: "NO_TX_TARGET", function: "vxlan_xmit", destination: "ff02::16" }],
	["a broadcast", { reason: "NO_SOCKET", protocol: UDP, destination: "255.255.255.255" }],
	["ARP into a tunnel", { reason: "NO_TX_TARGET", function: "vxlan_xmit", flags: Family.arp, protocol: 0 }],
	["a duplicate", { reason: "TCP_OLD_DATA", function: "tcp_data_queue", protocol: TCP }],
	["what a closing socket still held", { reason: "QUEUE_PURGE", protocol: UDP }],
	["freed without a reason by who has dealt with it", { function: "skb_release_data" }],
];

const LOST: readonly (readonly [string, Partial<KernelDrop>])[] = [
	["a rule", { reason: "NETFILTER_DROP", function: "nft_do_chain" }],
	["a closed port", { reason: "NO_SOCKET", function: "__udp4_lib_rcv", protocol: UDP }],
	["no route, for which there is no reason", { function: "ip_error" }],
	["the same in a part of the function that the compiler split off", { function: "ip_error.cold" }],
	["no FDB entry", { reason: "NO_TX_TARGET", function: "vxlan_xmit" }],
	["a bridge without a port", { function: "br_handle_frame_finish" }],
	["an unheard-of reason of a future kernel", { reason: "COSMIC_RAY", function: "whatever" }],
];

describe("what the kernel frees as dropped", () => {
	for (const [name, fields] of HEALTHY) it(`is no loss: ${name}`, () => assert.ok(isConsumed(dropped(fields))));
	for (const [name, fields] of LOST) it(`is lost: ${name}`, () => assert.ok(!isConsumed(dropped(fields))));
});
