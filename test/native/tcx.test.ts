import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { addon } from "../../src/kernel/addon.js";
import type { NativeError, Netns } from "../../src/kernel/native.js";
import { answering, Miniature, nativeError } from "./fixture.js";
import { inSpaces, type Space } from "./space.js";
import { eventually, kill, startVictim } from "./spawn.js";

describe("TCX links", () => {
	let space: Space;
	let netns: Netns;
	inSpaces((made, opened) => {
		space = made;
		netns = opened;
	});

	it("sees every packet before a program that ends the chain, and leaves that alone", async () => {
		const foreign = answering(0).program("pass");
		const mini = new Miniature();
		for (const [ifindex, egress] of [
			[space.near, true],
			[space.far, false],
		] as const) {
			const theirs = await addon().attachTcx({ program: foreign, ifindex, egress, netns });
			const ours = await addon().attachTcx({ program: mini.emit, ifindex, egress, netns });
			assert.deepEqual(addon().queryTcx(ifindex, egress, netns), [mini.emit.id, foreign.id]);
			const before = mini.counts().matched;
			const sent = await space.flood({ packets: 1000 });
			assert.equal(mini.counts().matched - before, sent);
			ours.close();
			assert.deepEqual(addon().queryTcx(ifindex, egress, netns), [foreign.id]);
			theirs.close();
		}
		mini.close();
	});

	it("is blind behind such a program, so that the order is what does it", async () => {
		const mini = new Miniature();
		const where = { ifindex: space.far, egress: false, netns };
		const ours = await addon().attachTcx({ ...where, program: mini.emit });
		const theirs = await addon().attachTcx({ ...where, program: answering(0).program("pass") });
		await space.flood({ packets: 1000 });
		assert.equal(mini.counts().matched, 0);
		ours.close();
		theirs.close();
		mini.close();
	});

	it("attaches many at once; one that cannot be is the only one without a link", async () => {
		const mini = new Miniature();
		const at = (ifindex: number, egress: boolean) => ({ program: mini.emit, ifindex, egress, netns });
		const results = await addon().attachTcxAll([at(space.near, true), at(9999, false), at(space.far, false)]);
		assert.deepEqual(
			results.map((result) => (result instanceof Error ? (result as NativeError).code : "link")),
			["link", "ENODEV", "link"],
		);
		assert.deepEqual(addon().queryTcx(space.far, false, netns), [mini.emit.id]);
		for (const result of results) if (!(result instanceof Error)) result.close();
		assert.deepEqual(addon().queryTcx(space.far, false, netns), []);
		mini.close();
	});

	it("reads a sysctl as its namespace has it", () => {
		const own = addon().openNetns(null);
		const key = "/proc/sys/net/ipv4/ip_default_ttl";
		assert.equal(own.readFile(key), readFileSync(key, "latin1"));
		execFileSync("nsenter", [`--net=${space.path}`, "sysctl", "-qw", "net.ipv4.ip_default_ttl=99"]);
		assert.equal(netns.readFile(key), "99\n");
		assert.equal(own.readFile(key), readFileSync(key, "latin1"));
		assert.throws(() => netns.readFile("/proc/sys/net/none"), nativeError("ENOENT"));
		own.close();
	});

	it("updates to another program without a gap", async () => {
		const mini = new Miniature();
		const link = await addon().attachTcx({ program: mini.noop, ifindex: space.far, egress: false, netns });
		await space.flood({ packets: 100 });
		assert.equal(mini.counts().matched, 0);
		link.update(mini.emit);
		await space.flood({ packets: 100 });
		assert.equal(mini.counts().matched, 100);
		assert.deepEqual(addon().queryTcx(space.far, false, netns), [mini.emit.id]);
		link.close();
		link.close();
		assert.throws(() => link.update(mini.noop), nativeError("EBADF"));
		mini.close();
	});

	it("says which device it did not find, and whose link is gone", async () => {
		const mini = new Miniature();
		const where = { program: mini.emit, egress: true, netns };
		await assert.rejects(
			addon().attachTcx({ ...where, ifindex: 4711 }),
			nativeError("ENODEV", /egress of device 4711/),
		);
		const link = await addon().attachTcx({ ...where, ifindex: space.near });
		space.ip("link", "del", "near");
		assert.throws(() => link.update(mini.noop), nativeError("ENOLINK"));
		link.close();
		mini.close();
	});

	it("leaves nothing when it is killed in a flood, and the flood goes on", async () => {
		const victim = await startVictim("tcx", space);
		assert.equal(addon().queryTcx(space.near, true, netns).length, 1);
		const flooding = space.flood({ seconds: 1 });
		await kill(victim);
		assert.ok(
			await eventually(
				() => addon().queryTcx(space.near, true, netns).length + addon().queryTcx(space.far, false, netns).length === 0,
			),
		);
		assert.equal(await flooding, received(space));
	});
});

/** Packets that arrived at far. */
function received(space: Space): number {
	const [link] = JSON.parse(space.ip("-json", "-stats", "link", "show", "far")) as [
		{ stats64: { rx: { packets: number } } },
	];
	return link.stats64.rx.packets;
}
