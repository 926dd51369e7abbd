import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { addon } from "../../src/kernel/addon.js";
import { readWiring } from "../../src/wiring/snapshot.js";
import { WiringView } from "../../src/wiring/view.js";
import { type WiringChange, WiringWatch } from "../../src/wiring/watch.js";
import { until } from "../until.js";
import { LiveNode } from "./node.js";

describe("a live node", () => {
	let node: LiveNode;
	const options = () => ({ native: addon(), node: "node-a", netns: node.path, hostRoot: null });

	before(() => {
		node = new LiveNode("w");
		node.pod("p1", "10.244.1.2");
	});
	after(() => node.remove());

	test("a snapshot pairs both ends of each veth and finds the pod's address behind it", () => {
		const { wiring, warnings } = readWiring(options());
		assert.deepEqual(warnings, []);
		const view = new WiringView(wiring);
		const [veth] = view.vethsByAddress("10.244.1.2");
		assert.equal(veth?.name, "vethp1");
		const peer = veth === undefined ? null : view.peer(veth);
		assert.ok(peer?.kind === "paired");
		assert.equal(peer.namespace.namespace.name, node.name("p1"));
		assert.match(peer.namespace.namespace.cookie, /^\d+$/);
		assert.deepEqual(
			wiring.others.map((other) => other.name).sort(),
			[node.name("p1"), node.name("sw")],
			"only namespaces that hang on the node",
		);
		assert.equal(wiring.host.fdb.find((entry) => entry.destination !== null)?.destination, "192.168.66.12");
	});

	test("a new pod is told at once, and its address soon after; when it goes, it is gone", async () => {
		const changes: (WiringChange & { at: number })[] = [];
		const watch = new WiringWatch(options(), (change) => changes.push({ ...change, at: performance.now() }));
		try {
			const started = performance.now();
			node.pod("p2", "10.244.1.3");
			const made = performance.now();
			await until(() => new WiringView(watch.wiring).vethsByAddress("10.244.1.3").length === 1, 5_000);
			const added = changes.find((change) => change.kind === "link" && change.link.name === "vethp2");
			assert.ok(added?.kind === "link");
			assert.equal(added.change, "added");
			assert.ok(added.at - started < made - started + 50, "told within 50 ms");

			const gone = added.link.ifindex;
			node.unnamespace("p2");
			await until(() => watch.wiring.host.links.every((link) => link.ifindex !== gone), 5_000);
			await until(() => watch.wiring.others.every((other) => other.name !== node.name("p2")), 5_000);
			assert.ok(
				changes.some((change) => change.kind === "link" && change.change === "removed" && change.link.ifindex === gone),
			);
		} finally {
			watch.close();
		}
	});

	test("after any series of changes the watched wiring is the dumped one", async () => {
		const watch = new WiringWatch(options(), () => {});
		try {
			node.remote(3);
			node.remote(4);
			node.ip("route replace 10.244.3.0/24 via 10.244.4.0 dev flannel.1 onlink");
			node.bridge("fdb replace 8e:04:00:00:00:04 dev flannel.1 dst 192.168.66.19 self permanent");
			node.ip("neigh replace 10.244.3.0 lladdr 8e:05:00:00:00:05 dev flannel.1 nud permanent");
			node.ip("route del 10.244.2.0/24");
			node.ip("link add spare type bridge");
			node.ip("addr add 10.9.9.1/24 dev spare");
			node.ip("link set spare up");
			node.ip("link set spare down");
			node.ip("link set vethp1 nomaster");
			node.ip("link set vethp1 master cni0");
			node.ip("link set spare name renamed");
			await sleep(150);
			assert.deepEqual(steady(watch.wiring), steady(readWiring(options()).wiring));
			node.ip("link del renamed");
			await sleep(100);
			assert.deepEqual(steady(watch.wiring), steady(readWiring(options()).wiring));
		} finally {
			watch.close();
		}
	});

	test("namespaces whose inode is used again are told apart by their cookies", async () => {
		const watch = new WiringWatch(options(), () => {});
		const seen = new Map<string, string>();
		const inodes = new Set<number>();
		try {
			for (let round = 0; round < 6; round++) {
				const address = `10.244.1.${20 + round}`;
				node.pod("again", address);
				await until(() => new WiringView(watch.wiring).vethsByAddress(address).length === 1, 5_000);
				const other = watch.wiring.others.find(({ name }) => name === node.name("again"));
				assert.ok(other);
				seen.set(other.cookie, address);
				inodes.add(other.inode);
				assert.ok(other.addresses.some((one) => one.address === address));
				node.unnamespace("again");
				await until(() => watch.wiring.host.links.every((link) => link.name !== "vethagain"), 5_000);
			}
			assert.equal(seen.size, 6, "six namespaces, six cookies");
			assert.ok(inodes.size < 6, "the kernel did use an inode again, or this test shows nothing");
		} finally {
			watch.close();
		}
	});
});

/** A wiring without what moves by itself: counters, neighbours that come and go, order. */
function steady(wiring: ReturnType<typeof readWiring>["wiring"]): unknown {
	const sorted = (rows: readonly unknown[]) => rows.map((row) => JSON.stringify(row)).sort();
	const { host } = wiring;
	return {
		links: sorted(host.links.map((link) => ({ ...link, statistics: null }))),
		addresses: sorted(host.addresses),
		routes: sorted(host.routes),
		neighbours: sorted(host.neighbours.filter((one) => (one.state & 0x80) !== 0)),
		fdb: sorted(host.fdb.map((entry) => ({ ...entry, state: 0 }))),
		others: wiring.others.map((other) => other.name).sort(),
	};
}

describe("a kernel that drops events, and one that refuses", () => {
	let node: LiveNode;
	before(() => {
		node = new LiveNode("o");
	});
	after(() => node.remove());

	/** The addon, with an overrun on demand, and a refusal of dumps while `refuse` is set. */
	function unreliable() {
		const real = addon();
		const state = { overrun: () => {}, refuse: false };
		const native = {
			openNetns: (path: string | null) => real.openNetns(path),
			openNetlink(netns: ReturnType<typeof real.openNetns>) {
				const netlink = real.openNetlink(netns);
				return {
					request(message: Uint8Array) {
						if (state.refuse) throw new Error("no buffer space");
						return netlink.request(message);
					},
					close: () => netlink.close(),
				};
			},
			monitorNetlink(...[, , , onMessages]: Parameters<typeof real.monitorNetlink>) {
				// No event ever comes through: whatever is seen was read after the overrun.
				state.overrun = () => onMessages(null, -1);
				return { close() {} };
			},
		};
		return { native, state };
	}

	test("an overrun: everything is read again, and the difference is told", async () => {
		const { native, state } = unreliable();
		const told: string[] = [];
		const watch = new WiringWatch({ native, node: "node-a", netns: node.path, hostRoot: null }, (change) => {
			if (change.kind === "link") told.push(`${change.change} ${change.link.name}`);
		});
		try {
			node.pod("p1", "10.244.1.2");
			node.ip("link set cni0 mtu 1400");
			await sleep(50);
			assert.equal(told.length, 0, "the precondition: no events");
			state.overrun();
			assert.ok(told.includes("added vethp1") && told.includes("changed cni0"), told.join());
			assert.equal(watch.overruns, 1);
			assert.equal(new WiringView(watch.wiring).vethsByAddress("10.244.1.2").length, 1);
		} finally {
			watch.close();
		}
	});

	test("a refusal is a warning, what was known stays, and it is made up for", async () => {
		const { native, state } = unreliable();
		const watch = new WiringWatch({ native, node: "node-a", netns: node.path, hostRoot: null }, () => {});
		try {
			const before = watch.wiring.host.links.length;
			node.pod("p2", "10.244.1.3");
			state.refuse = true;
			state.overrun();
			assert.match(watch.warnings[0] ?? "", /out of date: no buffer space/);
			assert.equal(watch.wiring.host.links.length, before);
			state.refuse = false;
			await until(() => watch.wiring.host.links.length === before + 1, 5_000);
			assert.deepEqual(watch.warnings, []);
		} finally {
			watch.close();
		}
	});
});
