import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Pod } from "../../src/identity/owner.js";
import { Owners } from "../../src/identity/owners.js";
import type { NetnsCookie } from "../../src/packet/hook.js";

function pod(name: string, address: string, netns: number, some: Partial<Pod> = {}): Pod {
	return {
		namespace: "default",
		name,
		uid: null,
		node: "node-a",
		addresses: [address],
		sandbox: null,
		netns: String(netns) as NetnsCookie,
		ifindex: 100 + netns,
		device: `veth${netns}`,
		sources: ["cni-cache"],
		...some,
	};
}

const since = (one: Pod, sinceMs: number | null = null) => ({ pod: one, sinceMs });
const ADDRESS = "10.244.1.2";

test("a pod that is gone keeps its name for a minute, for packets of its time", () => {
	const owners = new Owners();
	owners.replace([since(pod("old", ADDRESS, 1))], 1000);
	owners.replace([], 100_000);
	assert.equal(owners.byAddress(ADDRESS, 99_000)?.name, "old");
	assert.equal(owners.byAddress(ADDRESS, 101_000)?.name, "old", "reported late");
	owners.replace([], 170_000);
	assert.equal(owners.byAddress(ADDRESS, 99_000), null);
});

test("an address used again: each time has its own name, and in between nobody is guessed at", () => {
	const owners = new Owners();
	owners.replace([since(pod("old", ADDRESS, 1))], 1000);
	owners.replace([], 50_000);
	owners.replace([since(pod("new", ADDRESS, 2))], 53_000);
	const name = (at: number) => owners.byAddress(ADDRESS, at)?.name ?? null;
	assert.deepEqual([name(49_999), name(50_500), name(53_000), name(60_000)], ["old", null, "new", "new"]);
	assert.equal(owners.byNetns("1" as NetnsCookie, 60_000)?.name, "old", "a namespace is nobody else's ever");
});

test("an address that somebody without a name has got is nobody's, but for packets of its former holder's time", () => {
	const owners = new Owners();
	owners.replace([since(pod("old", ADDRESS, 1))], 1000);
	owners.replace([], 50_000);
	assert.equal(owners.byAddress(ADDRESS, 50_500)?.name, "old", "precondition: nobody has followed");
	owners.replace([], 50_600, new Map([[ADDRESS, "1" as NetnsCookie]]));
	assert.equal(owners.byAddress(ADDRESS, 50_700)?.name, "old", "it has lost its name, and nothing else");
	owners.replace([], 51_000, new Map([[ADDRESS, "2" as NetnsCookie]]));
	const restored = new Owners();
	restored.restore(JSON.parse(JSON.stringify(owners.all())));
	for (const known of [owners, restored]) {
		assert.deepEqual([known.byAddress(ADDRESS, 49_999)?.name, known.byAddress(ADDRESS, 50_500)], ["old", null]);
		assert.equal(known.byNetns("1" as NetnsCookie, 51_500)?.name, "old", "a namespace is nobody else's ever");
	}
	owners.replace([], 52_000);
	assert.equal(owners.byAddress(ADDRESS, 52_000), null, "he may have gone since");
});

test("a pod's first packets come before its name is known", () => {
	const owners = new Owners();
	owners.replace([since(pod("other", "10.244.1.9", 9))], 1000);
	owners.replace([since(pod("other", "10.244.1.9", 9)), since(pod("new", ADDRESS, 2))], 20_000);
	assert.equal(owners.byAddress(ADDRESS, 17_000)?.name, "new");
	assert.equal(owners.byAddress(ADDRESS, 10_000), null, "ten seconds before it is not it");
});

test("a better name takes the place of a namespace's name for all of its life", () => {
	const owners = new Owners();
	owners.replace([], 1);
	owners.replace([since(pod("cni-1234", ADDRESS, 2, { namespace: "netns" }))], 1000);
	owners.replace([since(pod("web", ADDRESS, 2))], 2000);
	assert.equal(owners.byAddress(ADDRESS, 1500)?.name, "web");
	assert.equal(owners.byDevice("node-a", 102, 1500)?.name, "web");
});

test("two at once are a conflict, not a choice", () => {
	const owners = new Owners();
	owners.replace([since(pod("a", ADDRESS, 1)), since(pod("b", ADDRESS, 2))], 1000);
	assert.equal(owners.byAddress(ADDRESS, 2000), null);
	assert.equal(owners.byNetns("2" as NetnsCookie, 2000)?.name, "b");
});

test("whatever comes and goes, a name is only ever given to its own pod's packets", () => {
	// Each step: which pod, if any, holds the address from then on; the truth is the list itself.
	const history = fc.array(fc.record({ after: fc.integer({ min: 1, max: 90_000 }), held: fc.boolean() }), {
		maxLength: 12,
	});
	fc.assert(
		fc.property(history, fc.array(fc.nat({ max: 60_000 }), { minLength: 1, maxLength: 20 }), (steps, ages) => {
			const owners = new Owners();
			const truth: { name: string; from: number; until: number }[] = [];
			let now = 0;
			owners.replace([], now);
			for (const [i, step] of steps.entries()) {
				now += step.after;
				const last = truth.at(-1);
				if (last !== undefined && last.until === Number.POSITIVE_INFINITY) last.until = now;
				if (step.held) truth.push({ name: `pod${i}`, from: now, until: Number.POSITIVE_INFINITY });
				owners.replace(step.held ? [since(pod(`pod${i}`, ADDRESS, i))] : [], now);
			}
			// Paths are reported within seconds; what is older than a minute is not asked for.
			for (const at of ages.map((age) => Math.max(0, now - age + 1))) {
				const named = owners.byAddress(ADDRESS, at)?.name;
				const holder = truth.find(({ from, until }) => from <= at && at < until)?.name;
				if (named !== undefined && holder !== undefined) assert.equal(named, holder);
			}
		}),
		{ seed: 7 },
	);
});
