import assert from "node:assert/strict";
import { test } from "node:test";
import type { Blame, Path } from "../../src/path/path.js";
import { TraceTable, type TraceTableOptions } from "../../src/render/text/trace.js";
import { textWidth } from "../../src/render/text/width.js";
import {
	back,
	client,
	crossNode,
	endpoint,
	neighbor,
	pathOf,
	readyOf,
	type Step,
	sameNode,
	server,
	statusOf,
	summaryOf,
} from "./paths.js";

function tableOf(options: Partial<TraceTableOptions> = {}): TraceTable {
	return new TraceTable({ colour: false, width: () => 100, time: "absolute", utcOffset: () => 0, ...options });
}

function shown(...lines: readonly (readonly string[])[]): string {
	return `\n${lines.flat().join("\n")}\n`;
}

const onWire = { source: "192.168.66.11", destination: "192.168.66.12", vni: 1 };
const noFdb: Blame = {
	node: "node-a",
	device: "flannel.1",
	direction: "egress",
	expected: "eth0→e",
	reason: "no FDB entry for 8e:02:00:00:00:02",
	kernelReason: null,
	kernelFunction: null,
	remedy: "bridge fdb replace 8e:02:00:00:00:02 dev flannel.1 dst 192.168.66.12",
};
const synAck = pathOf(back(crossNode, [0, 3.3, 2.2, 4.4, 41, 3.1, 1.7, 2.0]), {
	...{ source: server, destination: client, flags: "SA", clockErrorNs: 2000 },
	time: "2026-11-22T12:00:00.123541Z",
});

test("the whole of a trace across two nodes, as DESIGN.md draws it", () => {
	const table = tableOf();
	const text = shown(
		table.ready(readyOf()),
		table.path(pathOf(crossNode, { clockErrorNs: 2000, outer: { 3: onWire, 4: onWire } })),
		table.path(synAck),
		table.path(pathOf(crossNode, { clockErrorNs: 2000, flags: "PA", payload: 64374, packets: 45 })),
		table.status(statusOf({ alike: 4981, latency: { p50Ns: 52_000, p99Ns: 88_000, maxNs: 310_000 } })),
		table.path(pathOf(crossNode.slice(0, 3), { verdict: "lost", blame: noFdb, time: "2026-11-22T12:00:03.000211Z" })),
		table.summary(summaryOf(), 0),
	);
	assert.equal(
		text,
		`
default/client @node-a → default/server @node-b   vxlan 1  192.168.66.11 → .12
8 hooks, 2 nodes, ready in 0.2 s · µs since previous hop
time              packet      veth cni0 flan eth0 ║  eth0 flan cni0 veth  total
12:00:00.123456 → SYN            ·  3.1  2.4  4.0 ║  38±2  2.9  1.8  2.2   54±2 ✓
12:00:00.123541 ← SYN,ACK      2.0  1.7  3.1 41±2 ║   4.4  2.2  3.3    ·   58±2 ✓
12:00:00.123456 → 63 KB ×45      ·  3.1  2.4  4.0 ║  38±2  2.9  1.8  2.2   54±2 ✓
  +4,981 alike in 1 s   p50 52  p99 88  max 310   lost 0
12:00:03.000211 → SYN            ·  3.1  2.4    ✗
  lost on node-a after flannel.1→e: eth0 watched, 0 events lost
  no FDB entry for 8e:02:00:00:00:02 → bridge fdb replace 8e:02:00:00:00:02 dev flannel.1 dst 192.168.66.12
12.4 s, 3 flows, 8 hooks removed
→ 30,611 paths: 30,608 delivered, 2 lost (flannel.1→eth0 @node-a), 1 dropped
events 489,660 seen = 489,660 joined + 0 unjoined + 0 lost
`,
	);
});

test("NAT is marked at the hop that saw the new addresses, and each mapping is explained once", () => {
	const table = tableOf();
	table.ready(readyOf());
	const service = { ip: "10.96.0.11", port: 80, name: "default/web" };
	const request = pathOf(crossNode, {
		...{ service, faces: { 0: ["10.244.1.2:43210", "10.96.0.11:80"], 1: ["10.244.1.2:43210", "10.244.2.3:8080"] } },
	});
	const reply = pathOf(back(crossNode, [0, 3.3, 2.2, 4.4, 41, 3.1, 1.7, 2.0]), {
		...{ source: server, destination: client, flags: "SA", service },
		faces: { 0: ["10.244.2.3:8080", "10.244.1.2:43210"], 6: ["10.96.0.11:80", "10.244.1.2:43210"] },
	});
	assert.equal(
		shown(table.path(request), table.path(request).slice(-1), table.path(reply)),
		`
time              packet      veth cni0 flan eth0 ║  eth0 flan cni0 veth  total
12:00:00.123456 → SYN            · 3.1*  2.4  4.0 ║    38  2.9  1.8  2.2     54 ✓
  * DNAT 10.96.0.11:80 → 10.244.2.3:8080
12:00:00.123456 → SYN            · 3.1*  2.4  4.0 ║    38  2.9  1.8  2.2     54 ✓
12:00:00.123456 ← SYN,ACK      2.0 1.7*  3.1   41 ║   4.4  2.2  3.3    ·     58 ✓
  * un-DNAT 10.244.2.3:8080 → 10.96.0.11:80
`,
	);
});

test("a hairpin rewrites both addresses at one hop; its reply finds the same columns", () => {
	const hairpin: Step[] = [
		["node-a", "veth61dfc48a", "ingress", "pod", 0],
		["node-a", "veth61dfc48a", "egress", "pod", 7.25],
	];
	const table = tableOf();
	table.ready(readyOf({ to: { text: "svc:web", name: "svc:default/web", node: null, addresses: ["10.96.0.11"] } }));
	const path = pathOf(hairpin, {
		...{
			destination: client,
			faces: { 0: ["10.244.1.2:43210", "10.96.0.11:80"], 1: ["10.244.1.1:43210", "10.244.1.2:8080"] },
		},
		service: { ip: "10.96.0.11", port: 80, name: "default/web" },
	});
	assert.equal(
		shown(table.path(path)),
		`
default/client @node-a → default/web (10.96.0.11:80) → default/client @node-a
time              packet      veth veth  total
12:00:00.123456 → SYN            · 7.3*    7.3 ✓
  * DNAT 10.96.0.11:80 → 10.244.1.2:8080
  * SNAT 10.244.1.2:43210 → 10.244.1.1:43210
`,
	);
});

test("a fragment without ports is not NAT", () => {
	const path = pathOf(sameNode, {
		faces: { 0: ["10.244.1.2:5000", "10.244.1.3:80"], 1: ["10.244.1.2", "10.244.1.3"] },
	});
	assert.equal(tableOf().path(path).join("\n").includes("*"), false);
});

test("one node alone shows its half: forwarded to the node that is not watched", () => {
	const table = tableOf();
	const text = shown(
		table.ready(readyOf({ nodes: ["node-a"], hooks: readyOf().hooks.slice(0, 4) })),
		table.path(pathOf(crossNode.slice(0, 4), { verdict: "forwarded", outer: { 3: onWire } })),
	);
	assert.equal(
		text,
		`
default/client @node-a → default/server @node-b   vxlan 1  192.168.66.11 → .12
4 hooks, 1 node, ready in 0.2 s · µs since previous hop
time              packet      veth cni0 flan eth0  total
12:00:00.123456 → SYN            ·  3.1  2.4  4.0    9.5 → node-b, not watched
`,
	);
});

test("where the route says whither, the row says so, too", () => {
	const blame: Blame = { ...noFdb, reason: "→ 203.0.113.7, not watched", remedy: null, expected: null };
	const lines = tableOf().path(pathOf(crossNode.slice(0, 2), { verdict: "forwarded", blame }));
	assert.match(lines.at(-1) ?? "", / 3\.1 → 203\.0\.113\.7, not watched$/);
});

test("another shape and another flow bring their own header; the same ones do not", () => {
	const table = tableOf();
	table.ready(readyOf());
	const whole = pathOf(crossNode);
	const local = pathOf(sameNode, { destination: neighbor });
	const lengths = [whole, whole, local, local, whole].map((path) => table.path(path).length);
	assert.deepEqual(lengths, [2, 1, 3, 1, 3]);
});

test("a path that ends where others go on is another shape, not one with gaps", () => {
	const table = tableOf();
	table.ready(readyOf());
	table.path(pathOf(crossNode));
	const toOwnNode = table.path(
		pathOf(crossNode.slice(0, 2), { destination: endpoint("10.244.1.1", 80, null, null, "node-a") }),
	);
	assert.deepEqual(toOwnNode.slice(1), [
		"time              packet      veth cni0  total",
		"12:00:00.123456 → SYN            ·  3.1    3.1 ✓",
	]);
});

test("an optional hook that a path passed over is left blank under the same header", () => {
	const withBridge: Step[] = [sameNode[0] as Step, ["node-a", "cni0", "egress", "bridge", 2], sameNode[1] as Step];
	const table = tableOf();
	table.ready(readyOf());
	table.path(pathOf(withBridge));
	assert.deepEqual(table.path(pathOf(sameNode)), ["12:00:00.123456 → SYN            ·       6.3    6.3 ✓"]);
});

test("where another flow fits under the header, its row says whose it is", () => {
	const table = tableOf({ width: () => 111 });
	table.ready(readyOf({ from: { text: "any", name: "any", node: null, addresses: [] } }));
	const stranger = endpoint("10.244.1.9", 999, null, null, null);
	const first = table.path(pathOf(crossNode));
	const second = table.path(pathOf(crossNode, { source: stranger }));
	assert.match(first[0] ?? "", /^default\/client @node-a → default\/server @node-b$/);
	assert.equal(second.length, 1);
	assert.match(second[0] ?? "", / ✓ {3}10\.244\.1\.9 → default\/serve…$/);
});

test("a flow that goes on under another's columns gets the line above", () => {
	const table = tableOf({ width: () => 200 });
	table.ready(readyOf());
	table.path(pathOf(crossNode));
	const other = pathOf(crossNode, { source: endpoint("10.244.1.9", 999, null, null, null) });
	const lengths = [other, other, other, pathOf(crossNode), other].map((path) => table.path(path));
	assert.deepEqual(
		lengths.map((lines) => lines.length),
		[1, 2, 1, 1, 1],
	);
	assert.match(lengths[0]?.[0] ?? "", / ✓ {3}10\.244\.1\.9 → default\/server @node-b$/);
	assert.equal(lengths[1]?.[0], "10.244.1.9 → default/server @node-b");
	assert.match(lengths[2]?.[0] ?? "", / ✓$/);
	assert.match(lengths[3]?.[0] ?? "", / ✓ {3}default\/client @node-a → default\/server @node-b$/);
});

test("a loss shows the hook that missed the packet, even with no header to fit", () => {
	const table = tableOf();
	table.ready(readyOf());
	assert.deepEqual(table.path(pathOf(crossNode.slice(0, 3), { verdict: "lost", blame: noFdb })).slice(0, 2), [
		"time              packet      veth cni0 flan eth0  total",
		"12:00:00.123456 → SYN            ·  3.1  2.4    ✗",
	]);
});

test("a lost reply is read from right to left, too", () => {
	const table = tableOf();
	table.ready(readyOf());
	table.path(pathOf(crossNode));
	const lost = pathOf(back(crossNode, [0, 3.3, 2.2, 4.4]).slice(0, 4), {
		...{ source: server, destination: client, flags: "SA", verdict: "lost" as const },
		blame: { ...noFdb, node: "node-b", device: "eth0", expected: "eth0→i", reason: "", remedy: null },
	});
	assert.deepEqual(table.path(lost), [
		"12:00:00.123456 ← SYN,ACK                       ✗ ║   4.4  2.2  3.3    ·",
		"  lost on node-b after eth0→e: eth0 watched, 0 events lost",
	]);
});

test("a reason that only repeats the first line is left out", () => {
	const reason = "lost after flannel.1→e @node-a: eth0→e watched, 0 events lost";
	const lines = tableOf().path(
		pathOf(crossNode.slice(0, 3), { verdict: "lost", blame: { ...noFdb, reason, remedy: null } }),
	);
	assert.equal(lines.at(-1), "  lost on node-a after flannel.1→e: eth0 watched, 0 events lost");
});

test("a drop names the kernel's reason; a later report corrects an earlier row", () => {
	const blame: Blame = {
		...{
			node: "node-a",
			device: "cni0",
			direction: "ingress",
			expected: null,
			reason: "an iptables rule in FORWARD",
			remedy: null,
		},
		...{ kernelReason: "NETFILTER_DROP", kernelFunction: "nf_hook_slow" },
	};
	const table = tableOf();
	table.ready(readyOf());
	table.path(pathOf(crossNode));
	assert.deepEqual(table.path(pathOf(crossNode.slice(0, 2), { verdict: "dropped", blame, revision: 1 })), [
		"12:00:00.123456 → SYN            ·  3.1    ✗",
		"  dropped on node-a after cni0→i: NETFILTER_DROP in nf_hook_slow",
		"  an iptables rule in FORWARD",
		"  corrects what was said of 12:00:00.123456",
	]);
});

test("weak evidence and incomplete paths say so", () => {
	const table = tableOf();
	table.ready(readyOf());
	const rows = (["order", "ambiguous"] as const).map((evidence) => table.path(pathOf(crossNode, { evidence })).at(-1));
	assert.match(rows[0] ?? "", / ✓ \(by order\)$/);
	assert.match(rows[1] ?? "", / ✓ \(ambiguous\)$/);
	const blame: Blame = { ...noFdb, reason: "tracing began in between", remedy: null };
	const [row, why] = table.path(pathOf(crossNode.slice(0, 5), { verdict: "incomplete", blame }));
	assert.match(row ?? "", / \?$/);
	assert.equal(why, "  incomplete: tracing began in between");
});

test("replies that do not show the service's face are of the same flow", () => {
	const table = tableOf({ width: () => 200 });
	table.ready(readyOf({ to: { text: "any", name: "any", node: null, addresses: [] } }));
	const service = { ip: "10.96.0.11", port: 80, name: "default/web" };
	assert.equal(
		table.path(pathOf(crossNode, { service }))[0],
		"default/client @node-a → default/web (10.96.0.11:80) → default/server @node-b",
	);
	assert.equal(table.path(synAck).length, 1);
	assert.match(table.path(synAck)[0] ?? "", / ✓$/);
});

test("a flooded frame names its copies", () => {
	const flooded = [...sameNode, ["node-a", "veth3", "egress", "pod", 0.2] as const];
	const lines = tableOf().path(pathOf(flooded, { protocol: "arp", flags: null, branches: { 2: 1 } }));
	assert.match(lines[2] ?? "", /→ ARP/);
	assert.equal(lines[3], "  flooded also to veth3→e @node-a");
});

test("packets are called what they are", () => {
	const cases: readonly (readonly [Parameters<typeof pathOf>[1], string])[] = [
		[{ flags: "S" }, "SYN"],
		[{ flags: "SA" }, "SYN,ACK"],
		[{ flags: "A" }, "ACK"],
		[{ flags: "." }, "ACK"],
		[{ flags: "FA" }, "FIN,ACK"],
		[{ flags: "R" }, "RST"],
		[{ flags: "" }, "TCP"],
		[{ flags: "PA", payload: 512 }, "512 B"],
		[{ flags: "FPA", payload: 12 }, "FIN 12 B"],
		[{ protocol: "udp", flags: null, payload: 64 }, "UDP 64"],
		[{ protocol: "udp", flags: null, payload: 5140, packets: 5 }, "UDP 5140 ×5"],
		[{ protocol: "icmp", flags: null, seq: 7, icmp: { type: 8, code: 0 } }, "echo request 7"],
		[{ protocol: "icmpv6", flags: null, seq: 7, icmp: { type: 129, code: 0 } }, "echo reply 7"],
		[{ protocol: "icmp", flags: null, icmp: { type: 3, code: 4 } }, "frag needed"],
		[{ protocol: "icmp", flags: null, seq: 7 }, "ICMP 7"],
		[{ protocol: "icmp", flags: null, icmp: { type: 42, code: 0 } }, "icmp type 42"],
		[{ protocol: "47", flags: null }, "proto 47"],
	];
	for (const [fields, expected] of cases) {
		const row =
			tableOf({ width: () => 150 })
				.path(pathOf(crossNode, fields))
				.at(-1) ?? "";
		assert.equal(/[→←] (.+?) +(?:·|\d+\.\d) /.exec(row)?.[1], expected);
	}
});

test("relative time counts from the first packet", () => {
	const table = tableOf({ time: "relative" });
	const times = ["2026-11-22T11:59:59.999999900Z", "2026-11-22T12:00:01.000002Z", "2026-11-22T11:59:59.999Z"].map(
		(time) => table.path(pathOf(sameNode, { time })).at(-1)?.slice(0, 15),
	);
	assert.deepEqual(times, ["      +0.000000", "      +1.000002", "      -0.000999"]);
});

test("local time is the machine's", () => {
	const row =
		tableOf({ utcOffset: () => 330 })
			.path(pathOf(sameNode))
			.at(-1) ?? "";
	assert.equal(row.slice(0, 15), "17:30:00.123456");
});

test("IPv6 ends and tunnels are written out", () => {
	const from = endpoint("fd00:10:244:1::2", 43210, null, null, null);
	const to = endpoint("fd00:10:244:2::3", 80, null, null, null);
	const table = tableOf();
	const outer = { source: "fd00:66::11", destination: "fd00:66::12", vni: 1 };
	assert.equal(
		table.path(pathOf(crossNode, { source: from, destination: to, outer: { 3: outer } }))[0],
		"fd00:10:244:1::2 → fd00:10:244:2::3   vxlan 1  fd00:66::11 → fd00:66::12",
	);
});

test("rows fit a narrow terminal: the hours go first, and nothing is wider than the screen", () => {
	for (const width of [120, 81, 80, 78, 76, 60, 40]) {
		const table = tableOf({ width: () => width });
		table.ready(readyOf());
		const rows = [...table.path(pathOf(crossNode, { clockErrorNs: 2000 })), ...table.path(synAck)].slice(-2);
		for (const row of rows) assert.ok(textWidth(row) <= width, `${width}: ${row}`);
		if (width >= 76) for (const row of rows) assert.match(row, /✓$/, `${width}: ${row}`);
	}
});

test("a resized terminal gets a fresh header", () => {
	let width = 100;
	const table = tableOf({ width: () => width });
	table.path(pathOf(crossNode));
	assert.equal(table.path(pathOf(crossNode)).length, 1);
	width = 80;
	assert.equal(table.path(pathOf(crossNode)).length, 2);
});

test("a cell that is too wide pushes its neighbours only as far as it must", () => {
	const slow = crossNode.map((step, at) => (at === 2 ? ([...step.slice(0, 4), 123_456] as unknown as Step) : step));
	const row = tableOf().path(pathOf(slow, { protocol: "icmp", flags: null, seq: 12345, icmp: { type: 8, code: 0 } }));
	assert.equal(row.at(-1), "12:00:00.123456 → echo request 12345 · 3.1 123ms 4.0 ║ 38  2.9  1.8  2.2  124ms ✓");
});

test("colour is only colour: without the escapes the text is the same", () => {
	const draw = (colour: boolean) => {
		const table = tableOf({ colour });
		return [...table.ready(readyOf()), ...table.path(pathOf(crossNode)), ...table.path(synAck)].join("\n");
	};
	assert.notEqual(draw(true), draw(false));
	// biome-ignore lint/suspicious/noControlCharactersInRegex: the escapes are what is taken away.
	assert.equal(draw(true).replace(/\x1b\[\d+m/g, ""), draw(false));
});

test("names with escape sequences never reach the terminal raw", () => {
	const evil = "\x1b[2Jevil\u202e\u0007\u009b31m";
	const table = tableOf();
	const text = shown(
		table.ready(
			readyOf({ from: { text: evil, name: evil, node: evil, addresses: [] }, warnings: [evil], nodes: [evil] }),
		),
		table.path(withNames(pathOf(crossNode), evil)),
		table.hook({ type: "hook", change: "added", node: evil, device: evil, pod: evil }),
		table.status(statusOf({ seconds: 5, fromSeen: 0 })),
		table.summary(
			summaryOf({
				blames: [{ place: evil, verdict: "lost", count: 2 }],
				events: { seen: 1, joined: 1, unjoined: { [evil]: 0 }, lost: { [evil]: 1 } },
			}),
			0,
		),
	);
	// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
	assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
	assert.match(text, /\\x1b\[2Jevil\\u202e\\x07\\x9b31m/);
});

function withNames(path: Path, name: string): Path {
	const end = { ...path.flow.source, namespace: name, pod: name, node: name };
	return {
		...path,
		...{ verdict: "lost", flow: { ...path.flow, source: end, protocol: name } },
		hops: path.hops.slice(0, 2).map((hop) => ({ ...hop, node: name, device: name, destination: name })),
		blame: { ...noFdb, node: name, device: name, expected: name, reason: name, remedy: name },
	};
}

test("three seconds of silence: what the veths saw, and what to check, once", () => {
	const table = tableOf();
	table.ready(readyOf());
	const idle = statusOf({ fromSeen: 0, toSeen: 0 });
	assert.deepEqual([...table.status(idle), ...table.status(idle)], []);
	assert.deepEqual(table.status(idle), [
		"  no packet for 3 s: default/client's veth saw 0 packets, default/server's veth saw 0 packets",
		"  check: is default/client sending at all? Both veths are watched and idle",
	]);
	assert.deepEqual(table.status(idle), []);
});

test("a pause between packets is no riddle, unless other packets pass meanwhile", () => {
	const table = tableOf();
	table.ready(readyOf());
	table.path(pathOf(crossNode));
	const idle = statusOf({ fromSeen: 7, toSeen: 6 });
	assert.deepEqual([...table.status(idle), ...table.status(idle), ...table.status(idle)], []);
	assert.deepEqual(table.status(statusOf({ fromSeen: 9, toSeen: 6 })), [
		"  no packet for 4 s: default/client's veth saw 9 packets, default/server's veth saw 6 packets",
		"  check: default/client sends, but nothing that fits: is it meant for default/server, and does FILTER fit?",
	]);
});

test("losses that all had their rows are not told again", () => {
	const table = tableOf();
	table.ready(readyOf());
	const lost = pathOf(crossNode.slice(0, 3), { verdict: "lost", blame: noFdb });
	table.path(lost);
	table.path(lost);
	assert.deepEqual(table.status(statusOf({ lost: 2 })), []);
	assert.deepEqual(table.status(statusOf({ lost: 2 })), ["  +0 alike in 1 s   lost 2"]);
});

test("packets that were counted but not shown are no silence", () => {
	const table = tableOf();
	table.ready(readyOf());
	const busy = statusOf({ alike: 7, latency: { p50Ns: 5000, p99Ns: 9000, maxNs: 9100 } });
	for (let second = 0; second < 5; second++) {
		assert.deepEqual(table.status(busy), ["  +7 alike in 1 s   p50 5.0  p99 9.0  max 9.1   lost 0"]);
	}
	assert.deepEqual(table.status(statusOf()), []);
});

test("a summary names every cause, and does not hide a balance that fails", () => {
	const lines = tableOf().summary(
		summaryOf({
			...{ durationMs: 185_000, flows: 1, hooks: 1 },
			paths: { delivered: 5, forwarded: 4, dropped: 0, lost: 3, incomplete: 2 },
			blames: [
				{ place: "flannel.1→e @node-a", verdict: "lost", count: 2 },
				{ place: "eth0→e @node-a", verdict: "lost", count: 1 },
			],
			events: { seen: 1000, joined: 900, unjoined: { late: 40, retransmitted: 0 }, lost: { ringFull: 50 } },
			kernel: { seen: 2000, matched: 1050, emitted: 1000, ringFull: 50, unparseable: { truncated: 2 } },
		}),
		17,
	);
	assert.deepEqual(lines, [
		"3 min 5 s, 1 flow, 1 hook removed",
		"→ 14 paths: 5 delivered, 4 forwarded, 3 lost (2 flannel.1→e @node-a, 1 eth0→e @node-a), 2 incomplete",
		"events 1,000 seen = 900 joined + 40 unjoined (40 late) + 50 lost (50 ringFull)   does not balance: 10",
		"kernel 1,050 matched = 1,000 emitted + 50 ring full",
		"kernel 2 not parseable (2 truncated)",
		"17 rows not shown: terminal too slow",
	]);
});
