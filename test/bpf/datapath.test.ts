/**
 * The stopwatch on a node's real datapath: a bridge with two pods, and VXLAN to another node. Which hook follows which
 * is the kernel's doing here, and what the stopwatch believes of ingress_ifindex is put to the test.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addon } from "../../src/kernel/addon.js";
import type { Closeable } from "../../src/kernel/native.js";
import { TestNamespace } from "./namespace.js";
import { type CountedSegment, KIND, Stopwatch } from "./stopwatch.js";

const INGRESS = 1;
const EGRESS = 2;
const DEVICES = ["br0", "pa", "pb", "vx1", "eth0"] as const;
const PINGS = 300;

/** Node a: br0 with the pods' ports pa and pb, and a tunnel vx1 over eth0 to node b. */
function build(a: TestNamespace, b: TestNamespace, pods: readonly TestNamespace[]): void {
	sh(
		a,
		`sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
		ip link add br0 type bridge
		ip addr add 10.244.1.1/24 dev br0
		ip link set br0 up
		ip link add eth0 type veth peer name eth0 netns ${b.name}
		ip addr add 192.168.66.11/24 dev eth0
		ip link set eth0 up`,
	);
	for (const [i, pod] of pods.entries()) {
		const port = i === 0 ? "pa" : "pb";
		sh(
			a,
			`ip link add ${port} type veth peer name eth0 netns ${pod.name}
			ip link set ${port} master br0 up`,
		);
		sh(
			pod,
			`sysctl -qw net.ipv6.conf.all.disable_ipv6=1
			ip addr add 10.244.1.${i + 2}/24 dev eth0
			ip link set eth0 up
			ip route add default via 10.244.1.1`,
		);
	}
	sh(
		b,
		`sysctl -qw net.ipv6.conf.all.disable_ipv6=1
		ip addr add 192.168.66.12/24 dev eth0
		ip link set eth0 up`,
	);
	tunnel(a, 1, 2);
	tunnel(b, 2, 1);
}

/** As flannel does it; node n has subnet 10.244.n.0/24 and the underlay address 192.168.66.1n. */
function tunnel(node: TestNamespace, n: number, other: number): void {
	sh(
		node,
		`ip link add vx1 address 8e:01:00:00:00:0${n} mtu 1450 type vxlan id 1 dev eth0 local 192.168.66.1${n} dstport 8472 nolearning
		ip addr add 10.244.${n}.0/32 dev vx1
		ip link set vx1 up
		ip neigh replace 10.244.${other}.0 lladdr 8e:01:00:00:00:0${other} dev vx1 nud permanent
		bridge fdb replace 8e:01:00:00:00:0${other} dev vx1 dst 192.168.66.1${other} self permanent
		ip route replace 10.244.${other}.0/24 via 10.244.${other}.0 dev vx1 onlink`,
	);
}

function sh(namespace: TestNamespace, script: string): void {
	namespace.run("sh", "-ec", script);
}

function ping(from: TestNamespace, to: string): void {
	from.run("ping", "-q", "-c", "1", "-W", "2", to); // neighbours are known now
	from.run("ping", "-q", "-f", "-c", String(PINGS), to);
}

/** "pa→i > br0→i" → count, and every other segment. */
async function watched(traffic: (pods: readonly TestNamespace[]) => void): Promise<{
	readonly hops: ReadonlyMap<string, number>;
	readonly segments: readonly CountedSegment[];
}> {
	const a = new TestNamespace();
	const b = new TestNamespace();
	const pods = [new TestNamespace(), new TestNamespace()];
	const watch = new Stopwatch();
	const links: Closeable[] = [];
	try {
		build(a, b, pods);
		const knobs = { netns: 1, tunnelPorts: [8472] };
		const programs = [
			watch.load({ ...knobs, hookSet: INGRESS }),
			watch.load({ ...knobs, hookSet: EGRESS, egress: true, transit: true }),
		] as const;
		const names = new Map<string, string>();
		for (const device of DEVICES) {
			const ifindex = Number(a.run("cat", `/sys/class/net/${device}/ifindex`));
			for (const [egress, { program }] of programs.entries()) {
				names.set(`${ifindex}/${egress + 1}`, `${device}→${egress === 0 ? "i" : "e"}`);
				links.push(await addon().attachTcx({ program, ifindex, egress: egress === 1, netns: a.netns }));
			}
		}
		traffic(pods);
		const segments = watch.segments();
		const hops = new Map<string, number>();
		for (const each of segments.filter(({ kind }) => kind === KIND.hop || kind === KIND.transit)) {
			const from = names.get(`${each.fromIfindex}/${each.fromHookSet}`);
			const to = names.get(`${each.toIfindex}/${each.toHookSet}`);
			hops.set(`${from} ${each.kind === KIND.hop ? ">" : ">>"} ${to}`, each.count);
		}
		for (const hookSet of [INGRESS, EGRESS]) {
			const [seen, untracked] = watch.counters(hookSet);
			const counted = segments
				.filter((segment) => segment.toHookSet === hookSet && segment.kind !== KIND.transit)
				.reduce((sum, segment) => sum + segment.count, 0);
			assert.equal(counted + untracked, seen, "every packet is a sample, or has a reason");
		}
		return { hops, segments };
	} finally {
		for (const link of links) link.close();
		watch.close();
		for (const namespace of [a, b, ...pods]) namespace.close();
	}
}

function assertCounts(hops: ReadonlyMap<string, number>, expected: readonly string[]): void {
	for (const hop of expected) {
		const count = hops.get(hop) ?? 0;
		// One ping goes before, to learn the neighbours; ARP may pass once more.
		assert.ok(
			count >= PINGS && count <= PINGS + 4,
			`${hop}: ${count} of ${PINGS}; there are ${JSON.stringify([...hops])}`,
		);
	}
}

describe("hops on a real datapath", () => {
	it("pod to pod: through the bridge, and nowhere else", async () => {
		const { hops } = await watched(([client]) => client && ping(client, "10.244.1.3"));
		assertCounts(hops, ["pa→i > pb→e", "pb→i > pa→e"]);
		assert.equal([...hops.keys()].filter((hop) => hop.includes("vx1") || hop.includes("eth0")).length, 0);
	});

	it("pod to node: up into the bridge device, and down out of it", async () => {
		const { hops } = await watched(([client]) => client && ping(client, "10.244.1.1"));
		assertCounts(hops, ["pa→i > br0→i", "br0→e > pa→e"]);
	});

	it("pod to another node: bridge, route, encapsulation and back, and the whole way", async () => {
		const { hops } = await watched(([client]) => client && ping(client, "10.244.2.0"));
		assertCounts(hops, [
			"pa→i > br0→i",
			"br0→i > vx1→e",
			"vx1→e > eth0→e",
			"pa→i >> eth0→e",
			"eth0→i > vx1→i",
			"vx1→i > br0→e",
			"br0→e > pa→e",
			"eth0→i >> pa→e",
		]);
	});
});
