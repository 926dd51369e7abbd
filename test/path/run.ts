import assert from "node:assert/strict";
import type { Sightings } from "../../src/packet/sightings.js";
import type { Accounts } from "../../src/path/counters.js";
import { Joiner, type JoinerOptions } from "../../src/path/joiner.js";
import type { JoinedPath, PathSink } from "../../src/path/path-view.js";
import type { Event, Simulator } from "./simulator.js";

export interface Run {
	/** By serial, in their newest revision. */
	readonly paths: readonly JoinedPath[];
	/** As they came, revisions included. */
	readonly told: readonly JoinedPath[];
	readonly accounts: Accounts;
}

export interface RunOptions extends Partial<JoinerOptions> {
	readonly batchSize?: number;
	/** Called before each batch with the Joiner; for losses, clocks … */
	readonly before?: (joiner: Joiner, node: string, rows: Sightings) => void;
	readonly offsets?: Readonly<Record<string, number>>;
	/** Hears of the paths beside `told`. */
	readonly sink?: PathSink;
}

/** Feeds all events of a simulation to a Joiner, node by node, with a watermark behind every batch. */
export function run(simulator: Simulator, options: RunOptions = {}, events: readonly Event[] = simulator.events): Run {
	const { joiner, told } = newJoiner(simulator, options);
	const nodes = [...new Set(simulator.hooks.map(({ node }) => node))];
	const queues = nodes.map((node) => ({
		node,
		batches: simulator.batches(
			events.filter((event) => event.node === node),
			options.batchSize,
		),
	}));
	while (queues.some(({ batches }) => batches.length > 0)) {
		for (const { node, batches } of queues) {
			const rows = batches.shift();
			if (rows === undefined) {
				joiner.watermark(simulator.source(node), Number.MAX_SAFE_INTEGER);
				continue;
			}
			options.before?.(joiner, node, rows);
			joiner.batch(simulator.source(node), rows);
			const last = rows.time[rows.count - 1] as number;
			const next = batches[0]?.time[0] ?? last + 1;
			joiner.watermark(simulator.source(node), Math.min(next, last + 1));
		}
	}
	return finish(joiner, told);
}

export function newJoiner(
	simulator: Simulator,
	{ sink: other, ...options }: Partial<JoinerOptions> & { readonly sink?: PathSink } = {},
) {
	const told: JoinedPath[] = [];
	const sink: PathSink = {
		path: (view) => {
			told.push(view.toPath());
			other?.path(view);
		},
		revise: (view) => {
			told.push(view.toPath());
			other?.revise(view);
		},
	};
	const joiner = new Joiner(
		{ tuples: simulator.tuples, outers: simulator.outers, expectation: simulator.expectation, ...options },
		sink,
	);
	for (const hook of simulator.hooks) joiner.hook(simulator.source(hook.node), hook);
	return { joiner, told };
}

export function finish(joiner: Joiner, told: readonly JoinedPath[]): Run {
	joiner.flush();
	const newest = new Map<number, JoinedPath>();
	for (const path of told) newest.set(path.serial, path);
	const accounts = joiner.counters();
	assertBalance(accounts);
	assert.equal(accounts.queued, 0);
	assert.equal(accounts.openPaths, 0);
	return { paths: [...newest.values()].sort((a, b) => a.serial - b.serial), told, accounts };
}

/** seen = joined + unjoined + lost + queued. */
export function assertBalance(accounts: Accounts): void {
	const unjoined = accounts.unjoined.noTuple + accounts.unjoined.unknownHook;
	const lost = Object.values(accounts.lost).reduce((sum, count) => sum + count, 0);
	assert.equal(accounts.seen, accounts.joined + unjoined + lost + accounts.queued);
}

/** The hooks of a path in words: node-a/vA→i … */
export function hooksOf(simulator: Simulator, path: JoinedPath): string[] {
	return path.hops.map((hop) => simulator.name(hop.hook));
}

/** Which packets the hops of a path really belong to: one number per hop, by its first and last sighting. */
export function truthOf(simulator: Simulator, path: JoinedPath, events = simulator.events): number[][] {
	const index = truthIndex(events);
	return path.hops.map((hop) => {
		const name = simulator.name(hop.hook);
		return [...(index.get(`${name} ${hop.first}`) ?? []), ...(index.get(`${name} ${hop.last}`) ?? [])];
	});
}

const indexes = new WeakMap<readonly Event[], Map<string, readonly number[]>>();

function truthIndex(events: readonly Event[]): Map<string, readonly number[]> {
	const known = indexes.get(events);
	if (known !== undefined) return known;
	const index = new Map<string, readonly number[]>();
	for (const event of events) {
		const key = `${event.node}/${event.hook} ${event.time}`;
		index.set(key, [...(index.get(key) ?? []), ...event.truth]);
	}
	indexes.set(events, index);
	return index;
}

/** No `exact` path holds sightings of two packets. Returns how many paths mix packets at all. */
export function assertNoFalseJoin(
	simulator: Simulator,
	paths: readonly JoinedPath[],
	events = simulator.events,
): number {
	let mixed = 0;
	for (const path of paths) {
		const hops = truthOf(simulator, path, events);
		const common = (hops[0] ?? []).filter((packet) => hops.every((hop) => hop.includes(packet)));
		if (common.length > 0) continue;
		mixed++;
		assert.notEqual(path.evidence, "exact", `an exact path mixes packets: ${JSON.stringify(hops)}`);
	}
	return mixed;
}
