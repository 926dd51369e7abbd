import type { KernelDrop } from "../../src/kernel/drops.js";
import type { NetnsCookie } from "../../src/packet/hook.js";
import { Family } from "../../src/packet/sightings.js";

/** A ping that the kernel threw away, but for `fields`. */
export function dropped(fields: Partial<KernelDrop>): KernelDrop {
	return {
		...{ timeNs: 1n, skbLow: 1, skbHigh: 2, netns: "1" as NetnsCookie, reason: "NOT_SPECIFIED", function: null },
		...{ ifindex: 6, ingressIfindex: 6, hop: null, standsFor: 1, flags: Family.ipv4, protocol: 1 },
		...{ source: "10.244.1.2", destination: "10.244.2.2", sourcePort: 77, destinationPort: 2048, outerPeer: null },
		...{ vni: 0, length: 84, payloadLength: 56, sequence: 1, acknowledgement: 0, ipId: 4711, tcpFlags: 0, ttl: 64 },
		...fields,
	};
}
