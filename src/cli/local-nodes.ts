import { NodeObserver, nodeOf } from "../collector/node-observer.js";
import type { NodeSpec } from "../collector/request.js";
import { MergedDirectory } from "../identity/merged.js";
import { underlayAddresses } from "../wiring/roles.js";
import { CliError } from "./errors.js";

/** Which nodes of this machine a command is about. */
export interface WhichNodes {
	readonly lab?: string;
	readonly netns?: string;
	readonly hostRoot?: string;
}

/** How long names that daemons and rules tell may keep a command waiting. */
const PATIENCE_MS = 3000;

/** Nodes of this machine, each with its wiring and names, followed until closed. */
export class LocalNodes {
	/** Those that are asked about. */
	readonly observers: readonly NodeObserver[];
	/** The names of all of them. */
	readonly directory: MergedDirectory;
	/** Others are there for their names. */
	readonly #all: readonly NodeObserver[];
	#onChange: () => void = () => {};

	private constructor(specs: readonly NodeSpec[]) {
		const observers: NodeObserver[] = [];
		// Each node knows its own name only; what the others are called is filled in as they are opened.
		const names = new Map<string, string>();
		try {
			for (const spec of specs) {
				const observer = new NodeObserver(spec, names, () => this.#onChange());
				observers.push(observer);
				for (const address of underlayAddresses(observer.wiring)) names.set(address, spec.name);
			}
		} catch (cause) {
			for (const observer of observers) observer.close();
			throw cause;
		}
		this.#all = observers;
		this.directory = new MergedDirectory(() => observers.map(({ directory }) => directory));
		this.observers = observers.filter(({ spec }) => spec.watch);
	}

	/**
	 * Opens what the options mean and waits, not long, for what daemons and rules tell.
	 * Throws CliError without root, KernelError or LabError when there is no such node.
	 */
	static async open(which: WhichNodes): Promise<LocalNodes> {
		if (process.geteuid?.() !== 0) {
			throw new CliError(
				"reading the network namespaces of pods needs root",
				"run it with sudo, or ask an agent with --agent ADDR; weft explain --from FILE needs neither",
			);
		}
		const nodes = new LocalNodes(await specsOf(which));
		const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS).unref());
		await Promise.race([Promise.all(nodes.#all.map(({ ready }) => ready)), patience]);
		return nodes;
	}

	/** From now on, whenever something comes, goes or changes on any of them. */
	onChange(call: () => void): void {
		this.#onChange = call;
	}

	close(): void {
		for (const observer of this.#all) observer.close();
	}
}

/** The nodes of this machine that the options mean. */
export async function specsOf({ lab, netns, hostRoot }: WhichNodes): Promise<readonly NodeSpec[]> {
	if (lab === undefined && netns === undefined) return [nodeOf(null, hostRoot ?? null)];
	const { labNodes, labNodesAround } = await import("../lab/nodes.js");
	if (lab !== undefined) return labNodes(lab);
	return (await labNodesAround(netns ?? "")) ?? [nodeOf(netns ?? null, hostRoot ?? null)];
}
