import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hook, HookId } from "../../src/packet/hook.js";
import { Family } from "../../src/packet/sightings.js";
import type { Tuple } from "../../src/packet/tuple.js";
import type { Expectation } from "../../src/path/expectation.js";
import { type ExpectationOptions, WiringExpectation } from "../../src/wiring/expectation.js";
import { hookPoints } from "../../src/wiring/hookpoints.js";
import type { Due, Namespace, Wiring } from "../../src/wiring/model.js";
import type { Translation } from "../../src/wiring/translation.js";
import { flannelNode, Index, nodeAddress, nodeName, podAddress, vethName } from "./flannel.js";

const A = podAddress(1, 1);
const B = podAddress(1, 2);
const REMOTE = podAddress(2, 1);
const VIP = "10.96.0.11";
/** Of a service whose only endpoint is A. */
const OWN_VIP = "10.96.0.12";
const OUTSIDE = "203.0.113.7";

/** A service with endpoints, and a published port of the node. */
const services: Translation = {
	destinations: ({ destination, destinationPort }) =>
		destination === VIP
			? [A, B, REMOTE].map((ip) => ({ ip, port: 8080 }))
			: destination === OWN_VIP || (destination === nodeAddress(1) && destinationPort === 18080)
				? [{ ip: A, port: 8080 }]
				: destination === nodeAddress(1) && destinationPort === 30080
					? [{ ip: REMOTE, port: 8080 }]
					: [],
	fromEndpoint: ({ sourcePort }) => sourcePort === 8080,
};

class Watched {
	readonly hooks: Hook[] = [];
	readonly expectation: WiringExpectation;
	readonly node: string;

	constructor(
		wiring: Wiring,
		watch: (name: string) => boolean = () => true,
		options: Partial<ExpectationOptions> = {},
	) {
		this.node = wiring.node;
		for (const site of hookPoints(wiring, { from: null, to: null })) {
			if (!watch(site.device)) continue;
			this.hooks.push({ ...site, id: this.hooks.length as HookId, node: wiring.node, hookSet: 0 });
		}
		this.expectation = new WiringExpectation(wiring, {
			hook: (id) => this.hooks[id] ?? null,
			at: (netns, ifindex, direction) =>
				this.hooks.find((h) => h.netns === netns && h.ifindex === ifindex && h.direction === direction)?.id ?? null,
			nodeName: (text) => (/^192\.168\.66\.1[1-9]$/.test(text) ? nodeName(Number(text.slice(-1))) : null),
			translation: services,
			...options,
		});
		// The room below names the interface; this room only has to fit it.
		const fits: Expectation = this.expectation;
		assert.ok(fits);
	}

	/** "cni0→i" → its hook. */
	id(name: string): HookId {
		const [device, way] = name.split("→");
		const hook = this.hooks.find((h) => h.device === device && h.direction === (way === "i" ? "ingress" : "egress"));
		assert.ok(hook, `${name} is watched on ${this.node}`);
		return hook.id;
	}

	due(name: string, packet: Tuple): Due {
		return this.expectation.due(this.id(name), packet);
	}
}

function tcp(source: string, destination: string, sourcePort = 40000, destinationPort = 8080): Tuple {
	const family = source.includes(":") ? Family.ipv6 : Family.ipv4;
	return { family, protocol: 6, source, destination, sourcePort, destinationPort };
}

/** One row of the hook order table: hops with the tuple as each sees it. "‖" is the wire. */
interface Row {
	readonly path: string;
	readonly hops: readonly (readonly [string, Tuple] | "‖")[];
	/** How it must end. */
	readonly end: "terminal" | "leaves" | "may end";
	readonly bridgeNetfilter?: boolean;
	readonly hostGateway?: boolean;
}

const [vA, vB, vR] = [vethName(1, 1), vethName(1, 2), vethName(2, 1)];
const all = (packet: Tuple, ...hops: string[]) =>
	hops.map((hop) => (hop === "‖" ? ("‖" as const) : ([hop, packet] as const)));
const back = (packet: Tuple): Tuple => ({
	...packet,
	source: packet.destination,
	destination: packet.source,
	sourcePort: packet.destinationPort,
	destinationPort: packet.sourcePort,
});
const aToB = tcp(A, B);
const aToRemote = tcp(A, REMOTE);
const toVip = tcp(A, VIP, 40000, 80);
const node = nodeAddress(1);
const flannelAddress = "10.244.1.0";

const table: readonly Row[] = [
	{ path: "pod → pod, same node", hops: all(aToB, `${vA}→i`, `${vB}→e`), end: "terminal" },
	{ path: "its reply", hops: all(back(aToB), `${vB}→i`, `${vA}→e`), end: "terminal" },
	{
		path: "pod → pod, other node",
		hops: all(
			aToRemote,
			`${vA}→i`,
			"cni0→i",
			"flannel.1→e",
			"eth0→e",
			"‖",
			"eth0→i",
			"flannel.1→i",
			"cni0→e",
			`${vR}→e`,
		),
		end: "terminal",
	},
	{
		path: "its reply, on the node it comes back to",
		hops: all(back(aToRemote), "eth0→i", "flannel.1→i", "cni0→e", `${vA}→e`),
		end: "terminal",
	},
	{
		path: "host-gw",
		hops: all(aToRemote, `${vA}→i`, "cni0→i", "eth0→e", "‖", "eth0→i", "cni0→e", `${vR}→e`),
		end: "terminal",
		hostGateway: true,
	},
	{ path: "pod → own node", hops: all(tcp(A, "10.244.1.1"), `${vA}→i`, "cni0→i"), end: "terminal" },
	{
		path: "pod → own node by its underlay address",
		hops: all(tcp(A, node, 40000, 22), `${vA}→i`, "cni0→i"),
		end: "terminal",
	},
	{ path: "its reply", hops: all(tcp("10.244.1.1", A), "cni0→e", `${vA}→e`), end: "terminal" },
	{
		path: "pod → outside",
		hops: [
			[`${vA}→i`, tcp(A, OUTSIDE)],
			["cni0→i", tcp(A, OUTSIDE)],
			["eth0→e", tcp(node, OUTSIDE)],
		],
		end: "leaves",
	},
	{
		path: "its reply",
		hops: [
			["eth0→i", tcp(OUTSIDE, node)],
			["cni0→e", tcp(OUTSIDE, A)],
			[`${vA}→e`, tcp(OUTSIDE, A)],
		],
		end: "terminal",
	},
	{
		path: "pod → other node",
		hops: [
			[`${vA}→i`, tcp(A, nodeAddress(2))],
			["cni0→i", tcp(A, nodeAddress(2))],
			["eth0→e", tcp(node, nodeAddress(2))],
		],
		end: "leaves",
	},
	{ path: "outside → node", hops: all(tcp(OUTSIDE, node, 40000, 22), "eth0→i"), end: "may end" },
	{ path: "node → own pod", hops: all(tcp("10.244.1.1", A), "cni0→e", `${vA}→e`), end: "terminal" },
	{ path: "its reply", hops: all(tcp(A, "10.244.1.1"), `${vA}→i`, "cni0→i"), end: "terminal" },
	{
		path: "node → pod on another node",
		hops: all(tcp(flannelAddress, REMOTE), "flannel.1→e", "eth0→e", "‖", "eth0→i", "flannel.1→i", "cni0→e", `${vR}→e`),
		end: "terminal",
	},
	{ path: "its reply", hops: all(tcp(REMOTE, flannelAddress), "eth0→i", "flannel.1→i"), end: "may end" },
	{
		path: "pod → ClusterIP, backend elsewhere",
		hops: [[`${vA}→i`, toVip], ...all(aToRemote, "cni0→i", "flannel.1→e", "eth0→e")],
		end: "leaves",
	},
	{
		path: "its reply",
		hops: [...all(back(aToRemote), "eth0→i", "flannel.1→i"), ...all(tcp(VIP, A, 80, 40000), "cni0→e", `${vA}→e`)],
		end: "terminal",
	},
	{
		path: "pod → ClusterIP, backend on the same node",
		hops: [
			[`${vA}→i`, toVip],
			[`${vB}→e`, aToB],
		],
		end: "terminal",
	},
	{
		path: "the same with a stale neighbour",
		hops: [
			[`${vA}→i`, toVip],
			["cni0→e", aToB],
			[`${vB}→e`, aToB],
		],
		end: "terminal",
	},
	{
		path: "its reply",
		hops: [
			[`${vB}→i`, back(aToB)],
			[`${vA}→e`, tcp(VIP, A, 80, 40000)],
		],
		end: "terminal",
	},
	{
		path: "the same with bridge-nf-call-iptables=0",
		hops: [...all(toVip, `${vA}→i`, "cni0→i"), ...all(aToB, "cni0→e", `${vB}→e`)],
		end: "terminal",
		bridgeNetfilter: false,
	},
	{
		path: "pod → ClusterIP → itself (hairpin)",
		hops: [
			[`${vA}→i`, toVip],
			[`${vA}→e`, tcp("10.244.1.1", A)],
		],
		end: "terminal",
	},
	{
		path: "its reply",
		hops: [
			[`${vA}→i`, tcp(A, "10.244.1.1", 8080, 40000)],
			[`${vA}→e`, tcp(VIP, A, 80, 40000)],
		],
		end: "terminal",
	},
	{
		path: "outside → hostPort",
		hops: [["eth0→i", tcp(OUTSIDE, node, 40000, 18080)], ...all(tcp(OUTSIDE, A), "cni0→e", `${vA}→e`)],
		end: "terminal",
	},
	{
		path: "its reply",
		hops: [...all(back(tcp(OUTSIDE, A)), `${vA}→i`, "cni0→i"), ["eth0→e", tcp(node, OUTSIDE, 18080, 40000)]],
		end: "leaves",
	},
	{ path: "127.0.0.1 → hostPort", hops: all(tcp("10.244.1.1", A), "cni0→e", `${vA}→e`), end: "terminal" },
	{
		path: "its reply",
		hops: [
			[`${vA}→i`, back(tcp("10.244.1.1", A))],
			["cni0→i", tcp(A, "127.0.0.1", 8080, 40000)],
		],
		end: "terminal",
	},
	{
		path: "outside → NodePort, backend elsewhere",
		hops: [
			["eth0→i", tcp(OUTSIDE, node, 40000, 30080)],
			...all(tcp(flannelAddress, REMOTE), "flannel.1→e", "eth0→e", "‖", "eth0→i", "flannel.1→i", "cni0→e", `${vR}→e`),
		],
		end: "terminal",
	},
	{
		path: "its reply",
		hops: [...all(tcp(REMOTE, flannelAddress), "eth0→i", "flannel.1→i"), ["eth0→e", tcp(node, OUTSIDE, 30080, 40000)]],
		end: "leaves",
	},
];

for (const podsVisible of [true, false]) {
	for (const row of table) {
		test(`${row.path}, pods ${podsVisible ? "visible" : "known by neighbour and FDB"}`, () => {
			const shape = { pods: 3, nodes: 3, podsVisible, ...row };
			const nodes = [1, 2].map((number) => new Watched(flannelNode({ ...shape, number })));
			let at = 0;
			for (const [i, hop] of row.hops.entries()) {
				if (hop === "‖") continue;
				const watched = nodes[at];
				assert.ok(watched);
				const due = watched.due(...hop);
				const following = row.hops[i + 1];
				if (following === undefined) {
					assert.equal(due.kind === "next" && due.mayEnd === true ? "may end" : due.kind, row.end, JSON.stringify(due));
				} else if (following === "‖") {
					assert.deepEqual(due, { kind: "leaves", node: "node-b", address: nodeAddress(2) }, `after ${hop[0]}`);
					at++;
				} else {
					assert.equal(due.kind, "next", `after ${hop[0]}: ${JSON.stringify(due)}`);
					assert.ok(due.kind === "next");
					const names = [...due.hooks, ...due.optional];
					assert.ok(names.includes(watched.id(following[0])), `after ${hop[0]}: ${due.expected}, not ${following[0]}`);
				}
			}
		});
	}
}

test("one answer where there is one: no row widens to devices it cannot reach", () => {
	const node = new Watched(flannelNode({ number: 1, pods: 3, nodes: 2 }));
	const only = (due: Due) => (due.kind === "next" ? [due.expected, due.optional.length, due.mayEnd ?? false] : due);
	assert.deepEqual(only(node.due(`${vA}→i`, aToB)), [`${vB}→e`, 0, false]);
	assert.deepEqual(only(node.due(`${vA}→i`, aToRemote)), ["cni0→i", 0, false]);
	assert.deepEqual(only(node.due("cni0→i", aToRemote)), ["flannel.1→e", 0, false]);
	assert.deepEqual(only(node.due("eth0→i", back(aToRemote))), ["flannel.1→i", 0, false]);
	assert.deepEqual(only(node.due(`${vA}→i`, toVip)), [`${vA}→e or ${vB}→e or cni0→i`, 1, false]);
});

test("without bridge-nf nothing is translated inside the bridge", () => {
	const routed = new Watched(flannelNode({ number: 1, pods: 3, nodes: 2, bridgeNetfilter: false }));
	const up = (due: Due) => (due.kind === "next" ? due.expected : due.kind);
	assert.equal(up(routed.due(`${vA}→i`, toVip)), "cni0→i");
	const reply = tcp(A, "10.244.1.1", 8080, 40000);
	const open = new Watched(flannelNode({ number: 1, pods: 3, nodes: 2 }));
	assert.equal(up(open.due(`${vA}→i`, reply)), `cni0→i or ${vA}→e`, "a hairpin's reply, perhaps");
});

test("places that nobody watches are walked through", () => {
	const wiring = flannelNode({ number: 1, pods: 3, nodes: 2 });
	const ends = new Watched(wiring, (name) => name === vA || name === "eth0");
	const due = ends.due(`${vA}→i`, aToRemote);
	assert.deepEqual(due, { kind: "next", hooks: [ends.id("eth0→e")], optional: [], expected: "eth0→e" });
	assert.deepEqual(ends.due(`${vA}→i`, aToB), { kind: "leaves", node: "node-a", address: B });
	assert.equal(ends.due(`${vA}→i`, toVip).kind, "unknown", "one of the backends' veths is out of sight");
});

/** A change to a node's tables, and what must be said. */
interface Fault {
	readonly name: string;
	readonly change: (host: Namespace) => Partial<Namespace>;
	readonly at: readonly [string, Tuple];
	readonly reason: RegExp;
	readonly remedy: string | null;
}

const without = <T>(rows: readonly T[], is: (row: T) => boolean) => rows.filter((row) => !is(row));

const faults: readonly Fault[] = [
	{
		name: "FDB entry",
		change: (host) => ({ fdb: without(host.fdb, (entry) => entry.mac === "8e:02:00:00:00:02") }),
		at: ["flannel.1→e", aToRemote],
		reason: /^no FDB entry for 8e:02:00:00:00:02 on flannel\.1$/,
		remedy: "bridge fdb replace 8e:02:00:00:00:02 dev flannel.1 dst 192.168.66.12 self permanent",
	},
	{
		name: "neighbour of the VTEP",
		change: (host) => ({ neighbours: without(host.neighbours, (entry) => entry.address === "10.244.2.0") }),
		at: ["cni0→i", aToRemote],
		reason: /^no neighbour entry for 10\.244\.2\.0 on flannel\.1$/,
		remedy: "ip neigh replace 10.244.2.0 lladdr 8e:02:00:00:00:02 dev flannel.1 nud permanent",
	},
	{
		name: "route to the pod subnet",
		change: (host) => ({ routes: without(host.routes, (route) => route.destination === "10.244.2.0/24") }),
		at: ["eth0→e", aToRemote],
		reason: /^no route to 10\.244\.2\.0\/24$/,
		remedy: "ip route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
	},
	{
		name: "every route",
		change: () => ({ routes: [] }),
		at: ["cni0→i", aToRemote],
		reason: /^no route to 10\.244\.2\.0\/24$/,
		remedy: "ip route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
	},
	{
		name: "veth down",
		change: (host) => ({
			links: host.links.map((one) => (one.name === vB ? { ...one, up: false, operstate: "down" } : one)),
		}),
		at: [`${vA}→i`, aToB],
		reason: new RegExp(`^${vB} is down$`),
		remedy: `ip link set ${vB} up`,
	},
	{
		name: "flannel.1 down",
		change: (host) => ({
			links: host.links.map((one) => (one.ifindex === Index.flannel ? { ...one, up: false } : one)),
		}),
		at: ["cni0→i", aToRemote],
		reason: /^flannel\.1 is down$/,
		remedy: "ip link set flannel.1 up",
	},
	{
		name: "nobody has the address",
		change: () => ({}),
		at: ["cni0→e", tcp("10.244.1.1", podAddress(1, 77))],
		reason: /^no pod behind cni0 has 10\.244\.1\.78$/,
		remedy: null,
	},
	{
		name: "a blackhole",
		change: (host) => ({
			routes: [
				{
					...(host.routes[0] as (typeof host.routes)[0]),
					destination: "198.51.100.0/24",
					type: 6,
					table: 254,
					ifindex: null,
				},
				...host.routes,
			],
		}),
		at: ["cni0→i", tcp(A, "198.51.100.1")],
		reason: /^the route to 198\.51\.100\.0\/24 is blackhole$/,
		remedy: "ip route del blackhole 198.51.100.0/24",
	},
	{
		name: "hairpin off",
		change: (host) => ({
			links: host.links.map((one) =>
				one.name === vA ? { ...one, port: { hairpin: false, state: 3, learning: true } } : one,
			),
		}),
		at: [`${vA}→i`, tcp(A, OWN_VIP)],
		reason: /hairpin is off$/,
		remedy: `bridge link set dev ${vA} hairpin on`,
	},
];

for (const fault of faults) {
	test(`what is missing is named, with what repairs it: ${fault.name}`, () => {
		const whole = flannelNode({ number: 1, pods: 3, nodes: 3 });
		const node = new Watched(whole);
		assert.notEqual(
			fault.name !== "nobody has the address" && fault.name !== "hairpin off" && node.due(...fault.at).kind,
			"nowhere",
		);
		const before = node.expectation.generation;
		node.expectation.update({ ...whole, host: { ...whole.host, ...fault.change(whole.host) } });
		assert.ok(node.expectation.generation > before);
		const due = node.due(...fault.at);
		assert.equal(due.kind, "nowhere", JSON.stringify(due));
		assert.ok(due.kind === "nowhere");
		assert.match(due.reason, fault.reason);
		assert.equal(due.remedy, fault.remedy);
	});
}

test("a tunnel's entry that was never seen is not made up", () => {
	const whole = flannelNode({ number: 1, pods: 1, nodes: 3 });
	const fdb = whole.host.fdb.filter((entry) => entry.mac !== "8e:02:00:00:00:02");
	const node = new Watched({ ...whole, host: { ...whole.host, fdb } });
	const due = node.due("flannel.1→e", aToRemote);
	assert.equal(
		due.kind === "nowhere" ? due.remedy : due.kind,
		"bridge fdb replace 8e:02:00:00:00:02 dev flannel.1 dst NODE-ADDRESS self permanent",
	);
});

test("the pod's own end that is down is told apart from its veth", () => {
	const whole = flannelNode({ number: 1, pods: 2, nodes: 2 });
	const links = whole.host.links.map((one) =>
		one.name === vB ? { ...one, operstate: "lowerlayerdown", carrier: false } : one,
	);
	const others = whole.others.map((pod) =>
		pod.nsid === 2 ? { ...pod, links: pod.links.map((one) => (one.loopback ? one : { ...one, up: false })) } : pod,
	);
	const node = new Watched({ ...whole, host: { ...whole.host, links }, others });
	assert.deepEqual(node.due(`${vA}→i`, aToB), {
		kind: "nowhere",
		reason: `the other end of ${vB}, eth0 in the pod, is down`,
		remedy: "ip -n node-a-pod2 link set eth0 up",
	});
});

test("a node's default IPv6 route is none for IPv4", () => {
	const whole = flannelNode({ number: 1, pods: 1, nodes: 1 });
	const routes = whole.host.routes.map((one) =>
		one.destination === "0.0.0.0/0" ? { ...one, destination: "::/0" } : one,
	);
	const node = new Watched({ ...whole, host: { ...whole.host, routes } });
	assert.equal(node.due("cni0→i", tcp(A, OUTSIDE)).kind, "nowhere");
});
