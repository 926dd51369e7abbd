import { Family } from "../packet/sightings.js";
import type { Tuple } from "../packet/tuple.js";

/** A tuple as it names a connection, the same for both directions. */
export interface FaceKey {
	readonly key: string;
	/** 1: the tuple's source is the key's second end. */
	readonly turned: 0 | 1;
	/** A later fragment alone: it does not say whose. */
	readonly portless: boolean;
}

const ICMP = 1;
const ICMPV6 = 58;
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 132]);

/** null: not IP, so no flow. Echo requests and replies of one id are one flow; other ICMP messages one per type and code. */
export function faceKey(tuple: Tuple): FaceKey | null {
	const { family, protocol, source, destination } = tuple;
	if ((family !== Family.ipv4 && family !== Family.ipv6) || source === null || destination === null) return null;
	if (protocol === ICMP || protocol === ICMPV6) {
		return keyOf(`${protocol} ${messageKind(tuple)}`, source, destination, false);
	}
	const { sourcePort, destinationPort } = tuple;
	const portless = WITH_PORTS.has(protocol) && sourcePort === 0 && destinationPort === 0;
	return keyOf(String(protocol), `${source} ${sourcePort}`, `${destination} ${destinationPort}`, portless);
}

/** RFC 792: 8 asks, 0 answers; RFC 4443: 128 and 129. null: no echo. */
export function echoRole(tuple: Tuple): "request" | "reply" | null {
	const type = tuple.destinationPort >>> 8;
	if (tuple.protocol === ICMP && (type === 8 || type === 0)) return type === 8 ? "request" : "reply";
	if (tuple.protocol === ICMPV6 && (type === 128 || type === 129)) return type === 128 ? "request" : "reply";
	return null;
}

function messageKind(tuple: Tuple): string {
	return echoRole(tuple) === null ? `type ${tuple.destinationPort}` : `echo ${tuple.sourcePort}`;
}

function keyOf(prefix: string, source: string, destination: string, portless: boolean): FaceKey {
	const turned = source > destination ? 1 : 0;
	const ends = turned === 1 ? `${destination}|${source}` : `${source}|${destination}`;
	return { key: `${prefix}|${ends}`, turned, portless };
}
