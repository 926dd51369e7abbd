import type { Segment } from "../../latency/report.js";
import { WireWatch } from "../client/wire-watch.js";
import { encode } from "../codec.js";
import type { AskedAgents } from "../paths-service.js";
import type { Reply } from "../server.js";
import { segmentMessage } from "../watch-message.js";

const INTERVAL_MS = 1000;

/** Adds what the wire between a relay's nodes takes to a client's WatchLatency, until the client goes. */
export async function tellWire(call: Reply, asked: AskedAgents, intervalMs: number): Promise<void> {
	let isOver = false;
	const over = new Promise<void>((resolve) => {
		const leave = () => {
			isOver = true;
			resolve();
		};
		call.on("cancelled", leave);
		call.on("close", leave);
	});
	const tell = (segments: readonly Segment[]) => {
		if (isOver) return;
		for (const segment of segments) call.write(encode("WatchLatencyResponse", { delta: segmentMessage(segment) }));
	};
	// What there is to know of the agents, the relay's own log says.
	const watch = await WireWatch.start({ ...asked, by: null, onWarning: () => undefined });
	const timer = setInterval(() => tell(watch.interval()), intervalMs || INTERVAL_MS);
	await over;
	clearInterval(timer);
	await watch.stop();
}
