import type { Directory } from "../identity/owner.js";
import { wallClock } from "../path/materialise.js";
import { type EndDevice, nameEnd } from "../path/name-end.js";
import type { Endpoint, OuterHeader, ServiceRef } from "../path/path.js";
import type { Flow, FlowEnd, Tunnel, WayIndex } from "./flow.js";
import type { FlowCounts, FlowRecord } from "./record.js";

/** A flow as of now, without names, and what naming needs. Plain: it may cross threads. */
export interface FlowSnapshot {
	readonly record: FlowRecord;
	readonly sourceDevice: EndDevice | null;
	readonly destinationDevice: EndDevice | null;
	/** Wall clock, for names that were held only then. */
	readonly atMs: number;
}

export interface SnapshotOptions {
	readonly idPrefix: string;
	readonly wallClockBase: bigint;
}

export function snapshotOf(flow: Flow, options: SnapshotOptions): FlowSnapshot {
	const { forward } = flow;
	const reverse: WayIndex = forward === 0 ? 1 : 0;
	const source = flow.ends[forward];
	const destination = flow.ends[reverse];
	const { tcp } = flow;
	const handshake = tcp?.handshakeNs ?? null;
	const record: FlowRecord = {
		type: "flow",
		id: `${options.idPrefix}f${flow.number.toString(36)}`,
		flow: {
			protocol: flow.protocol,
			source: endpointOf(source),
			destination: endpointOf(destination),
			service: serviceOf(destination),
		},
		tunnels: tunnelsOf(flow.tunnels, forward),
		forward: countsOf(flow, forward),
		reverse: countsOf(flow, reverse),
		tcpState: tcp?.state ?? null,
		handshakeRttNs: handshake === null ? null : Math.round(handshake),
		rtt: flow.rtt.quantiles(),
		resets: tcp?.resets ?? 0,
		retransmissions: placesOf(flow),
		firstSeen: wallClock(options.wallClockBase, flow.firstNs),
		lastSeen: wallClock(options.wallClockBase, flow.lastNs),
	};
	return {
		record,
		sourceDevice: source.device,
		destinationDevice: destination.device,
		atMs: Number((options.wallClockBase + BigInt(Math.round(flow.lastNs))) / 1_000_000n),
	};
}

/** Gives the ends and the service their names. */
export function nameFlow(snapshot: FlowSnapshot, directory: Directory): FlowRecord {
	const { record, sourceDevice, destinationDevice, atMs } = snapshot;
	const { flow } = record;
	return {
		...record,
		flow: {
			...flow,
			source: nameEnd(flow.source, sourceDevice, directory, atMs),
			destination: nameEnd(flow.destination, destinationDevice, directory, atMs),
			service: nameService(flow.service, flow.protocol, directory),
		},
	};
}

function nameService(service: ServiceRef | null, protocol: string, directory: Directory): ServiceRef | null {
	if (service === null) return null;
	return { ...service, name: directory.service(service.ip, service.port ?? 0, protocol)?.name ?? null };
}

function endpointOf(end: FlowEnd): Endpoint {
	return { ip: end.address, port: end.port, namespace: null, pod: null, node: end.device?.node ?? null };
}

function serviceOf(end: FlowEnd): ServiceRef | null {
	const { face } = end;
	if (face === null || (face.address === end.address && face.port === end.port)) return null;
	return { ip: face.address, port: face.port, name: null };
}

function countsOf(flow: Flow, way: WayIndex): FlowCounts {
	const { packets, bytes, payloadBytes, lost, dropped, retransmissions } = flow.ways[way];
	return { packets, bytes, payloadBytes, lost, dropped, retransmissions };
}

/** Both directions go through the same pair of ends: turned to the source's view, what one left open the other tells. */
function tunnelsOf(tunnels: readonly Tunnel[], forward: WayIndex): readonly OuterHeader[] {
	const merged: OuterHeader[] = [];
	for (const { way, source, destination, vni } of tunnels) {
		const header = way === forward ? { source, destination, vni } : { source: destination, destination: source, vni };
		const at = merged.findIndex((other) => mayBeSame(other, header));
		const known = merged[at];
		if (known === undefined) merged.push(header);
		else {
			merged[at] = { source: known.source ?? header.source, destination: known.destination ?? header.destination, vni };
		}
	}
	return merged;
}

function mayBeSame(a: OuterHeader, b: OuterHeader): boolean {
	const fits = (left: string | null, right: string | null) => left === null || right === null || left === right;
	return a.vni === b.vni && fits(a.source, b.source) && fits(a.destination, b.destination);
}

/** What is not tied to a loss has no place: the original was lost where nobody watched, or not at all. */
function placesOf(flow: Flow): FlowRecord["retransmissions"] {
	if (flow.tcp === null) return [];
	const counts = new Map<string, number>();
	let unknown = 0;
	for (const way of [0, 1] as const) {
		let tied = 0;
		for (const [place, count] of flow.tcp.repairs(way).places) {
			tied += count;
			if (place === null) unknown += count;
			else counts.set(place, (counts.get(place) ?? 0) + count);
		}
		unknown += Math.max(0, flow.ways[way].retransmissions - tied);
	}
	const known = [...counts].map(([place, count]) => ({ place, count }));
	const sorted = known.sort((a, b) => b.count - a.count || (a.place < b.place ? -1 : 1));
	return unknown === 0 ? sorted : [...sorted, { place: null, count: unknown }];
}
