import type { FlowCounts, FlowRecord } from "../flow/record.js";
import type { Blame, Endpoint, Hop, OuterHeader, Path, ServiceRef } from "../path/path.js";
import { word64 } from "./codec.js";
import { directionNumber, roleNumber } from "./hook-message.js";
import type { EndpointMessage } from "./messages.js";

/** enum weft.v1.Verdict and weft.v1.Evidence, by number. */
export const VERDICTS = [
	"delivered",
	"forwarded",
	"dropped",
	"lost",
	"incomplete",
] as const satisfies readonly Path["verdict"][];
export const EVIDENCE = ["exact", "order", "ambiguous"] as const satisfies readonly Path["evidence"][];

/** Unknown strings are empty, unknown numbers absent. */
export function pathMessage(path: Path) {
	const { flow, packet } = path;
	return {
		...{ id: path.id, revision: path.revision, protocol: flow.protocol },
		source: endpoint(flow.source),
		destination: endpoint(flow.destination),
		service: service(flow.service),
		packet: {
			...{ ipId: packet.ipId, seq: packet.seq, ack: packet.ack, flags: packet.flags ?? "" },
			...{ length: packet.length, payload: packet.payload },
			...{ icmpType: packet.icmp?.type, icmpCode: packet.icmp?.code },
		},
		hops: path.hops.map(hopMessage),
		verdict: VERDICTS.indexOf(path.verdict) + 1,
		evidence: EVIDENCE.indexOf(path.evidence) + 1,
		blame: path.blame === null ? null : blame(path.blame),
		latencyNs: path.latencyNs,
		clockErrorNs: path.clockErrorNs,
	};
}

export function flowMessage(record: FlowRecord): object {
	const { flow, rtt } = record;
	return {
		...{ id: record.id, protocol: flow.protocol },
		source: endpoint(flow.source),
		destination: endpoint(flow.destination),
		service: service(flow.service),
		tunnels: record.tunnels.map(outer),
		forward: counts(record.forward),
		reverse: counts(record.reverse),
		tcpState: record.tcpState ?? "",
		handshakeRttNs: record.handshakeRttNs,
		rtt,
		resets: record.resets,
		retransmissions: record.retransmissions.map(({ place, count }) => ({ place: place ?? "", count })),
		firstSeenNs: wallOf(record.firstSeen),
		lastSeenNs: wallOf(record.lastSeen),
	};
}

function counts({ packets, bytes, payloadBytes, lost, dropped, retransmissions }: FlowCounts): object {
	return { packets, bytes, payloadBytes, lost, dropped, retransmissions };
}

export function hopMessage(hop: Hop) {
	return {
		...{ node: hop.node, device: hop.device, ifindex: hop.ifindex },
		direction: directionNumber(hop.direction),
		role: roleNumber(hop.role),
		firstNs: wallOf(hop.first),
		lastNs: wallOf(hop.last),
		...{ sincePreviousNs: hop.sincePreviousNs, packets: hop.packets, bytes: hop.bytes },
		source: hop.source ?? "",
		destination: hop.destination ?? "",
		outer: hop.outer === null ? null : outer(hop.outer),
		branch: hop.branch,
	};
}

export function endpoint({ ip, port, namespace, pod, node }: Endpoint): EndpointMessage {
	return { ip: ip ?? "", port, namespace: namespace ?? "", pod: pod ?? "", node: node ?? "" };
}

function service(reached: ServiceRef | null): object | null {
	return reached === null ? null : { ip: reached.ip, port: reached.port, name: reached.name ?? "" };
}

function outer({ source, destination, vni }: OuterHeader): object {
	return { source: source ?? "", destination: destination ?? "", vni };
}

function blame({ node, device, direction, expected, reason, kernelReason, kernelFunction, remedy }: Blame): object {
	return {
		...{ node: node ?? "", device: device ?? "", reason },
		direction: direction === null ? 0 : directionNumber(direction),
		...{ expected: expected ?? "", kernelReason: kernelReason ?? "", kernelFunction: kernelFunction ?? "" },
		remedy: remedy ?? "",
	};
}

/** RFC 3339 with nine digits → ns since 1970. */
export function wallOf(text: string): ReturnType<typeof word64> {
	const [, seconds, digits] = /^(.*)\.(\d{9})Z$/.exec(text) ?? [];
	if (seconds === undefined || digits === undefined) return word64(0n);
	return word64(BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(digits));
}
