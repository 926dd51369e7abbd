import assert from "node:assert/strict";
import { test } from "node:test";
import type { FlowCounts, FlowRecord } from "../../src/flow/record.js";
import { jsonLine } from "../../src/render/json.js";
import { FlowTable } from "../../src/render/text/flows.js";
import { client, server } from "./paths.js";

function counts(packets: number, bytes: number, fields: Partial<FlowCounts> = {}): FlowCounts {
	return { packets, bytes, payloadBytes: bytes, lost: 0, dropped: 0, retransmissions: 0, ...fields };
}

function flowOf(fields: Partial<FlowRecord> = {}): FlowRecord {
	return {
		...{ type: "flow", id: "f1", flow: { protocol: "tcp", source: client, destination: server, service: null } },
		...{ tunnels: [], forward: counts(45, 64_374), reverse: counts(20, 1320), tcpState: "established" },
		...{ handshakeRttNs: 112_000, rtt: { count: 20, p50Ns: 98_000, p90Ns: 140_000, p99Ns: 310_000, maxNs: 320_000 } },
		...{ resets: 0, retransmissions: [], firstSeen: "2026-11-22T12:00:00Z", lastSeen: "2026-11-22T12:00:01Z" },
		...fields,
	};
}

function tableOf(width = 150, height = Number.POSITIVE_INFINITY): FlowTable {
	return new FlowTable({ colour: false, width: () => width, height: () => height });
}

test("a flow is a row; its tunnel and the fate of what was sent again stand below", () => {
	const lines = tableOf().lines([
		flowOf({
			flow: { ...flowOf().flow, service: { ip: "10.96.0.11", port: 80, name: "default/web" } },
			tunnels: [{ source: "192.168.66.11", destination: "192.168.66.12", vni: 1 }],
			forward: counts(45, 64_374, { lost: 2, retransmissions: 3 }),
			retransmissions: [
				{ place: "flannel.1→e @node-a", count: 2 },
				{ place: null, count: 1 },
			],
		}),
		flowOf({
			...{ id: "f2", tcpState: null, handshakeRttNs: null, rtt: null, reverse: counts(0, 0), forward: counts(1, 92) },
			flow: { ...flowOf().flow, protocol: "udp" },
		}),
	]);
	assert.equal(
		`\n${lines.join("\n")}\n`,
		`
proto  flow                                                    state        packets →   ←  bytes →       ←  handshake  rtt p50  p99  again  lost
tcp    default/client:43210 → default/web → default/server:80  established         45  20    63 KB  1320 B        112       98  310      3     2
       vxlan 1  192.168.66.11 → .12
       2 sent again, the originals lost after flannel.1→e @node-a
       1 sent again, it is not known where the originals were lost
udp    default/client:43210 → default/server:80                                     1   0     92 B     0 B          ·        ·    ·      0     0
`,
	);
});

test("the busiest flows first; what the screen has no room for is counted", () => {
	const flows = [1, 2, 3, 4].map((size) => flowOf({ id: `f${size}`, forward: counts(size, size * 1000) }));
	const lines = tableOf(150, 2).lines(flows);
	assert.deepEqual(
		lines.slice(1, 3).map((line) => /established +(\d)/.exec(line)?.[1]),
		["4", "3"],
	);
	assert.equal(lines.at(-1), "and 2 more, less busy");
	assert.equal(lines.length, 4);
});

test("no flows is said", () => {
	assert.deepEqual(tableOf().lines([]), ["no flows yet"]);
});

test("a narrow terminal shortens the flow's name", () => {
	for (const line of tableOf(120).lines([flowOf()])) assert.ok(line.length <= 120, line);
	assert.match(tableOf(120).lines([flowOf()])[1] ?? "", /^tcp {4}default\/client:43210 →.*… {2}established/);
});

test("JSON has every field of a flow, in one order", () => {
	assert.equal(
		jsonLine(flowOf({ tcpState: null, rtt: null, handshakeRttNs: null })),
		'{"type":"flow","id":"f1","flow":{"protocol":"tcp",' +
			'"source":{"ip":"10.244.1.2","port":43210,"namespace":"default","pod":"client","node":"node-a"},' +
			'"destination":{"ip":"10.244.2.3","port":80,"namespace":"default","pod":"server","node":"node-b"},' +
			'"service":null},"tunnels":[],' +
			'"forward":{"packets":45,"bytes":64374,"payloadBytes":64374,"lost":0,"dropped":0,"retransmissions":0},' +
			'"reverse":{"packets":20,"bytes":1320,"payloadBytes":1320,"lost":0,"dropped":0,"retransmissions":0},' +
			'"tcpState":null,"handshakeRttNs":null,"rtt":null,"resets":0,"retransmissions":[],' +
			'"firstSeen":"2026-11-22T12:00:00Z","lastSeen":"2026-11-22T12:00:01Z"}',
	);
});
