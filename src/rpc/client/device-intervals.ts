import type { ClientReadableStream } from "@grpc/grpc-js";
import type { DeviceInterval } from "../../collector/device-watch.js";
import { decode, encode } from "../codec.js";
import type { Protection } from "../credentials.js";
import { deviceIntervalOf } from "../device-message.js";
import { Channel } from "./channel.js";

export interface DeviceQuestion {
	readonly addresses: readonly string[];
	readonly protection: Protection;
	readonly device: string;
	readonly durationMs: number;
	/** Nodes that have such a device: one interval of each is waited for. */
	readonly nodes: readonly string[];
}

/** Beyond the duration: hooks take their time to attach, more so on a busy machine. */
const PATIENCE_MS = 5000;

/** What a device did on each node, by the agents that serve them. Nodes that tell nothing in time are left out. */
export async function deviceIntervals(question: DeviceQuestion): Promise<ReadonlyMap<string, DeviceInterval>> {
	const { addresses, protection, device, durationMs, nodes } = question;
	const found = new Map<string, DeviceInterval>();
	const channels = addresses.map((address) => new Channel(address, protection));
	const streams: ClientReadableStream<Buffer>[] = [];
	const request = encode("WatchDeviceRequest", { device, intervalMs: Math.max(durationMs, LEAST_MS) });
	try {
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, durationMs + PATIENCE_MS);
			let left = channels.length;
			const over = () => {
				clearTimeout(timer);
				resolve();
			};
			for (const channel of channels) {
				const stream = channel.stream("watchDevice", request);
				streams.push(stream);
				stream.on("data", (bytes: Buffer) => {
					const { interval } = decode("WatchDeviceResponse", bytes);
					if (interval == null || found.has(interval.node)) return;
					found.set(interval.node, deviceIntervalOf(interval));
					if (nodes.every((node) => found.has(node))) over();
				});
				let isOver = false;
				const end = () => {
					if (isOver) return;
					isOver = true;
					left--;
					if (left === 0) over();
				};
				// An agent that has no such device, or does not know the method yet, says so.
				stream.on("error", end);
				stream.on("end", end);
			}
			if (left === 0) over();
		});
		return found;
	} finally {
		for (const stream of streams) stream.cancel();
		for (const channel of channels) channel.close();
	}
}

/** What an agent takes. */
const LEAST_MS = 100;
