import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { addShared, parseDuration, parseSample } from "../../src/cli/options.js";
import { requestOf } from "../../src/cli/trace.js";
import type { TraceRequest } from "../../src/collector/request.js";

const defaults = { namespace: "default", agent: [], sample: 1, all: false, time: "absolute", output: "text" } as const;

function ends(line: string): Pick<TraceRequest, "from" | "to" | "filter"> {
	const { from, to, filter } = requestOf(line === "" ? [] : line.split("_"), defaults);
	return { from, to, filter };
}

test("FROM, TO and FILTER are told apart, words joined by _ here", () => {
	assert.deepEqual(ends(""), { from: "any", to: "any", filter: "" });
	assert.deepEqual(ends("client"), { from: "client", to: "any", filter: "" });
	assert.deepEqual(ends("client_server"), { from: "client", to: "server", filter: "" });
	assert.deepEqual(ends("client_server_tcp port 80"), { from: "client", to: "server", filter: "tcp port 80" });
	assert.deepEqual(ends("client_server_tcp_port_80"), { from: "client", to: "server", filter: "tcp port 80" });
	assert.deepEqual(ends("tcp_port_80"), { from: "any", to: "any", filter: "tcp port 80" });
	assert.deepEqual(ends("client_icmp"), { from: "client", to: "any", filter: "icmp" });
	assert.deepEqual(ends("client_not port 22"), { from: "client", to: "any", filter: "not port 22" });
	assert.deepEqual(ends("tcp[13]&2!=0"), { from: "any", to: "any", filter: "tcp[13]&2!=0" });
	assert.deepEqual(ends("default/web-[0-9]_fd00::1"), { from: "default/web-[0-9]", to: "fd00::1", filter: "" });
	assert.deepEqual(ends("default/tcp_svc:web"), { from: "default/tcp", to: "svc:web", filter: "" });
});

test("what was not asked for is null, and JSON is never thinned", () => {
	assert.deepEqual(requestOf([], { ...defaults, output: "json" }), {
		...{ from: "any", to: "any", filter: "", namespace: "default", count: null, durationMs: null },
		...{ netns: null, lab: null, hostRoot: null, attach: "auto", sample: 1, agents: [], write: null, read: null },
		...{ anonymize: false, everyPath: true, version: "0.1.0" },
	});
});

test("shared options reach the action in plain units", async () => {
	const command = addShared(new Command(), ["duration", "sample", "count", "agent", "lab"]).action(() => {});
	await command.parseAsync("-d 1.5m --sample 1/8 -c 3 --agent unix:/a --agent b:1".split(" "), { from: "user" });
	assert.deepEqual(command.opts(), { duration: 90_000, sample: 8, count: 3, agent: ["unix:/a", "b:1"] });
});

test("durations and ratios", () => {
	assert.deepEqual(["500ms", "10s", "0.5s", "5m", "1h"].map(parseDuration), [500, 10_000, 500, 300_000, 3_600_000]);
	assert.deepEqual(["1/1", "1/10", "1/1048576"].map(parseSample), [1, 10, 1_048_576]);
	for (const bad of ["", "s", "-1s", "1d", "1 s", "1e3s", "600h"])
		assert.throws(() => parseDuration(bad), { name: "InvalidArgumentError" }, bad);
	for (const bad of ["", "2", "2/1", "1/0", "1/x", "1/1048577"])
		assert.throws(() => parseSample(bad), { name: "InvalidArgumentError" }, bad);
});
