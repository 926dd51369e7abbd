import { status } from "@grpc/grpc-js";
import { DeviceWatch } from "../../collector/device-watch.js";
import type { NodeSpec } from "../../collector/request.js";
import type { AttachType } from "../../kernel/attach.js";
import type { Wiring } from "../../wiring/model.js";
import { decode, encode } from "../codec.js";
import { deviceIntervalMessage } from "../device-message.js";
import { Told } from "../paths-service.js";
import { Refusal } from "../refusal.js";
import type { Reply } from "../server.js";
import { ServedWatches } from "./served-watches.js";

/** Each has hooks of its own. */
const MOST_WATCHES = 8;
const INTERVAL_MS = 1000;
const LEAST_INTERVAL_MS = 100;
const MOST_INTERVAL_MS = 3_600_000;

/** WatchDevice of an agent: one device's counters, and hooks that count on it while somebody asks. */
export class DeviceService {
	readonly #instance: string;
	/** Path of the node's namespace; null: our own. */
	readonly #netns: string | null;
	readonly #attach: AttachType | "auto";
	readonly #served: ServedWatches;

	constructor(instance: string, { name, netns }: NodeSpec, attach: AttachType | "auto") {
		this.#instance = instance;
		this.#netns = netns;
		this.#attach = attach;
		this.#served = new ServedWatches(name);
	}

	watch(call: Reply, wiring: Wiring): void {
		const { node, device, intervalMs } = decode("WatchDeviceRequest", call.request);
		if (node !== "" && node !== wiring.node) throw new Refusal(status.NOT_FOUND, `node: this is ${wiring.node}`);
		if (intervalMs !== 0 && (intervalMs < LEAST_INTERVAL_MS || intervalMs > MOST_INTERVAL_MS)) {
			throw Refusal.field("interval_ms", `${intervalMs}: from ${LEAST_INTERVAL_MS} to ${MOST_INTERVAL_MS} are taken`);
		}
		const link = wiring.host.links.find((one) => one.name === device || one.altnames.includes(device));
		if (link === undefined) throw new Refusal(status.NOT_FOUND, `device: ${wiring.node} has no ${device.slice(0, 64)}`);
		if (this.#served.count >= MOST_WATCHES) {
			throw new Refusal(status.RESOURCE_EXHAUSTED, `${MOST_WATCHES} devices are watched here already`);
		}
		this.#serve(call, wiring, link.ifindex, intervalMs || INTERVAL_MS);
	}

	/** Ends all that is served; hooks are taken away. */
	close(): Promise<void> {
		return this.#served.close();
	}

	#serve(call: Reply, wiring: Wiring, ifindex: number, intervalMs: number): void {
		const stream = new Told(call, this.#instance, (state) => encode("WatchDeviceResponse", { state }));
		this.#served.serve(call, stream, async (leave) => {
			const watch = await DeviceWatch.start(wiring, this.#netns, ifindex, this.#attach);
			if (watch === null) return null;
			const timer = setInterval(() => {
				const interval = watch.interval();
				// A device that is gone ends its stream.
				if (interval === null) leave();
				else stream.row(encode("WatchDeviceResponse", { interval: deviceIntervalMessage(interval) }));
			}, intervalMs);
			return {
				stop: async () => {
					clearInterval(timer);
					await watch.close();
				},
			};
		});
	}
}
