import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { addon } from "../../src/kernel/addon.js";
import { Miniature, PACKET } from "./fixture.js";
import { Space } from "./space.js";
import { eventually } from "./spawn.js";

const BUSY = fileURLToPath(new URL("busy.js", import.meta.url));

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function openDescriptors(): number {
	return readdirSync("/proc/self/fd").length;
}

describe("what the addon holds", () => {
	it("is given back by close", async () => {
		await useEverything();
		const before = openDescriptors();
		for (let round = 0; round < 5; round++) await useEverything();
		assert.equal(openDescriptors(), before);
	});

	it("is given back by the garbage collector", async () => {
		addon();
		const before = openDescriptors();
		(() => {
			for (let round = 0; round < 5; round++) {
				const netns = addon().openNetns(null);
				addon().openNetlink(netns);
				new Miniature();
			}
		})();
		assert.ok(openDescriptors() > before);
		assert.ok(
			await eventually(() => {
				collectGarbage();
				return openDescriptors() === before;
			}),
			`${openDescriptors()} descriptors, ${before} before`,
		);
	});

	it("is given back when a worker is terminated while it drains and listens", async () => {
		addon();
		const before = openDescriptors();
		for (let round = 0; round < 10; round++) {
			const worker = new Worker(BUSY);
			await once(worker, "message");
			await delay(round);
			await worker.terminate();
		}
		assert.ok(await eventually(() => openDescriptors() <= before), `${openDescriptors()}, ${before} before`);
	});

	it("works in several threads at once", async () => {
		const workers = Array.from({ length: 4 }, () => new Worker(BUSY));
		await Promise.all(workers.map((worker) => once(worker, "message")));
		await useEverything();
		await Promise.all(workers.map((worker) => worker.terminate()));
	});

	for (const way of ["exit", "return", "throw", "terminate"]) {
		it(`does not stand in the way of a process that ends by ${way}`, () => {
			const { status, signal, stderr } = spawnSync(process.execPath, [BUSY, way], {
				encoding: "utf8",
				timeout: 20_000,
			});
			assert.deepEqual([status, signal], [way === "throw" ? 1 : 0, null], stderr);
		});
	}
});

async function useEverything(): Promise<void> {
	const space = new Space();
	const netns = addon().openNetns(space.path);
	const netlink = addon().openNetlink(netns);
	const monitor = addon().monitorNetlink(netns, [1], true, () => undefined);
	const mini = new Miniature();
	const tcx = await addon().attachTcx({ program: mini.emit, ifindex: space.far, egress: false, netns });
	const clsact = addon().attachClsact({ program: mini.emit, ifindex: space.near, egress: true, netns });
	mini.rings.drain((batch) => mini.rings.release(batch));
	mini.emit.testRun(PACKET, { repeat: 100 });
	await mini.rings.stop();
	for (const each of [tcx, clsact, mini, monitor, netlink, netns, space]) each.close();
}
