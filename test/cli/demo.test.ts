import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { labStatus } from "../../src/lab/status.js";
import { run, weft } from "./run.js";

const root = { skip: process.getuid?.() !== 0 && "needs root" };

test("the demo shows a service's NAT, a flood in a line, a fault found and repaired, and tidies up", root, async () => {
	assert.equal((await labStatus("demo")).state, "down", "the precondition: nobody else's demo is running");
	const { status, stdout, stderr } = await run(["demo"]);
	assert.deepEqual([status, stderr], [0, ""]);
	const [broken = -1, repaired = -1] = ["# something breaks", "# and again"].map((aside) => stdout.indexOf(aside));
	assert.match(stdout, /cni0 ─┬─ veth\w+ ─ default\/client /);
	assert.match(stdout, /→ SYN +· +[\d.]+\* .*║.* ✓\n {2}\* DNAT 10\.96\.0\.11:80 → 10\.244\.2\.\d+:8080\n/);
	assert.match(stdout, /← SYN,ACK .* ✓\n/);
	assert.match(stdout, /\n {2}\+[\d,]+ alike in .* p50 .* max .*lost 0\n/);
	const fault = stdout.slice(broken, repaired);
	assert.match(fault, /→ UDP 64 .* ✗\n/);
	// The kernel says that it threw it away, with a word that tells nothing; weft tells why.
	assert.match(fault, /dropped on node-a after flannel\.1→e: NO_TX_TARGET/);
	assert.match(
		fault,
		/no FDB entry for 8e:02:00:00:00:02 .*→ bridge fdb replace 8e:02:00:00:00:02 dev flannel\.1 dst /,
	);
	assert.match(stdout.slice(repaired), /→ SYN .* ✓\n/);
	assert.match(stdout, /→ [\d,]+ paths: [\d,]+ delivered, 1 dropped \(flannel\.1→e @node-a\)/);
	assert.match(stdout, /events ([\d,]+) seen = \1 joined \+ 0 unjoined \+ 0 lost\n/);
	assert.equal((await labStatus("demo")).state, "down");
});

test("the demo leaves nothing behind when it is interrupted, whenever that is", root, async () => {
	for (const afterMs of [700, 2500, 6000]) {
		const child = spawn(process.execPath, [weft, "demo"], { stdio: "ignore" });
		const ended = once(child, "close");
		await sleep(afterMs);
		assert.equal(child.exitCode, null, "the precondition: it was still running");
		child.kill("SIGINT");
		assert.deepEqual(await ended, [0, null], `after ${afterMs} ms`);
		assert.equal((await labStatus("demo")).state, "down", `after ${afterMs} ms`);
	}
});
