import type { Endpoint, Flow, Hop, Path } from "../path/path.js";
import { type GroupBy, OTHER } from "./group.js";
import { Histogram } from "./histogram.js";
import type { Segment, SegmentEnd } from "./report.js";
import { type SegmentPlace, segmentOf } from "./segment.js";

/** Pairs of nodes that are told apart; packets between further ones are those of the group "other". */
const MOST_WIRES = 256;
/** Groups of a wire that are told apart; the rest is "other". */
const MOST_GROUPS = 100;
/** Samples are told whose clocks were known up to four times as badly as the best known. */
const WORSE_OCTAVES = 2;

/**
 * How long packets are between the NIC of one node and that of the next, by paths that were joined from both nodes'
 * sightings. Only a join by what no other packet has makes a sample; a packet without one is counted by the reason.
 * Times are the difference of two nodes' clocks: `clockErrorNs` is the worst that they may have been apart. Pure.
 */
export class WireTimes {
	readonly #by: GroupBy | null;
	readonly #isWatched: (node: string) => boolean;
	readonly #wires = new Map<string, Wire>();

	/** @param isWatched whether sightings of a node are joined, too: what goes elsewhere is on no wire between agents */
	constructor(by: GroupBy | null, isWatched: (node: string) => boolean) {
		this.#by = by;
		this.#isWatched = isWatched;
	}

	/** A path, with at least the sightings of NICs. A later revision of it says nothing new. */
	path(path: Path): void {
		if (path.revision > 0) return;
		for (const [n, hop] of path.hops.entries()) {
			const before = path.hops[n - 1];
			if (before === undefined || before.node === hop.node || before.branch !== hop.branch) continue;
			if (!leaves(before) || !arrives(hop)) continue;
			const wire = this.#wire(before.node, hop.node, endOf(before), endOf(hop));
			if (path.evidence !== "exact") wire.miss(path.evidence);
			else if (!hasOwnKey(path)) wire.miss("order");
			else wire.sample(hop.sincePreviousNs, path.clockErrorNs, this.#groupOf(path, before, hop));
		}
		this.#unseenAtEitherEnd(path);
	}

	/** What came since the last call. */
	interval(): readonly Segment[] {
		return [...this.#wires.values()].flatMap((wire) => wire.interval());
	}

	/** Since the beginning. */
	total(): readonly Segment[] {
		return [...this.#wires.values()].flatMap((wire) => wire.total());
	}

	/** Departures without an arrival, and arrivals without a departure, where both nodes are watched. */
	#unseenAtEitherEnd({ hops, flow, verdict }: Path): void {
		const [first, last] = [hops[0], hops.at(-1)];
		const [source, destination] = [flow.source.node, flow.destination.node];
		if (first !== undefined && arrives(first) && this.#isOther(source, first)) {
			this.#wire(source, first.node, null, endOf(first)).miss("departureUnseen");
		}
		if (last !== undefined && leaves(last) && this.#isOther(destination, last)) {
			const reason = verdict === "lost" || verdict === "dropped" ? verdict : "arrivalUnseen";
			this.#wire(last.node, destination, endOf(last), null).miss(reason);
		}
	}

	#isOther(node: string | null, hop: Hop): node is string {
		return node !== null && node !== hop.node && this.#isWatched(node);
	}

	#wire(from: string, to: string, left: SegmentEnd | null, reached: SegmentEnd | null): Wire {
		const isKnown = this.#wires.has(`${from} ${to}`) || this.#wires.size < MOST_WIRES;
		const key = isKnown ? `${from} ${to}` : OTHER;
		const known = this.#wires.get(key);
		if (known !== undefined) {
			known.from ??= left;
			known.to ??= reached;
			return known;
		}
		const wire = isKnown ? new Wire(from, left, reached, null) : new Wire("", null, null, OTHER);
		this.#wires.set(key, wire);
		return wire;
	}

	#groupOf({ flow }: Path, from: Hop, to: Hop): string | null {
		switch (this.#by) {
			case null:
				return null;
			case "port":
				return `${from.device} → ${to.device}`;
			case "protocol":
				return flow.protocol;
			case "pod":
				return `${nameOf(flow.source)} → ${nameOf(flow.destination)}`;
			case "flow":
				return flowName(flow);
		}
	}
}

/** From one node to another, in one direction. */
class Wire {
	/** Null: nothing was seen there yet. */
	from: SegmentEnd | null;
	to: SegmentEnd | null;
	readonly #node: string;
	readonly #group: string | null;
	readonly #all = new Tally();
	#since = new Tally();

	constructor(node: string, from: SegmentEnd | null, to: SegmentEnd | null, group: string | null) {
		this.#node = node;
		this.from = from;
		this.to = to;
		this.#group = group;
	}

	/** The clocks may make it negative, which no wire is: then nothing is as near to the truth as can be told. */
	sample(ns: number, clockErrorNs: number, group: string | null): void {
		for (const tally of [this.#all, this.#since]) tally.sample(Math.max(0, ns), clockErrorNs, group);
	}

	miss(reason: string): void {
		for (const tally of [this.#all, this.#since]) tally.miss(reason);
	}

	interval(): Segment[] {
		const tally = this.#since;
		this.#since = new Tally();
		return tally.isEmpty ? [] : tally.segments(this.#place());
	}

	total(): Segment[] {
		return this.#all.segments(this.#place());
	}

	#place(): SegmentPlace {
		return { kind: "wire", node: this.#node, device: null, from: this.from, to: this.to, group: this.#group };
	}
}

/**
 * Samples by how well the clocks were known then, in octaves of the error. At first they are known badly; traffic both
 * ways then ties them within some µs. Told are the samples near the best; the others count as `clock`.
 */
class Tally {
	readonly #samples = new Map<number, Sorted>();
	readonly #groups = new Set<string>();
	readonly #unmatched: Record<string, number> = {};

	get isEmpty(): boolean {
		return this.#samples.size === 0 && Object.keys(this.#unmatched).length === 0;
	}

	sample(ns: number, clockErrorNs: number, group: string | null): void {
		const octave = clockErrorNs < 1 ? 0 : Math.ceil(Math.log2(clockErrorNs));
		const sorted = this.#samples.get(octave) ?? new Sorted();
		this.#samples.set(octave, sorted);
		sorted.clockErrorNs = Math.max(sorted.clockErrorNs, clockErrorNs);
		sorted.all.record(ns);
		if (group !== null) sorted.group(this.#nameOf(group)).record(ns);
	}

	miss(reason: string): void {
		this.#unmatched[reason] = (this.#unmatched[reason] ?? 0) + 1;
	}

	segments(place: SegmentPlace): Segment[] {
		const best = Math.min(...this.#samples.keys());
		const told = new Sorted();
		let clock = 0;
		for (const [octave, sorted] of this.#samples) {
			if (octave <= best + WORSE_OCTAVES) told.add(sorted);
			else clock += sorted.all.count;
		}
		const { clockErrorNs } = told;
		const unmatched = { ...this.#unmatched, ...(clock > 0 && { clock }) };
		const groups = [...told.groups].sort(([, a], [, b]) => b.count - a.count);
		return [
			segmentOf(place, told.all, { clockErrorNs, unmatched }),
			...groups.map(([group, histogram]) => segmentOf({ ...place, group }, histogram, { clockErrorNs, unmatched: {} })),
		];
	}

	#nameOf(group: string): string {
		if (!this.#groups.has(group) && this.#groups.size >= MOST_GROUPS) return OTHER;
		this.#groups.add(group);
		return group;
	}
}

/** As a whole and by groups. */
class Sorted {
	readonly all = new Histogram();
	readonly groups = new Map<string, Histogram>();
	clockErrorNs = 0;

	group(name: string): Histogram {
		const histogram = this.groups.get(name) ?? new Histogram();
		this.groups.set(name, histogram);
		return histogram;
	}

	add({ all, groups, clockErrorNs }: Sorted): void {
		this.all.add(all);
		for (const [name, histogram] of groups) this.group(name).add(histogram);
		this.clockErrorNs = Math.max(this.clockErrorNs, clockErrorNs);
	}
}

/**
 * Nothing that is sent soon looks the same. A datagram without an IP ID may have a twin that comes a little later, or
 * that was lost: then it was told as exact when only one of them was known.
 */
function hasOwnKey({ flow, packet }: Path): boolean {
	if (packet.ipId !== null && packet.ipId !== 0) return true;
	if (packet.flags !== null) return packet.payload > 0 || /[SF]/.test(packet.flags);
	return ECHOES[flow.protocol]?.includes(packet.icmp?.type ?? -1) ?? false;
}

const ECHOES: Readonly<Record<string, readonly number[]>> = { icmp: [0, 8], icmpv6: [128, 129] };

function leaves({ role, direction }: Hop): boolean {
	return role === "nic" && direction === "egress";
}

function arrives({ role, direction }: Hop): boolean {
	return role === "nic" && direction === "ingress";
}

function endOf({ node, device, direction, role }: Hop): SegmentEnd {
	return { node, device, direction, role, pod: null };
}

function nameOf({ namespace, pod, ip }: Endpoint): string {
	return pod === null ? (ip ?? "?") : `${namespace}/${pod}`;
}

/** Both ends in one order, so that replies are of the flow. */
function flowName({ protocol, source, destination }: Flow): string {
	const end = (endpoint: Endpoint) => {
		const name = nameOf(endpoint);
		if (endpoint.port === null) return name;
		return `${name.includes(":") ? `[${name}]` : name}:${endpoint.port}`;
	};
	return `${protocol} ${[end(source), end(destination)].sort().join(" ↔ ")}`;
}
