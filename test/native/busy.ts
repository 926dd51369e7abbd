/** Drains and listens for ever, with batches out: a worker to be terminated, or a process that ends as it is told. */
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { addon } from "../../src/kernel/addon.js";
import { Miniature, PACKET } from "./fixture.js";

const mini = new Miniature({ batchRecords: 64, intervalMs: 1 });
const netns = addon().openNetns(null);
const monitor = addon().monitorNetlink(netns, [1], true, () => undefined);
let batches = 0;
mini.rings.drain((batch) => {
	// Every other one, until all credits are out.
	if (batches++ % 2 === 0) mini.rings.release(batch);
	mini.emit.testRun(PACKET, { repeat: 1000 });
	if (batches === 3) enough();
});

function enough(): void {
	if (!isMainThread) {
		parentPort?.postMessage("busy");
		return;
	}
	if (process.argv[2] === "exit") process.exit(0);
	switch (process.argv[2]) {
		case "throw":
			throw new Error("on purpose");
		case "terminate": {
			const worker = new Worker(new URL(import.meta.url));
			worker.once("message", () => void worker.terminate().then(() => process.exit(0)));
			break;
		}
		default:
			monitor.close();
			mini.rings.close();
	}
}
