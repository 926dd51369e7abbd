import { parentPort } from "node:worker_threads";
import type { FromWorker, ToWorker } from "./protocol.js";
import { Tracer } from "./tracer.js";

/*
 * The thread that owns hooks, rings, decoding and the Joiner. It says what it found and ends when it is told to;
 * whatever goes wrong is told in one message, and then it ends too.
 */

const port = parentPort;
if (port === null) throw new Error("this is a worker's program");
const send = (message: FromWorker) => port.postMessage(message);
let turn: Promise<unknown> = Promise.resolve();
let tracer: Tracer | null = null;

function inTurn(task: () => Promise<void>): void {
	turn = turn.then(task).catch((cause: unknown) => {
		send({ kind: "failed", message: cause instanceof Error ? cause.message : String(cause) });
		port?.close();
	});
}

port.on("message", (message: ToWorker) => {
	switch (message.kind) {
		case "begin":
			inTurn(async () => {
				tracer = new Tracer(message.options, send);
			});
			return;
		case "credit":
			tracer?.credit(message.paths);
			return;
		case "world":
			inTurn(async () => tracer?.world(message.world));
			return;
		case "stop":
			inTurn(async () => {
				if (tracer !== null) send({ kind: "stopped", summary: await tracer.stop() });
				port.close();
			});
			return;
	}
});
