import assert from "node:assert/strict";
import { test } from "node:test";
import type { DropReport } from "../../src/latency/drop-report.js";
import { DropTable } from "../../src/render/text/drops.js";
import { client, server } from "./paths.js";

function tableOf(): DropTable {
	return new DropTable({ colour: false, width: () => 140, time: "absolute", utcOffset: () => 0 });
}

function drop(fields: Partial<DropReport> = {}): DropReport {
	return {
		...{ type: "drop", time: "2026-11-22T12:00:00.123456789Z", node: "node-a", count: 1 },
		...{ kernelReason: "NETFILTER_DROP", kernelFunction: "nf_hook_slow", diagnosis: "an iptables rule in FORWARD" },
		explanation: "kube-proxy or a network policy refuses it",
		...{
			remedy: "iptables -L FORWARD -v",
			hop: { device: "cni0", direction: "ingress", evidence: "concluded" },
			protocol: "tcp",
		},
		...{ source: client, destination: server, path: null },
		...fields,
	};
}

test("a drop is a row; what it means is said once", () => {
	const table = tableOf();
	assert.deepEqual(table.drop(drop()), [
		"12:00:00.123456 ✗ an iptables rule in FORWARD  cni0→i @node-a  tcp default/client:43210 → default/server:80",
		"  the kernel says NETFILTER_DROP in nf_hook_slow",
		"  kube-proxy or a network policy refuses it",
		"  → iptables -L FORWARD -v",
	]);
	assert.deepEqual(table.drop(drop({ count: 1200, hop: null, source: null })), [
		"12:00:00.123456 ✗ an iptables rule in FORWARD ×1,200  @node-a  tcp ? → default/server:80",
	]);
});

test("without a diagnosis the kernel's word stands alone", () => {
	const bare = drop({ diagnosis: null, explanation: null, remedy: null, source: null, destination: null });
	assert.deepEqual(tableOf().drop(bare), ["12:00:00.123456 ✗ NETFILTER_DROP  cni0→i @node-a  tcp"]);
});

test("the table sums up, most frequent first, a client's ports as one", () => {
	const table = tableOf();
	table.drop(drop());
	table.drop(drop({ source: { ...client, port: 43211 }, count: 4 }));
	table.drop(drop({ diagnosis: "no FDB entry", kernelReason: "NO_TX_TARGET", kernelFunction: null, count: 20 }));
	assert.equal(
		`\n${table.table(10).join("\n")}\n`,
		`
count   /s  why                          kernel                          last at         flow
   20  2.0  no FDB entry                 NO_TX_TARGET                    cni0→i @node-a  tcp default/client → default/server:80
    5  0.5  an iptables rule in FORWARD  NETFILTER_DROP in nf_hook_slow  cni0→i @node-a  tcp default/client → default/server:80
`,
	);
});

test("kinds are bounded; the rest is one row", () => {
	const table = tableOf();
	for (let kind = 0; kind < 1500; kind++) table.drop(drop({ diagnosis: `kind ${kind}` }));
	const lines = table.table(1);
	assert.equal(lines.length, 1 + 1000 + 1);
	assert.match(lines.at(-1) ?? "", /^ +500 +500\.0 +other$/);
});

test("nothing dropped is good news", () => {
	assert.deepEqual(tableOf().table(10), ["nothing was dropped"]);
});
