import assert from "node:assert/strict";
import { test } from "node:test";
import { VerdictCount } from "../../src/collector/verdict-count.js";

const at = (place: string) => () => place;

test("counts each path once, by its newest verdict", () => {
	const counts = new VerdictCount();
	counts.add(1, "delivered", at(""));
	counts.add(2, "lost", at("flannel.1→e @node-a"));
	counts.add(3, "lost", at("flannel.1→e @node-a"));
	counts.add(4, "dropped", at("cni0→i @node-b"));
	assert.equal(counts.revise(2, "dropped", at("flannel.1→e @node-a")), true);
	assert.deepEqual(counts.counts, { delivered: 1, forwarded: 0, dropped: 2, lost: 1, incomplete: 0 });
	assert.deepEqual(counts.blames(), [
		{ place: "flannel.1→e @node-a", verdict: "lost", count: 1 },
		{ place: "cni0→i @node-b", verdict: "dropped", count: 1 },
		{ place: "flannel.1→e @node-a", verdict: "dropped", count: 1 },
	]);
});

test("a revision of a path that the filter left out counts nothing", () => {
	const counts = new VerdictCount();
	counts.add(1, "delivered", at(""));
	assert.equal(counts.revise(2, "dropped", at("x")), false);
	// The slot is another path's by now.
	assert.equal(counts.revise(1 + 2 ** 16, "dropped", at("x")), false);
	assert.equal(counts.counts.dropped, 0);
});
