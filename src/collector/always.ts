import type { DropReport } from "../latency/drop-report.js";
import type { LatencyReport } from "../latency/report.js";
import { type DropsAccount, DropsWatch } from "./drops.js";
import { LatencyWatch } from "./latency.js";
import type { NodeSpec } from "./request.js";

export type AlwaysKind = "latency" | "drops";

/** Kinds of drops that are told apart; further ones are those of the pod "other". */
const MOST_KINDS = 500;

interface Dropped {
	readonly node: string;
	readonly diagnosis: string;
	readonly pod: string;
	count: number;
}

/** What an agent was told to measure all the time: a question that never ends. */
export class Always {
	readonly #latency: LatencyWatch | null;
	#drops: DropsWatch | null = null;
	readonly #dropped = new Map<string, Dropped>();

	/** @throws KernelError when it cannot be measured */
	static async start(
		kinds: ReadonlySet<AlwaysKind>,
		node: NodeSpec,
		attach: "tcx" | "clsact" | "auto",
	): Promise<Always> {
		const nodes = [node];
		const latency = kinds.has("latency")
			? await LatencyWatch.start({ nodes, bridge: null, by: null, inside: false, attach })
			: null;
		const always = new Always(latency);
		if (kinds.has("drops")) {
			always.#drops = await DropsWatch.start({ nodes, filter: { kind: "true" } }, (reports) => always.#count(reports));
		}
		return always;
	}

	private constructor(latency: LatencyWatch | null) {
		this.#latency = latency;
	}

	/** Since the beginning; null: not measured. */
	latency(): LatencyReport | null {
		return this.#latency?.total() ?? null;
	}

	/** Since the beginning; null: not measured. */
	drops(): readonly Readonly<Dropped>[] | null {
		return this.#drops === null ? null : [...this.#dropped.values()];
	}

	/** What was freed besides; null: not measured. */
	account(): DropsAccount | null {
		return this.#drops?.account() ?? null;
	}

	async close(): Promise<void> {
		await this.#drops?.stop();
		await this.#drops?.close();
		await this.#latency?.close();
	}

	#count(reports: readonly DropReport[]): void {
		for (const { node, diagnosis, kernelReason, source, destination, count } of reports) {
			const end = destination?.pod ? destination : source;
			const pod = end?.pod ? `${end.namespace ?? ""}/${end.pod}` : "";
			this.#add(node, diagnosis ?? kernelReason, pod, count);
		}
	}

	#add(node: string, diagnosis: string, pod: string, count: number): void {
		const key = `${node}\n${diagnosis}\n${pod}`;
		const known = this.#dropped.get(key);
		if (known !== undefined) known.count += count;
		else if (this.#dropped.size < MOST_KINDS || pod === "other")
			this.#dropped.set(key, { node, diagnosis, pod, count });
		else this.#add(node, diagnosis, "other", count);
	}
}
