import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentStatus } from "../../src/collector/agent-status.js";
import { jsonLine } from "../../src/render/json.js";
import { statusLines } from "../../src/render/text/status.js";

const agent: AgentStatus = {
	...{ type: "agent", address: "unix:/run/weft/weft.sock", node: "node-a", instance: "k3v9", version: "0.1.0" },
	...{ kernel: "6.18.0", attach: "tcx", startedAt: "2026-11-22T12:00:00Z", uptimeMs: 185_000 },
	...{ residentBytes: 82 * 2 ** 20, clock: { offsetNs: 12_000, errorNs: 1900 } },
	hooks: (["ingress", "egress"] as const).map((direction) => ({
		...{ node: "node-a", device: "veth61dfc48a", ifindex: 7, direction, role: "pod" },
	})),
	subscribers: [{ id: 1, method: "Trace", question: "default/client default/server tcp", delivered: 30_611, lost: 4 }],
	ledger: [
		{ stage: "kernel", in: 489_670, out: 489_660, lost: { ringFull: 10 } },
		{ stage: "joiner", in: 489_660, out: 489_650, lost: {} },
	],
	warnings: ["veth9 could not be hooked: it went away"],
};

test("an agent with all it has to say", () => {
	assert.equal(
		`\n${statusLines([agent], { colour: false, width: 120 }).join("\n")}\n`,
		`
node-a  unix:/run/weft/weft.sock
  weft 0.1.0, Linux 6.18.0, tcx, up 3 min 5 s, 82.0 MB, clock +12±2 µs, instance k3v9
  2 hooks: veth61dfc48a→ie
  subscriber  asks for                                     delivered  lost
           1  Trace     default/client default/server tcp     30,611     4
  stage        in      out  lost
  kernel  489,670  489,660  10 ringFull
  joiner  489,660  489,650  0  does not balance: 10
  note: veth9 could not be hooked: it went away
`,
	);
});

test("an idle agent says that nobody asks; many hooks are summed up", () => {
	const idle = statusLines([{ ...agent, hooks: [], subscribers: [], ledger: [], warnings: [], clock: null }], {
		...{ colour: false, width: 120 },
	});
	assert.equal(idle.length, 3);
	assert.equal(idle[2], "  no hooks: nobody asks");
	const many = Array.from({ length: 30 }, (_, at) => ({
		...{ node: "node-a", device: `veth${at}`, ifindex: at, direction: "ingress" as const, role: "pod" as const },
	}));
	assert.match(
		statusLines([{ ...agent, hooks: many }], { colour: false, width: 500 })[2] ?? "",
		/ and 18 devices more$/,
	);
});

test("JSON has all of it", () => {
	assert.deepEqual(JSON.parse(jsonLine(agent)), agent);
	assert.match(jsonLine(agent), /^\{"type":"agent","address":"unix:\/run\/weft\/weft.sock","node":"node-a",/);
});
