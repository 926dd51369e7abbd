import { parentPort, workerData } from "node:worker_threads";
import { NodeWatch } from "./node-watch.js";
import type { FromNodeWorker, NodeWorkerOptions, ToNodeWorker } from "./protocol.js";

/* The thread of an agent that owns hooks, rings and encoding: see NodeWatch. */

const port = parentPort;
if (port === null) throw new Error("this is a worker's program");

const send = (message: FromNodeWorker): void => {
	if (message.kind === "message") port.postMessage(message, [message.bytes.buffer]);
	else port.postMessage(message);
};
const watch = new NodeWatch(workerData as NodeWorkerOptions, send);
let turn: Promise<unknown> = Promise.resolve();

/** What fails here has no subscriber to tell: the thread ends with it, and the agent says so. */
function inTurn(task: () => Promise<void>): void {
	turn = turn.then(task).catch((cause: unknown) => {
		setImmediate(() => {
			throw cause;
		});
	});
}

port.on("message", (message: ToNodeWorker) => {
	switch (message.kind) {
		case "written":
			watch.written(message.id, message.bytes);
			return;
		case "status":
			send({ kind: "status", ticket: message.ticket, status: watch.status() });
			return;
		case "world":
			inTurn(() => watch.world(message.wiring, message.cluster));
			return;
		case "subscribe":
			inTurn(() => watch.subscribe(message.order));
			return;
		case "inform":
			inTurn(() => watch.inform(message.id, message.cluster));
			return;
		case "finish":
			inTurn(() => watch.finish(message.id));
			return;
		case "cancel":
			watch.abandon(message.id);
			inTurn(() => watch.cancel(message.id));
			return;
		case "close":
			inTurn(async () => {
				await watch.close();
				send({ kind: "closed" });
				port.close();
			});
			return;
	}
});
