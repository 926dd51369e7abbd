import type { FromWorker, ToWorker } from "./protocol.js";
import type { StartTrace } from "./request.js";
import { TracingThread } from "./tracing-thread.js";

/** See StartTrace. The worker has most to import, and what it does is waited for: it begins before this thread imports. */
export const startTrace: StartTrace = async (request, listener, signal) => {
	const begun = performance.now();
	const thread = new TracingThread<ToWorker, FromWorker>(new URL("./worker.js", import.meta.url), "tracing");
	try {
		const { LocalTrace } = await import("./local-trace.js");
		const trace = new LocalTrace(request, listener, { thread, begun });
		try {
			return await trace.run(signal);
		} finally {
			trace.close();
		}
	} finally {
		thread.close();
	}
};
