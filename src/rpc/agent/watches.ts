import { status } from "@grpc/grpc-js";
import { type DropsAccount, DropsWatch } from "../../collector/drops.js";
import { LatencyError, LatencyWatch } from "../../collector/latency.js";
import type { NodeSpec } from "../../collector/request.js";
import { parseEnd } from "../../filter/end.js";
import { parseFilter } from "../../filter/grammar.js";
import { GROUPS, isGroupBy } from "../../latency/group.js";
import { clusterFrom } from "../cluster-message.js";
import { decode, encode } from "../codec.js";
import { dropAccountMessage, dropMessage } from "../drop-message.js";
import { Phase } from "../messages.js";
import { Told } from "../paths-service.js";
import { checkQuestion, Refusal } from "../refusal.js";
import type { Reply } from "../server.js";
import { segmentMessage } from "../watch-message.js";
import { ServedWatches, type Watching } from "./served-watches.js";

/** Each has hooks, or a tracepoint program, of its own. */
const MOST_WATCHES = 8;
const INTERVAL_MS = 1000;
const LEAST_INTERVAL_MS = 100;

/** WatchLatency and WatchDrops of an agent: hooks and programs are on while somebody asks. */
export class Watches {
	readonly #instance: string;
	readonly #spec: NodeSpec;
	readonly #attach: "tcx" | "clsact" | "auto";
	readonly #served: ServedWatches;

	constructor(instance: string, spec: NodeSpec, attach: "tcx" | "clsact" | "auto") {
		this.#instance = instance;
		this.#spec = spec;
		this.#attach = attach;
		this.#served = new ServedWatches(spec.name);
	}

	latency(call: Reply): void {
		const { bridge, intervalMs, by, inside } = decode("WatchLatencyRequest", call.request);
		if (intervalMs !== 0 && intervalMs < LEAST_INTERVAL_MS) {
			throw Refusal.field("interval_ms", `${intervalMs} ms are too few: at least ${LEAST_INTERVAL_MS}`);
		}
		if (by !== "" && !isGroupBy(by)) throw Refusal.field("by", `${by} is none of ${GROUPS.join(", ")}`);
		const grouped = by === "" ? null : by;
		const stream = new Told(call, this.#instance, (state) => encode("WatchLatencyResponse", { state }));
		this.#serve(call, stream, async () => {
			const watch = await LatencyWatch.start({
				...{ nodes: [this.#spec], bridge: bridge || null, by: grouped, inside, attach: this.#attach },
			}).catch((cause: unknown) => {
				throw cause instanceof LatencyError ? Refusal.field("bridge", `${cause.message}: ${cause.remedy}`) : cause;
			});
			const warned = new Set<string>();
			const tell = () => {
				const { segments, warnings } = watch.interval();
				for (const line of warnings) {
					if (!warned.has(line)) stream.warn(line);
					warned.add(line);
				}
				for (const segment of segments) {
					stream.row(encode("WatchLatencyResponse", { delta: segmentMessage(segment) }));
				}
			};
			const timer = setInterval(tell, intervalMs || INTERVAL_MS);
			return {
				stop: async () => {
					clearInterval(timer);
					await watch.stop();
					tell();
					await watch.close();
				},
			};
		});
	}

	drops(call: Reply): void {
		const question = decode("WatchDropsRequest", call.request);
		const { from, to, filter, namespace } = checkQuestion(question);
		const stream = new Told(call, this.#instance, (state) => encode("WatchDropsResponse", { state }));
		const options = { namespace };
		const request = {
			nodes: [this.#spec],
			filter: parseFilter(filter, options),
			from: parseEnd(from, options),
			to: parseEnd(to, options),
			...(question.cluster == null ? {} : { cluster: clusterFrom(question.cluster) }),
			...(question.hooks ? { hooks: this.#attach } : {}),
		};
		this.#serve(call, stream, async () => {
			const watch = await DropsWatch.start(request, (reports) => {
				for (const report of reports) stream.row(encode("WatchDropsResponse", { drop: dropMessage(report) }));
			});
			for (const line of watch.ready.warnings) stream.warn(line);
			const tell = (account: DropsAccount) =>
				stream.beside(encode("WatchDropsResponse", { account: dropAccountMessage(this.#spec.name, account) }));
			const second = setInterval(() => tell(watch.account()), INTERVAL_MS);
			return {
				stop: async () => {
					clearInterval(second);
					const { type: _, seconds: __, ...account } = await watch.stop();
					tell(account);
					await watch.close();
				},
			};
		});
	}

	/** Ends all that is served; what hooks have is taken away. */
	close(): Promise<void> {
		return this.#served.close();
	}

	#serve(call: Reply, stream: Told, begin: () => Promise<Watching>): void {
		if (this.#served.count >= MOST_WATCHES) {
			throw new Refusal(status.RESOURCE_EXHAUSTED, `${MOST_WATCHES} watches are served here already`);
		}
		this.#served.serve(call, stream, async () => {
			const watching = await begin();
			const second = setInterval(() => stream.state(Phase.running, null), INTERVAL_MS);
			return {
				stop: async () => {
					clearInterval(second);
					await watching.stop();
				},
			};
		});
	}
}
