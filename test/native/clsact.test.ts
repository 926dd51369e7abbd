import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { addon } from "../../src/kernel/addon.js";
import type { Netns } from "../../src/kernel/native.js";
import { Miniature, nativeError } from "./fixture.js";
import { Space } from "./space.js";
import { eventually, finish, kill, startVictim, watchdogsIn } from "./spawn.js";

const FOREIGN = fileURLToPath(new URL("foreign.bpf.o", import.meta.url));

describe("clsact filters", () => {
	let space: Space;
	let netns: Netns;
	let mini: Miniature;
	beforeEach(() => {
		space = new Space();
		netns = addon().openNetns(space.path);
		mini = new Miniature();
	});
	afterEach(() => {
		mini.close();
		netns.close();
		space.close();
	});

	function attach(device: "near" | "far" = "far", egress = false) {
		return addon().attachClsact({ program: mini.emit, ifindex: space[device], egress, netns });
	}

	function filters(): string {
		return ["near", "far"].flatMap((device) => [show(device, "ingress"), show(device, "egress")]).join("");
	}

	function show(device: string, side: string): string {
		return space.tc("filter", "show", "dev", device, side);
	}

	it("sees every packet, both ways, and takes away what it made", async () => {
		const links = [attach("near", true), attach("far", false)];
		assert.match(show("far", "ingress"), /pref 1 bpf.*handle 0x77656674 weft\/[0-9a-f]{16}\+qdisc direct-action/s);
		const sent = await space.flood({ packets: 1000 });
		assert.equal(mini.counts().matched, 2 * sent);
		for (const link of links) link.update(mini.noop);
		await space.flood({ packets: 1000 });
		assert.equal(mini.counts().matched, 2 * sent);
		for (const link of links) link.close();
		for (const link of links) link.close();
		assert.doesNotMatch(space.tc("qdisc", "show"), /clsact/);
		assert.throws(() => (links[0] as (typeof links)[0]).update(mini.noop), nativeError("EBADF"));
	});

	it("keeps a qdisc on which it has a hook left", () => {
		const [ingress, egress] = [attach("far", false), attach("far", true)];
		ingress.close();
		assert.match(space.tc("qdisc", "show", "dev", "far"), /clsact/);
		assert.match(show("far", "egress"), /weft/);
		egress.close();
		assert.doesNotMatch(space.tc("qdisc", "show", "dev", "far"), /clsact/);
	});

	/** Matches everything and lets it pass: what comes behind it sees nothing. */
	function foreignPass(device: string, side: string, priority: string): void {
		const match = ["protocol", "all", "prio", priority, "u32", "match", "u32", "0", "0", "flowid", "1:1"];
		space.tc("filter", "add", "dev", device, side, ...match);
	}

	function foreignDrop(device: string, side: string, priority: string): void {
		const drop = ["prio", priority, "bpf", "direct-action", "object-file", FOREIGN, "section", "classifier"];
		space.tc("filter", "add", "dev", device, side, ...drop);
	}

	it("neither is blinded by foreign filters behind it nor touches them or their qdisc", async () => {
		space.tc("qdisc", "add", "dev", "far", "clsact");
		foreignPass("far", "ingress", "10");
		foreignDrop("far", "ingress", "5");
		const before = filters();
		const link = attach();
		assert.equal(link.behind, 0);
		const sent = await space.flood({ packets: 1000 });
		assert.equal(mini.counts().matched, sent);
		assert.notEqual(filters(), before);
		link.close();
		assert.equal(filters(), before);
		assert.match(space.tc("qdisc", "show", "dev", "far"), /clsact/);
	});

	it("says when a foreign filter stands before it, which it cannot help", async () => {
		space.tc("qdisc", "add", "dev", "far", "clsact");
		foreignPass("far", "ingress", "1");
		const link = attach();
		assert.equal(link.behind, 1);
		assert.match(show("far", "ingress"), /pref 2 bpf/);
		await space.flood({ packets: 1000 });
		assert.equal(mini.counts().matched, 0);
		link.close();
	});

	it("keeps its own qdisc when somebody put a filter on it meanwhile", () => {
		const link = attach();
		foreignPass("far", "egress", "9");
		link.close();
		assert.match(show("far", "egress"), /u32/);
		assert.doesNotMatch(filters(), /weft/);
	});

	it("refuses egress where somebody's ingress qdisc has none", () => {
		space.tc("qdisc", "add", "dev", "far", "ingress");
		const link = attach("far", false);
		assert.throws(() => attach("far", true), nativeError("EBUSY", /somebody else's ingress qdisc/));
		link.close();
		assert.match(space.tc("qdisc", "show", "dev", "far"), /ingress/);
	});

	it("says which device it did not find, and that its filter is gone", () => {
		assert.throws(
			() => addon().attachClsact({ program: mini.emit, ifindex: 4711, egress: false, netns }),
			nativeError("ENODEV"),
		);
		const link = attach();
		space.tc("qdisc", "del", "dev", "far", "clsact");
		assert.throws(
			() => link.update(mini.noop),
			(cause: { code?: string }) => /^(ENOENT|EINVAL)$/.test(cause.code ?? ""),
		);
		link.close();
	});

	it("lives beside another weft on the same hook", async () => {
		const victim = await startVictim("clsact", space);
		const link = attach();
		const sent = await space.flood({ packets: 1000 });
		assert.equal(mini.counts().matched, sent);
		await finish(victim);
		assert.equal(show("far", "ingress").match(/weft/g)?.length, 1);
		assert.doesNotMatch(show("near", "egress"), /weft/);
		link.close();
		assert.doesNotMatch(space.tc("qdisc", "show"), /clsact/);
	});

	it("is removed by its watchdog when it is killed in a flood, and the flood goes on", async () => {
		const victim = await startVictim("clsact", space);
		assert.equal(filters().match(/weft/g)?.length, 2);
		const flooding = space.flood({ seconds: 1 });
		await kill(victim);
		assert.ok(await eventually(() => !/clsact/.test(space.tc("qdisc", "show"))), filters());
		assert.ok((await flooding) > 0);
		assert.ok(await eventually(() => watchdogsIn(netns.inode).length === 0), "a watchdog is left");
	});

	it("leaves the foreign to the watchdog's care, too", async () => {
		const victim = await startVictim("clsact", space);
		foreignPass("far", "ingress", "7");
		await kill(victim);
		assert.ok(await eventually(() => !/weft/.test(filters())), filters());
		assert.match(show("far", "ingress"), /u32/);
		assert.ok(await eventually(() => !/clsact/.test(space.tc("qdisc", "show", "dev", "near"))));
	});

	it("is found and removed by its name when its watchdog was killed with it; the living keep theirs", async () => {
		const victim = await startVictim("clsact", space);
		assert.equal(addon().removeStaleClsact(netns), 0);
		assert.equal(filters().match(/weft/g)?.length, 2);
		const watchdogs = watchdogsIn(netns.inode);
		assert.equal(watchdogs.length, 1);
		for (const pid of watchdogs) process.kill(pid, "SIGKILL");
		await kill(victim);
		assert.equal(filters().match(/weft/g)?.length, 2);
		assert.equal(addon().removeStaleClsact(netns), 2);
		assert.doesNotMatch(space.tc("qdisc", "show"), /clsact/);
	});

	it("adopts nothing of a dead weft: what that left goes when the next begins", async () => {
		const victim = await startVictim("clsact", space);
		for (const pid of watchdogsIn(netns.inode)) process.kill(pid, "SIGKILL");
		await kill(victim);
		const link = attach();
		assert.equal(filters().match(/weft/g)?.length, 1);
		link.close();
		assert.doesNotMatch(space.tc("qdisc", "show"), /clsact/);
	});
});
