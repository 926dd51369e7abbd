import { status } from "@grpc/grpc-js";
import { DeviceWatch } from "../../collector/device-watch.js";
import type { Wiring } from "../../wiring/model.js";
import { deviceIntervalMessage } from "../device-message.js";
import { decode, encode, Phase } from "../messages.js";
import { Told } from "../paths-service.js";
import { Refusal, serviceErrorOf } from "../refusal.js";
import type { Reply } from "../server.js";

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
	readonly #ends = new Set<() => Promise<void>>();

	constructor(instance: string, netns: string | null) {
		this.#instance = instance;
		this.#netns = netns;
	}

	watch(call: Reply, wiring: Wiring): void {
		const { node, device, intervalMs } = decode("WatchDeviceRequest", call.request);
		if (node !== "" && node !== wiring.node) throw new Refusal(status.NOT_FOUND, `node: this is ${wiring.node}`);
		if (intervalMs !== 0 && (intervalMs < LEAST_INTERVAL_MS || intervalMs > MOST_INTERVAL_MS)) {
			throw Refusal.field("interval_ms", `${intervalMs}: from ${LEAST_INTERVAL_MS} to ${MOST_INTERVAL_MS} are taken`);
		}
		const link = wiring.host.links.find((one) => one.name === device || one.altnames.includes(device));
		if (link === undefined) throw new Refusal(status.NOT_FOUND, `device: ${wiring.node} has no ${device.slice(0, 64)}`);
		if (this.#ends.size >= MOST_WATCHES) {
			throw new Refusal(status.RESOURCE_EXHAUSTED, `${MOST_WATCHES} devices are watched here already`);
		}
		this.#serve(call, DeviceWatch.start(wiring, this.#netns, link.ifindex), wiring.node, intervalMs || INTERVAL_MS);
	}

	/** Ends all that is served; hooks are taken away. */
	async close(): Promise<void> {
		await Promise.all([...this.#ends].map((end) => end()));
	}

	#serve(call: Reply, started: Promise<DeviceWatch | null>, node: string, intervalMs: number): void {
		const stream = new Told(call, this.#instance, (state) => encode("WatchDeviceResponse", { state }));
		let timer: NodeJS.Timeout | null = null;
		let ended: Promise<void> | null = null;
		const end = () => {
			ended ??= started
				.then(async (watch) => {
					if (timer !== null) clearInterval(timer);
					await watch?.close();
					stream.state(Phase.ended, null);
					call.end();
				})
				.catch(() => undefined)
				.finally(() => this.#ends.delete(end));
			return ended;
		};
		this.#ends.add(end);
		const leave = () => void end();
		call.on("cancelled", leave);
		call.on("close", leave);
		started.then(
			(watch) => {
				if (ended !== null) return;
				if (watch === null) return leave();
				stream.ready([node], []);
				timer = setInterval(() => {
					const interval = watch.interval();
					// A device that is gone ends its stream.
					if (interval === null) leave();
					else stream.row(encode("WatchDeviceResponse", { interval: deviceIntervalMessage(interval) }));
				}, intervalMs);
			},
			(cause: unknown) => {
				this.#ends.delete(end);
				call.emit("error", serviceErrorOf(cause));
			},
		);
	}
}
