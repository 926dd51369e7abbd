import { parentPort, workerData } from "node:worker_threads";
import type { FromRemoteWorker, RemoteWorkerOptions, ToRemoteWorker } from "./protocol.js";
import { RemoteTracer } from "./remote-tracer.js";

/* The thread that decodes what agents send and joins it: see RemoteTracer. */

const port = parentPort;
if (port === null) throw new Error("this is a worker's program");
const send = (message: FromRemoteWorker) => {
	if (message.kind === "messages") port.postMessage(message, [message.bytes.buffer]);
	else port.postMessage(message);
};
try {
	const tracer = new RemoteTracer(workerData as RemoteWorkerOptions, send);
	port.on("message", (message: ToRemoteWorker) => {
		try {
			const stopped = tracer.hear(message);
			if (stopped instanceof Promise) stopped.then(() => port.close(), fail);
		} catch (cause) {
			fail(cause);
		}
	});
} catch (cause) {
	fail(cause);
}

function fail(cause: unknown): void {
	send({ kind: "failed", message: cause instanceof Error ? cause.message : String(cause) });
	port?.close();
}
