import type { AgentStatus } from "../collector/agent-status.js";
import type { HookChange, LedgerStage, Ready, ResolvedName, Summary } from "../collector/report.js";
import type { FlowCounts, FlowRecord, RttQuantiles } from "../flow/record.js";
import type { DropReport, DropSummary } from "../latency/drop-report.js";
import type { LatencyReport, PacketAccount, Segment, SegmentEnd } from "../latency/report.js";
import type { Blame, Endpoint, Flow, Hop, OuterHeader, Path, ServiceRef } from "../path/path.js";
import { sanitizeJson } from "./sanitize.js";

/** What JSON streams hold; that of a trace: `ready` first, `summary` last. */
export type Reported =
	| Ready
	| Path
	| HookChange
	| Summary
	| FlowRecord
	| LatencyReport
	| DropReport
	| DropSummary
	| AgentStatus;

/**
 * One line of a JSON stream, without its newline. Every field is spelled out here, so that the shape and the order of
 * keys never depend on how an object was made: each is always present, null when unknown.
 */
export function jsonLine(reported: Reported): string {
	return sanitizeJson(JSON.stringify(shaped(reported)));
}

function shaped(reported: Reported): unknown {
	switch (reported.type) {
		case "ready":
			return readyJson(reported);
		case "path":
			return pathJson(reported);
		case "hook": {
			const { type, change, node, device, pod } = reported;
			return { type, change, node, device, pod };
		}
		case "summary":
			return summaryJson(reported);
		case "flow":
			return flowRecordJson(reported);
		case "latency":
			return latencyJson(reported);
		case "drop":
			return dropJson(reported);
		case "drops": {
			const { type, seconds, seen, dropped, consumed, filtered } = reported;
			const { foreign, unknown, unrelated, sampled, ringFull, missed } = reported;
			return {
				...{ type, seconds, seen, dropped, consumed, filtered, foreign, unknown, unrelated },
				...{ sampled, ringFull, missed },
			};
		}
		case "agent":
			return agentJson(reported);
	}
}

function pathJson(path: Path): unknown {
	const { type, id, revision, flow, packet } = path;
	return {
		type,
		id,
		revision,
		flow: flowJson(flow),
		packet: {
			ipId: packet.ipId,
			seq: packet.seq,
			ack: packet.ack,
			flags: packet.flags,
			length: packet.length,
			payload: packet.payload,
			icmp: packet.icmp ? { type: packet.icmp.type, code: packet.icmp.code } : null,
		},
		hops: path.hops.map(hop),
		verdict: path.verdict,
		evidence: path.evidence,
		blame: path.blame === null ? null : blame(path.blame),
		latencyNs: path.latencyNs,
		clockErrorNs: path.clockErrorNs,
	};
}

function flowJson({ protocol, source, destination, service: reached }: Flow): Flow {
	return {
		protocol,
		source: endpoint(source),
		destination: endpoint(destination),
		service: reached === null ? null : service(reached),
	};
}

function endpoint({ ip, port, namespace, pod, node }: Endpoint): Endpoint {
	return { ip, port, namespace, pod, node };
}

function service({ ip, port, name }: ServiceRef): ServiceRef {
	return { ip, port, name };
}

/** One literal, no spread: this is the inner loop of a JSON stream. */
function hop(hop: Hop): Hop {
	return {
		node: hop.node,
		device: hop.device,
		ifindex: hop.ifindex,
		direction: hop.direction,
		role: hop.role,
		first: hop.first,
		last: hop.last,
		sincePreviousNs: hop.sincePreviousNs,
		packets: hop.packets,
		bytes: hop.bytes,
		source: hop.source,
		destination: hop.destination,
		outer: outer(hop.outer),
		branch: hop.branch,
	};
}

function outer(header: OuterHeader | null): OuterHeader | null {
	if (header === null) return null;
	const { source, destination, vni } = header;
	return { source, destination, vni };
}

function blame({ node, device, direction, expected, reason, kernelReason, kernelFunction, remedy }: Blame): Blame {
	return { node, device, direction, expected, reason, kernelReason, kernelFunction, remedy };
}

function readyJson({ type, nodes, hooks, readyMs, from, to, tunnel, warnings }: Ready): unknown {
	return {
		type,
		nodes,
		hooks: hooks.map(hook),
		readyMs,
		from: resolved(from),
		to: resolved(to),
		tunnel: outer(tunnel ?? null),
		warnings,
	};
}

function hook({ node, device, ifindex, direction, role }: Ready["hooks"][number]): Ready["hooks"][number] {
	return { node, device, ifindex, direction, role };
}

function resolved({ text, name, node, addresses }: ResolvedName): ResolvedName {
	return { text, name, node, addresses };
}

function summaryJson({ type, durationMs, flows, hooks, paths, blames, events, kernel, ledger }: Summary): unknown {
	const { delivered, forwarded, dropped, lost, incomplete } = paths;
	return {
		type,
		durationMs,
		flows,
		hooks,
		paths: { delivered, forwarded, dropped, lost, incomplete },
		blames: blames.map(({ place, verdict, count }) => ({ place, verdict, count })),
		events: { seen: events.seen, joined: events.joined, unjoined: events.unjoined, lost: events.lost },
		kernel: {
			seen: kernel.seen,
			matched: kernel.matched,
			emitted: kernel.emitted,
			ringFull: kernel.ringFull,
			unparseable: kernel.unparseable,
		},
		ledger: ledger.map(stageJson),
	};
}

function stageJson({ stage, in: received, out, lost }: LedgerStage): unknown {
	return { stage, in: received, out, lost };
}

function latencyJson(report: LatencyReport): unknown {
	const { type, time, seconds, quantileError, segments, warnings } = report;
	return {
		...{ type, time, seconds, quantileError, segments: segments.map(segmentJson) },
		packets: packetsJson(report.packets ?? null),
		warnings,
	};
}

function packetsJson(packets: PacketAccount | null): PacketAccount | null {
	if (packets === null) return null;
	const { seen, timed, begun, unmatched, untracked } = packets;
	return { seen, timed, begun, unmatched, untracked };
}

function segmentJson(segment: Segment): unknown {
	const { kind, node, device, from, to, group, count, sumNs } = segment;
	const { minNs, p50Ns, p90Ns, p99Ns, p999Ns, maxNs, clockErrorNs, buckets, unmatched } = segment;
	return {
		...{ kind, node, device, from: from === null ? null : segmentEnd(from), to: to === null ? null : segmentEnd(to) },
		...{ group, count, sumNs, minNs, p50Ns, p90Ns, p99Ns, p999Ns, maxNs, clockErrorNs },
		buckets: buckets.map(({ fromNs, toNs, count }) => ({ fromNs, toNs, count })),
		unmatched,
	};
}

function segmentEnd({ node, device, direction, role, pod }: SegmentEnd): SegmentEnd {
	return { node, device, direction, role, pod };
}

function dropJson(drop: DropReport): unknown {
	const { type, time, node, count, kernelReason, kernelFunction, diagnosis, explanation, remedy } = drop;
	const { hop, protocol, source, destination, path } = drop;
	return {
		...{ type, time, node, count, kernelReason, kernelFunction, diagnosis, explanation, remedy },
		hop: hop === null ? null : { device: hop.device, direction: hop.direction, evidence: hop.evidence },
		protocol,
		source: source === null ? null : endpoint(source),
		destination: destination === null ? null : endpoint(destination),
		path,
	};
}

function flowRecordJson(record: FlowRecord): unknown {
	const { type, id, tcpState, handshakeRttNs, resets, firstSeen, lastSeen } = record;
	return {
		...{ type, id, flow: flowJson(record.flow), tunnels: record.tunnels.map(outer) },
		...{ forward: counts(record.forward), reverse: counts(record.reverse), tcpState, handshakeRttNs },
		rtt: record.rtt === null ? null : rtt(record.rtt),
		resets,
		retransmissions: record.retransmissions.map(({ place, count }) => ({ place, count })),
		...{ firstSeen, lastSeen },
	};
}

function counts({ packets, bytes, payloadBytes, lost, dropped, retransmissions }: FlowCounts): FlowCounts {
	return { packets, bytes, payloadBytes, lost, dropped, retransmissions };
}

function rtt({ count, p50Ns, p90Ns, p99Ns, maxNs }: RttQuantiles): RttQuantiles {
	return { count, p50Ns, p90Ns, p99Ns, maxNs };
}

function agentJson(agent: AgentStatus): unknown {
	const { type, address, node, instance, version, kernel, attach, startedAt, uptimeMs, residentBytes } = agent;
	const { clock, warnings } = agent;
	return {
		...{ type, address, node, instance, version, kernel, attach, startedAt, uptimeMs, residentBytes },
		clock: clock === null ? null : { offsetNs: clock.offsetNs, errorNs: clock.errorNs },
		hooks: agent.hooks.map(hook),
		subscribers: agent.subscribers.map(({ id, method, question, delivered, lost }) => ({
			...{ id, method, question, delivered, lost },
		})),
		ledger: agent.ledger.map(stageJson),
		warnings,
	};
}
