import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { addon } from "../../src/kernel/addon.js";
import { EventFlag, Family } from "../../src/packet/sightings.js";
import { type Drop, DropWatch, ORIGIN } from "./drop-watch.js";
import { TestNamespace } from "./namespace.js";
import { type Knobs, Tracer } from "./tracer.js";

const LOOPBACK = 1;
const CLOSED = 9;

/** One datagram to a port where nobody listens. */
function knock(namespace: TestNamespace, times = 1): void {
	namespace.run(
		"bash",
		"-c",
		`exec 3>/dev/udp/127.0.0.1/${CLOSED}; for ((i = 0; i < ${times}; i++)); do echo "$i" >&3 2>/dev/null; done; true`,
	);
}

/** How many datagrams the namespace itself says found no socket: a refusal makes every other send fail. */
function noPorts(namespace: TestNamespace): number {
	const [names = [], values = []] = namespace
		.run("cat", "/proc/net/snmp")
		.split("\n")
		.filter((line) => line.startsWith("Udp:"))
		.map((line) => line.split(" "));
	return Number(values[names.indexOf("NoPorts")]);
}

async function watching(
	script: (parts: {
		ours: TestNamespace;
		foreign: TestNamespace;
		watch: DropWatch;
		tracer: Tracer;
	}) => void | Promise<void>,
	knobs: Knobs = {},
): Promise<{ readonly drops: readonly Drop[]; readonly counters: Readonly<Record<string, number>> }> {
	const ours = new TestNamespace();
	const foreign = new TestNamespace();
	const tracer = new Tracer();
	try {
		const { trace } = tracer.load({ matchAll: 1, follow: true, netns: 4, hookSet: 17 });
		const link = await addon().attachTcx({ program: trace, ifindex: LOOPBACK, egress: false, netns: ours.netns });
		const watch = new DropWatch(new Map([[ours.netns.cookie, 4]]), tracer, knobs);
		try {
			await script({ ours, foreign, watch, tracer });
			await sleep(100);
			const drops = await watch.finish();
			return { drops, counters: watch.counters() };
		} finally {
			watch.close();
			link.close();
		}
	} finally {
		await tracer.finish();
		tracer.close();
		foreign.close();
		ours.close();
	}
}

describe("dropped packets", () => {
	it("tell what they were, whose, why, and at which hook they were seen last", async () => {
		const { drops } = await watching(({ ours }) => knock(ours));
		const [drop, ...others] = drops.filter((each) => each.reason === "NO_SOCKET");
		assert.ok(drop !== undefined, `only ${drops.map((each) => each.reason).join()}`);
		assert.equal(others.length, 0);
		assert.equal(drop.source, "127.0.0.1");
		assert.equal(drop.destination, "127.0.0.1");
		const { numbers } = drop;
		assert.equal(numbers["protocol"], 17);
		assert.equal(numbers["destination_port"], CLOSED);
		assert.equal(numbers["payload_length"], 2);
		assert.equal(numbers["length"], 30);
		assert.equal(numbers["ifindex"], LOOPBACK);
		assert.equal((numbers["flags"] ?? 0) & EventFlag.familyMask, Family.ipv4);
		assert.equal((numbers["flags"] ?? 0) >> EventFlag.parseShift, 0);
		assert.equal((numbers["origin"] ?? 0) & ORIGIN.hop, ORIGIN.hop, "the tracer's slot knows it");
		assert.equal(numbers["hop_ifindex"], LOOPBACK);
		assert.equal(numbers["hop_hook_set"], 17);
	});

	it("are told by a firewall's rule, and of ICMP and IPv6 too", async () => {
		const { drops } = await watching(({ ours }) => {
			ours.run("nft", "add table inet weft; add chain inet weft in { type filter hook input priority 0; }");
			ours.run("nft", "add rule inet weft in meta l4proto { icmp, icmpv6 } drop");
			ours.run("sh", "-c", "ping -c 1 -W 0.2 127.0.0.1; ping -c 1 -W 0.2 ::1; true");
		});
		const dropped = drops.filter((each) => each.reason === "NETFILTER_DROP");
		assert.deepEqual(
			dropped.map((each) => [each.numbers["protocol"], (each.numbers["destination_port"] ?? 0) >> 8]),
			[
				[1, 8],
				[58, 128],
			],
		);
		assert.ok(dropped.every((each) => ((each.numbers["origin"] ?? 0) & ORIGIN.hop) !== 0));
	});

	it("are the pod's when its kernel answered, also where the machine's first namespace is watched, whose socket that was", async () => {
		const first = addon().openNetns(null);
		const ours = new TestNamespace();
		const asking = new TestNamespace();
		try {
			ours.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", asking.name);
			for (const [namespace, device, address] of [
				[ours, "near", "192.0.2.1/24"],
				[asking, "far", "192.0.2.2/24"],
			] as const) {
				namespace.run("ip", "address", "add", address, "dev", device);
				namespace.run("ip", "link", "set", device, "up");
			}
			// The one that asks knows where to, and never says where it is: the answer waits for a neighbour in vain.
			const [, mac = ""] = /link\/ether (\S+)/.exec(ours.run("ip", "link", "show", "near")) ?? [];
			asking.run("ip", "neigh", "add", "192.0.2.1", "lladdr", mac, "dev", "far");
			asking.run("sysctl", "-qw", "net.ipv4.conf.far.arp_ignore=8");
			ours.run("sysctl", "-qw", "net.ipv4.neigh.near.mcast_solicit=1", "net.ipv4.neigh.near.retrans_time_ms=100");
			const watch = new DropWatch(
				new Map([
					[ours.netns.cookie, 4],
					[first.cookie, 5],
				]),
			);
			try {
				asking.run("sh", "-c", "ping -c 1 -W 0.2 192.0.2.1; true");
				await sleep(1000);
				const drops = await watch.finish();
				const answers = drops.filter(({ source }) => source === "192.0.2.1");
				assert.deepEqual(
					answers.map(({ reason, cookie, numbers }) => [reason, cookie, numbers["origin"]]),
					[["NEIGH_FAILED", ours.netns.cookie, ORIGIN.device]],
				);
			} finally {
				watch.close();
			}
		} finally {
			first.close();
			asking.close();
			ours.close();
		}
	});

	it("of other namespaces are counted, and no more", async () => {
		let sent = 0;
		const { drops, counters } = await watching(({ foreign }) => {
			knock(foreign, 50);
			sent = noPorts(foreign);
		});
		assert.ok(sent > 10 && (counters["foreign"] ?? 0) >= sent);
		assert.equal(drops.filter((each) => each.reason === "NO_SOCKET").length, 0);
	});

	it("in a flood are all counted, and the records say how many they stand for", async () => {
		let sent = 0;
		let counted = 0;
		const { drops, counters } = await watching(async ({ ours, watch }) => {
			knock(ours, 5_000);
			await sleep(400);
			knock(ours);
			sent = noPorts(ours);
			counted = watch.counts().get("NO_SOCKET") ?? 0;
		});
		assert.ok(sent > 1000, `a flood: ${sent}`);
		assert.equal(counted, sent);
		const { seen = 0, unrelated = 0, unknown = 0, foreign = 0, ours = 0 } = counters;
		assert.equal(seen, unrelated + unknown + foreign + ours);
		assert.equal(counters["uncounted"], 0);
		assert.equal(ours, (counters["emitted"] ?? 0) + (counters["skipped"] ?? 0) + (counters["ring_full"] ?? 0));
		assert.equal(drops.length, counters["emitted"]);
		const told = drops.filter((each) => each.reason === "NO_SOCKET");
		assert.ok(told.length < sent, "not each has a record");
		const stands = told.reduce((sum, each) => sum + 1 + (each.numbers["skipped"] ?? 0), 0);
		assert.ok(stands <= sent);
		assert.ok(stands >= told.length);
	});
});

describe("the drop program", () => {
	it("says how often it was skipped", async () => {
		await watching(({ ours, watch }) => {
			knock(ours);
			assert.ok(watch.program.missed() >= 0);
		});
	});
});
