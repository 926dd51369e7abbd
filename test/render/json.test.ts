import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonLine } from "../../src/render/json.js";
import { crossNode, pathOf, readyOf, sameNode, summaryOf } from "./paths.js";

test("a path is DESIGN.md's object, key by key", () => {
	const outer = { source: "192.168.66.11", destination: "192.168.66.12", vni: 1 };
	const steps = [crossNode[0] ?? sameNode[0], crossNode[3] ?? sameNode[1]].filter((step) => step !== undefined);
	const path = pathOf(steps, {
		...{ flags: "PA", seq: 1000, outer: { 1: outer } },
		service: { ip: "10.96.0.11", port: 80, name: "default/web" },
	});
	const expected = [
		'{"type":"path","id":"p1","revision":0,',
		'"flow":{"protocol":"tcp",',
		'"source":{"ip":"10.244.1.2","port":43210,"namespace":"default","pod":"client","node":"node-a"},',
		'"destination":{"ip":"10.244.2.3","port":80,"namespace":"default","pod":"server","node":"node-b"},',
		'"service":{"ip":"10.96.0.11","port":80,"name":"default/web"}},',
		'"packet":{"ipId":4711,"seq":1000,"ack":null,"flags":"PA","length":66,"payload":0,"icmp":null},',
		'"hops":[{"node":"node-a","device":"veth61dfc48a","ifindex":3,"direction":"ingress","role":"pod",',
		'"first":"2026-11-22T12:00:00.123456789Z","last":"2026-11-22T12:00:00.123456789Z",',
		'"sincePreviousNs":0,"packets":1,"bytes":66,"source":"10.244.1.2:43210","destination":"10.244.2.3:80",',
		'"outer":null,"branch":0},',
		'{"node":"node-a","device":"eth0","ifindex":4,"direction":"egress","role":"nic",',
		'"first":"2026-11-22T12:00:00.123456789Z","last":"2026-11-22T12:00:00.123456789Z",',
		'"sincePreviousNs":4000,"packets":1,"bytes":66,"source":"10.244.1.2:43210","destination":"10.244.2.3:80",',
		'"outer":{"source":"192.168.66.11","destination":"192.168.66.12","vni":1},"branch":0}],',
		'"verdict":"delivered","evidence":"exact","blame":null,"latencyNs":4000,"clockErrorNs":0}',
	];
	assert.equal(jsonLine(path), expected.join(""));
});

test("the order of keys does not depend on how an object was made, and nothing foreign slips in", () => {
	const path = pathOf(sameNode);
	const turned = Object.fromEntries(Object.entries({ ...path, secret: 1 }).reverse()) as unknown as typeof path;
	assert.equal(jsonLine(turned), jsonLine(path));
});

test("fields that may be left out inside are null outside", () => {
	const { tunnel: _, ...bare } = readyOf();
	assert.match(jsonLine(bare), /^\{"type":"ready","nodes":\[.*"tunnel":null,"warnings":\[\]\}$/);
	assert.match(jsonLine(pathOf(sameNode)), /"icmp":null/);
});

test("a summary has every verdict and every counter", () => {
	assert.equal(
		jsonLine(summaryOf()),
		'{"type":"summary","durationMs":12400,"flows":3,"hooks":8,' +
			'"paths":{"delivered":30608,"forwarded":0,"dropped":1,"lost":2,"incomplete":0},' +
			'"blames":[{"place":"flannel.1→eth0 @node-a","verdict":"lost","count":2}],' +
			'"events":{"seen":489660,"joined":489660,"unjoined":{},"lost":{}},' +
			'"kernel":{"seen":489660,"matched":489660,"emitted":489660,"ringFull":0,"unparseable":{}},"ledger":[]}',
	);
});

test("a drop and a latency report keep their shape", () => {
	assert.equal(
		jsonLine({
			...{ type: "drop", time: "2026-11-22T12:00:00Z", node: "node-a", count: 2, kernelReason: "NO_TX_TARGET" },
			...{ kernelFunction: null, diagnosis: null, explanation: null, remedy: null, hop: null, protocol: "tcp" },
			...{ source: null, destination: null, path: null },
		}),
		'{"type":"drop","time":"2026-11-22T12:00:00Z","node":"node-a","count":2,"kernelReason":"NO_TX_TARGET",' +
			'"kernelFunction":null,"diagnosis":null,"explanation":null,"remedy":null,"hop":null,"protocol":"tcp",' +
			'"source":null,"destination":null,"path":null}',
	);
	const end = { node: "node-a", device: "veth1", direction: "ingress", role: "pod", pod: null } as const;
	assert.equal(
		jsonLine({
			...{ type: "latency", time: "2026-11-22T12:00:10Z", seconds: 10, quantileError: 0.03, warnings: [] },
			segments: [
				{
					...{ kind: "bridge-up", from: end, to: null, node: "node-a", device: "cni0", group: null, count: 1 },
					...{ sumNs: 5, minNs: 5, p50Ns: 5, p90Ns: 5, p99Ns: 5, p999Ns: 5, maxNs: 5, clockErrorNs: 0 },
					...{ buckets: [{ fromNs: 5, toNs: 6, count: 1 }], unmatched: { cloned: 1 } },
				},
			],
		}),
		'{"type":"latency","time":"2026-11-22T12:00:10Z","seconds":10,"quantileError":0.03,"segments":[' +
			'{"kind":"bridge-up","node":"node-a","device":"cni0",' +
			'"from":{"node":"node-a","device":"veth1","direction":"ingress","role":"pod","pod":null},"to":null,' +
			'"group":null,"count":1,"sumNs":5,"minNs":5,"p50Ns":5,"p90Ns":5,"p99Ns":5,"p999Ns":5,"maxNs":5,' +
			'"clockErrorNs":0,"buckets":[{"fromNs":5,"toNs":6,"count":1}],"unmatched":{"cloned":1}}],"packets":null,"warnings":[]}',
	);
});
