import { Worker } from "node:worker_threads";
import type { StartTrace } from "./request.js";

/** See StartTrace. The worker has most to import, and what it does is waited for: it begins before this thread imports. */
export const startTrace: StartTrace = async (request, listener, signal) => {
	const begun = performance.now();
	const worker = new Worker(new URL("./worker.js", import.meta.url));
	const failure = failureOf(worker);
	try {
		const { LocalTrace } = await import("./local-trace.js");
		const trace = new LocalTrace(request, listener, { worker, failure, begun });
		try {
			return await trace.run(signal);
		} finally {
			trace.close();
		}
	} finally {
		// What a worker that failed still holds goes with it.
		void worker.terminate();
	}
};

/** Rejects when the thread breaks or ends, also before anybody waits for it. */
function failureOf(worker: Worker): Promise<never> {
	const failure = new Promise<never>((_, reject) => {
		worker.once("error", reject);
		worker.once("exit", (code) => reject(new Error(`the tracing thread ended with ${code} before it was done`)));
	});
	failure.catch(() => {});
	return failure;
}
