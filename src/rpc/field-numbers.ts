/** Field numbers of the messages that have a codec of their own: sighting.proto, path.proto and common.proto. */

export const RESPONSE = { batch: 2, node: 4, progress: 5 } as const;
export const PROGRESS = { watermarkNs: 1, losses: 2 } as const;
export const LOSS = { cause: 1, count: 2 } as const;

export const BATCH = {
	node: 1,
	firstSequence: 2,
	baseTimeNs: 3,
	timeDeltaNs: 4,
	hooks: 5,
	tuples: 6,
	outers: 7,
	hook: 8,
	tuple: 9,
	outer: 10,
	skb: 11,
	ingressIfindex: 12,
	length: 13,
	sequence: 14,
	acknowledgement: 15,
	tsval: 16,
	ipId: 17,
	payloadLength: 18,
	payloadHash: 19,
	gsoSize: 20,
	window: 21,
	flags: 22,
	vlan: 23,
	tcpFlags: 24,
	ttl: 25,
	lostBefore: 26,
} as const;

export const HOOK = {
	id: 1,
	node: 2,
	netns: 3,
	ifindex: 4,
	device: 5,
	direction: 6,
	role: 7,
	l3: 8,
	master: 9,
} as const;

export const TUPLE = {
	family: 1,
	protocol: 2,
	source: 3,
	destination: 4,
	sourcePort: 5,
	destinationPort: 6,
} as const;

export const OUTER = { peer: 1, vni: 2 } as const;

export const TRACE = { paths: 2 } as const;
export const PATH = {
	id: 1,
	revision: 2,
	packet: 7,
	hops: 8,
	verdict: 9,
	evidence: 10,
	latencyNs: 12,
	clockErrorNs: 13,
} as const;
export const PACKET = {
	ipId: 1,
	seq: 2,
	ack: 3,
	flags: 4,
	length: 5,
	payload: 6,
	icmpType: 7,
	icmpCode: 8,
} as const;
/** Of a hop, what differs from packet to packet. */
export const HOP_SEEN = { firstNs: 6, lastNs: 7, sincePreviousNs: 8, packets: 9, bytes: 10, branch: 14 } as const;
