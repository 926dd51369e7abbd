import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Drops, type KernelDrop } from "../../src/kernel/drops.js";
import { Hooks } from "../../src/kernel/hooks.js";
import type { Netns } from "../../src/kernel/native.js";
import { KernelSymbols } from "../../src/kernel/symbols.js";
import type { NetnsCookie } from "../../src/packet/hook.js";
import { inSpaces, type Space } from "../native/space.js";

/** What the space floods arrives at `far` for a foreign MAC: the kernel throws all of it away there. */
describe("drops", () => {
	let space: Space;
	let netns: Netns;
	inSpaces((made, opened) => {
		space = made;
		netns = opened;
	});

	it("tells every drop of its namespaces, with the kernel's words, and counts exactly", async () => {
		const drops = new Drops({ slots: null, tunnelPorts: [] });
		const told: KernelDrop[] = [];
		drops.watch([netns.cookie as NetnsCookie]);
		drops.start((some) => told.push(...some));
		const sent = await space.flood({ packets: 1000 });
		const counters = await drops.stop();
		const mine = told.filter(({ destination }) => destination === "10.9.9.2");
		assert.ok(mine.length > 0);
		for (const drop of mine) {
			assert.deepEqual(
				[drop.reason, drop.netns, drop.ifindex, drop.source, drop.destinationPort, drop.protocol, drop.hop],
				["OTHERHOST", netns.cookie, space.far, "10.9.9.1", 9, 17, null],
			);
			assert.match(drop.function ?? "", /^ip_rcv|^ip_sublist_rcv|^ip_list_rcv/);
		}
		const counted = drops.counts().filter(({ reason }) => reason === "OTHERHOST");
		assert.equal(
			counted.reduce((sum, { count }) => sum + count, 0),
			sent,
		);
		assert.equal(counters.seen, counters.unrelated + counters.unknown + counters.foreign + counters.ours);
		assert.equal(counters.ours, counters.emitted + counters.ringFull + counters.skipped);
		assert.equal(counters.emitted, told.length);
		drops.close();
	});

	it("tells nothing of namespaces that are not watched", async () => {
		const drops = new Drops({ slots: null, tunnelPorts: [] });
		const told: KernelDrop[] = [];
		drops.watch([netns.cookie as NetnsCookie]);
		drops.watch([]);
		drops.start((some) => told.push(...some));
		const sent = await space.flood({ packets: 1000 });
		const counters = await drops.stop();
		assert.deepEqual(told, []);
		assert.ok(counters.foreign >= sent);
		drops.close();
	});

	it("says where the tracer saw the packet last", async () => {
		const hooks = new Hooks({ attach: "tcx", ringBytes: 1 << 20, hashSalt: 5n, sample: 0, follow: true });
		hooks.drain((batch) => hooks.release(batch));
		let hookSet = -1;
		const target = {
			netns: netns.cookie as NetnsCookie,
			netnsPath: space.path,
			ifindex: space.far,
			device: "far",
			direction: "ingress" as const,
			l3: false,
		};
		await hooks.attach(
			[target],
			() => ({ rules: [], matchAll: 1, tunnelPorts: [] }),
			(_, id) => {
				hookSet = id;
			},
		);
		const drops = new Drops({ slots: hooks.slotAccess, tunnelPorts: [] });
		const told: KernelDrop[] = [];
		drops.watch([netns.cookie as NetnsCookie]);
		drops.start((some) => told.push(...some));
		await space.flood({ packets: 20, rate: 1000 });
		await drops.stop();
		const mine = told.filter(({ destination }) => destination === "10.9.9.2");
		assert.equal(
			mine.reduce((sum, { standsFor }) => sum + standsFor, 0),
			20,
		);
		for (const { hop } of mine) assert.deepEqual(hop, { hookSet, ifindex: space.far });
		drops.close();
		await hooks.stop();
		await hooks.close();
	});

	it("with no room for another kind tells each drop of it, or counts that the ring was full", async () => {
		const drops = new Drops({ slots: null, tunnelPorts: [], kinds: 1, ringBytes: 4096 });
		const told: KernelDrop[] = [];
		drops.watch([netns.cookie as NetnsCookie]);
		drops.start((some) => told.push(...some));
		const first = await space.flood({ packets: 100, rate: 1000 });
		// Now for its own MAC, but from an address that is its own, too: another reason.
		const [{ address }] = JSON.parse(space.ip("-json", "link", "show", "far")) as [{ address: string }];
		space.ip("neigh", "change", "10.9.9.2", "lladdr", address, "dev", "near", "nud", "permanent");
		const second = await space.flood({ packets: 5000 });
		const counters = await drops.stop();
		const counts = drops.counts();
		assert.deepEqual(
			counts.map(({ reason, count }) => [reason, count]),
			[["OTHERHOST", first]],
			"precondition: there is room for one kind",
		);
		assert.equal(counters.uncounted, second);
		const others = told.filter(({ reason }) => reason !== "OTHERHOST");
		assert.ok(others.every(({ destination, standsFor }) => destination === "10.9.9.2" && standsFor === 1));
		assert.ok(others.length > 0 && counters.ringFull > 0, "precondition: the ring was full, too");
		assert.ok(counters.ringFull >= second - others.length, "what was not told is counted");
		assert.equal(counters.ours, first + second);
		assert.equal(counters.ours, counters.emitted + counters.ringFull + counters.skipped);
		assert.equal(counters.emitted, told.length);
		drops.close();
	});

	it("knows no function at an address that is none", () => {
		assert.equal(new KernelSymbols().functionAt(4096n), null);
	});
});
