import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { NO_PORTALS } from "../../src/identity/kube-proxy.js";
import { NodeRules } from "../../src/identity/node-rules.js";
import { parseGeneration, RuleGeneration } from "../../src/identity/rule-generation.js";
import { addon } from "../../src/kernel/addon.js";
import { NETFILTER } from "../../src/wiring/netlink.js";

/** Rules that count how often they are listed. */
function counted(generation: { now: number | null } | null) {
	let listings = 0;
	let closed = 0;
	const asked = generation && { read: () => generation.now, close: () => closed++ };
	const rules = new NodeRules(null, asked, () => {
		listings++;
		return Promise.resolve({ portals: NO_PORTALS, warnings: [], legacy: false });
	});
	return { rules, listings: () => listings, closed: () => closed };
}

test("rules are listed at once, and again only when their generation has changed", async () => {
	const generation: { now: number | null } = { now: 7 };
	const { rules, listings, closed } = counted(generation);
	assert.equal(listings(), 1, "whoever makes it has other things to do meanwhile");
	assert.notEqual(await rules.read(), null, "the first listing");
	assert.equal(await rules.read(), null);
	assert.equal(await rules.read(), null);
	assert.equal(listings(), 1);
	generation.now = 8;
	assert.notEqual(await rules.read(), null);
	assert.equal(await rules.read(), null);
	assert.equal(listings(), 2);
	rules.close();
	assert.equal(closed(), 1);
});

test("where nobody tells of changes, each reading lists the rules", async () => {
	for (const generation of [null, { now: null }]) {
		const { rules, listings } = counted(generation);
		for (let i = 0; i < 3; i++) assert.notEqual(await rules.read(), null);
		assert.equal(listings(), 3);
	}
});

test("a generation is read from the kernel's answer", () => {
	// struct nlmsghdr, struct nfgenmsg, NFTA_GEN_ID in network order.
	const answer = Buffer.from(`1c0000000f0a00000100000000000000${"00000001"}${"0800010000010203"}`, "hex");
	assert.equal(parseGeneration(answer), 0x010203);
	assert.equal(parseGeneration(Buffer.alloc(0)), null);
});

test("the kernel raises the generation of a namespace with each change of its rules, of its own alone", {
	skip: process.getuid?.() !== 0 && "needs root",
}, () => {
	const name = `wf-rules-${process.pid}`;
	const other = `${name}-other`;
	const generationOf = (netns: string) => {
		const opened = addon().openNetns(`/run/netns/${netns}`);
		try {
			return new RuleGeneration(addon().openNetlink(opened, NETFILTER));
		} finally {
			opened.close();
		}
	};
	try {
		for (const netns of [name, other]) execFileSync("ip", ["netns", "add", netns]);
		const [here, there] = [generationOf(name), generationOf(other)];
		const [before, elsewhere] = [here.read(), there.read()];
		assert.notEqual(before, null);
		assert.equal(here.read(), before, "to ask changes nothing");
		execFileSync("ip", ["netns", "exec", name, "iptables", "-t", "nat", "-A", "PREROUTING", "-j", "ACCEPT"]);
		assert.notEqual(here.read(), before);
		assert.equal(there.read(), elsewhere);
		here.close();
		there.close();
	} finally {
		for (const netns of [name, other]) execFileSync("ip", ["netns", "del", netns], { stdio: "ignore" });
	}
});
