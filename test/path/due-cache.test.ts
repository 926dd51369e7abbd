import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hook, HookId, NetnsCookie } from "../../src/packet/hook.js";
import { Family } from "../../src/packet/sightings.js";
import type { SourceId } from "../../src/packet/source.js";
import { TupleTable } from "../../src/packet/tuples.js";
import { makeDueCache, Next } from "../../src/path/due-cache.js";
import { HookTable } from "../../src/path/hook-table.js";
import { makeTupleFacts } from "../../src/path/tuple-facts.js";
import type { Due } from "../../src/wiring/model.js";

const HOOKS = 40;
const TUPLES = 3;
/** Answers are told from old ones by as many rounds, which then begin anew. */
const ROUNDS = 2 ** 13;
const GENERATIONS = 2 * ROUNDS + 100;

function setUp(count = TUPLES) {
	const tuples = new TupleTable(2 ** 8);
	const hooks = new HookTable();
	hooks.setSources(["node-a" as SourceId]);
	for (let n = 0; n < HOOKS; n++) hooks.add(bridgePort(n), 0, 0);
	const ids = Array.from({ length: count }, (_, n) => tuples.intern({ ...TUPLE, sourcePort: n + 1 }));
	const expectation = {
		generation: 0,
		asked: 0,
		due(hook: HookId, { sourcePort }: { readonly sourcePort: number }): Due {
			this.asked++;
			const waits = (hook + sourcePort + this.generation) % 2 === 0;
			if (waits) return { kind: "nowhere", reason: "", remedy: null };
			return { kind: "leaves", node: null, address: null };
		},
	};
	const facts = makeTupleFacts(tuples);
	const dues = makeDueCache(expectation, hooks, tuples, facts);
	const right = (hook: number, n: number) =>
		(hook + n + 1 + expectation.generation) % 2 === 0 ? Next.wait : Next.gone;
	return { ids, expectation, facts, dues, right };
}

test("each hook and tuple has its own answer, also of more hooks than a tuple has room for", () => {
	const { ids, dues, right } = setUp();
	for (let times = 0; times < 3; times++) {
		for (let hook = 0; hook < HOOKS; hook++) {
			for (const [n, tuple] of ids.entries()) assert.equal(dues.next(hook, tuple), right(hook, n), `${hook} ${n}`);
		}
	}
});

test("the way through two nodes is asked for once", () => {
	const { ids, dues, expectation } = setUp();
	for (let times = 0; times < 5; times++) {
		for (const hook of [0, 12, 24, 3, 15, 5, 17, 36]) for (const tuple of ids) dues.next(hook, tuple);
	}
	assert.equal(expectation.asked, 8 * TUPLES);
});

test("a new generation voids every answer, however many there were before", () => {
	const { ids, dues, expectation, right } = setUp(200);
	for (const [n, tuple] of ids.entries()) assert.equal(dues.next(1, tuple), right(1, n));
	const rest = [...ids.entries()].slice(1);
	for (; expectation.generation < GENERATIONS; expectation.generation++) {
		const hook = expectation.generation % 13;
		assert.equal(dues.next(hook, ids[0] as number), right(hook, 0), `generation ${expectation.generation}`);
		if (expectation.generation < ROUNDS - 90) continue;
		const [n, tuple] = rest.shift() ?? [0, ids[0] as number];
		assert.equal(dues.next(1, tuple), right(1, n), `generation ${expectation.generation}, of the first`);
	}
});

test("what was known of a tuple is gone with its id", () => {
	const { ids, dues, expectation, facts } = setUp();
	const [tuple = 0] = ids;
	dues.next(1, tuple);
	dues.next(1, tuple);
	assert.equal(expectation.asked, 1);
	facts.forget(tuple);
	dues.next(1, tuple);
	assert.equal(expectation.asked, 2);
});

function bridgePort(n: number): Hook {
	const place = { node: "node-a", netns: "1" as NetnsCookie, ifindex: n + 10, device: `veth${n}`, hookSet: 0 } as const;
	return { ...place, id: n as HookId, direction: "ingress", role: "pod", l3: false, master: 5 };
}

const TUPLE = {
	family: Family.ipv4,
	protocol: 17,
	source: "10.244.1.2",
	destination: "10.244.1.3",
	destinationPort: 53,
} as const;
