import { type ClientReadableStream, type ServiceError, status } from "@grpc/grpc-js";
import type { AgentLink } from "../client/agent-link.js";
import { Refusal } from "../refusal.js";
import type { Reply } from "../server.js";

/** How often an agent that went is asked again. */
const ASK_AGAIN_MS = 500;

/**
 * Gives a client the streams of all agents, as they are; a slow client makes them wait, and they count what that costs.
 * An agent that went is asked again until it is back, as long as there are others.
 * @throws Refusal when there is no agent
 */
export function passOn(
	method: "watchLatency" | "watchDrops" | "watchDevice",
	links: Iterable<AgentLink>,
	call: Reply,
	request = call.request,
): void {
	const streams = new Map<AgentLink, ClientReadableStream<Buffer>>();
	const retries = new Set<NodeJS.Timeout>();
	const stop = () => {
		for (const stream of streams.values()) stream.cancel();
		for (const retry of retries) clearTimeout(retry);
		streams.clear();
		retries.clear();
	};
	const later = (link: AgentLink) => {
		const retry = setTimeout(() => {
			retries.delete(retry);
			ask(link);
		}, ASK_AGAIN_MS);
		retries.add(retry);
	};
	const ask = (link: AgentLink) => {
		const stream = link.channel.stream(method, request);
		streams.set(link, stream);
		const isOver = () => streams.get(link) === stream && streams.delete(link);
		stream.on("data", (bytes: Buffer) => {
			if (!call.write(bytes)) stream.pause();
		});
		stream.on("error", (error: ServiceError) => {
			if (!isOver()) return;
			// A bad request is bad everywhere; an agent that is gone, or has no such device, is one fewer.
			if (streams.size > 0 && error.code !== status.INVALID_ARGUMENT) {
				if (error.code === status.UNAVAILABLE) later(link);
				return;
			}
			stop();
			if (!call.destroyed) call.emit("error", { code: error.code, details: error.details });
		});
		stream.on("end", () => {
			// A device that is gone is not asked for again.
			if (isOver() && method !== "watchDevice") later(link);
		});
	};
	for (const link of links) ask(link);
	if (streams.size === 0) throw new Refusal(status.UNAVAILABLE, "no agent is connected");
	call.on("cancelled", stop);
	call.on("close", stop);
	call.on("drain", () => {
		for (const stream of streams.values()) stream.resume();
	});
}
