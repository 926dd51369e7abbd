import { setTimeout as sleep } from "node:timers/promises";
import { type ClientReadableStream, type ServiceError, status } from "@grpc/grpc-js";
import { clusterOf } from "../../collector/cluster.js";
import type { DropsAccount } from "../../collector/drops.js";
import { MergedDirectory } from "../../identity/merged.js";
import { NamesDirectory } from "../../identity/names.js";
import type { DropReport, DropSummary } from "../../latency/drop-report.js";
import type { Endpoint } from "../../path/path.js";
import { clusterMessage } from "../cluster-message.js";
import { decode, encode, numberOf } from "../codec.js";
import type { Protection } from "../credentials.js";
import { dropAccountOf, dropOf, sumOfAccounts } from "../drop-message.js";
import { Phase, type WatchDropsResponse } from "../messages.js";
import { Backoff } from "./backoff.js";
import { Channel, RpcError } from "./channel.js";
import { RemoteNodes } from "./remote-nodes.js";

export interface RemoteDropsRequest {
	/** unix:/path or host:port, of agents and relays. */
	readonly agents: readonly string[];
	readonly protection: Protection;
	/** As text: what it means depends on the node. */
	readonly filter: string;
	readonly namespace: string;
	readonly hooks: boolean;
}

export interface RemoteDropsListener {
	drops(reports: readonly DropReport[]): void;
	warning(line: string): void;
}

const PATIENCE_MS = 5000;
const LOOK_MS = 20;
/** Agents give their account each second. */
const FINISH_MS = 1500;

/** What agents' kernels drop, each on its node; whoever is on other nodes is called by the names that those give. */
export class RemoteDrops {
	readonly #listener: RemoteDropsListener;
	readonly #nodes: RemoteNodes;
	readonly #streams: readonly Stream[];
	readonly #began = performance.now();
	/** Null: the nodes have said something since it was asked. */
	#known: MergedDirectory | null = null;

	/**
	 * Resolves when every agent watches.
	 * @throws RpcError when one refuses or does not answer
	 */
	static async start(request: RemoteDropsRequest, listener: RemoteDropsListener): Promise<RemoteDrops> {
		const { agents: addresses, protection } = request;
		const nodes = await RemoteNodes.open({ addresses, protection, withEvidence: true });
		const drops = new RemoteDrops(request, nodes, listener);
		try {
			await Promise.all(drops.#streams.map(({ ready }) => ready));
			await drops.#whole();
			return drops;
		} catch (cause) {
			drops.close();
			throw cause;
		}
	}

	private constructor(request: RemoteDropsRequest, nodes: RemoteNodes, listener: RemoteDropsListener) {
		const { agents, protection, filter, namespace, hooks } = request;
		this.#listener = listener;
		this.#nodes = nodes;
		nodes.onChange(() => {
			this.#known = null;
		});
		// Asked anew by each stream that begins: pods come and go.
		const question = () =>
			encode("WatchDropsRequest", { filter, namespace, hooks, cluster: clusterMessage(clusterOf(this.#directory)) });
		this.#streams = agents.map((address) => {
			const channel = new Channel(address, protection);
			return new Stream(channel, question, {
				drops: (reports) => listener.drops(reports.map((report) => this.#named(report))),
				warning: (line) => listener.warning(line),
			});
		});
	}

	/** Behind a relay agents begin one by one. */
	async #whole(): Promise<void> {
		const deadline = performance.now() + PATIENCE_MS;
		const isMissing = () => this.#nodes.messages.some(({ node }) => !this.ready.nodes.includes(node));
		while (isMissing() && performance.now() < deadline) await sleep(LOOK_MS);
	}

	get ready(): { readonly nodes: readonly string[] } {
		return { nodes: [...new Set(this.#streams.flatMap(({ nodes }) => [...nodes]))].sort() };
	}

	/** Ends, with the agents' last accounts: of the packets up to a second ago. */
	async stop(): Promise<DropSummary> {
		await Promise.all(this.#streams.map((stream) => stream.finish()));
		const lost = this.#streams.reduce((sum, stream) => sum + stream.lost, 0);
		if (lost > 0) this.#listener.warning(`${lost} reports are missing: they were not read fast enough`);
		this.close();
		const seconds = (performance.now() - this.#began) / 1000;
		return { type: "drops", seconds, ...sumOfAccounts(this.#streams.flatMap((stream) => stream.accounts)) };
	}

	close(): void {
		for (const stream of this.#streams) stream.close();
		this.#nodes.close();
	}

	get #directory(): MergedDirectory {
		this.#known ??= directoryOf(this.#nodes);
		return this.#known;
	}

	#named(report: DropReport): DropReport {
		const atMs = Date.parse(report.time);
		const { source, destination } = report;
		return { ...report, source: this.#nameOf(source, atMs), destination: this.#nameOf(destination, atMs) };
	}

	#nameOf(end: Endpoint | null, atMs: number): Endpoint | null {
		if (end === null || end.ip === null || end.pod !== null) return end;
		const pod = this.#directory.podByAddress(end.ip, atMs);
		return pod === null ? end : { ...end, namespace: pod.namespace, pod: pod.name, node: pod.node };
	}
}

function directoryOf(nodes: RemoteNodes): MergedDirectory {
	const directories = [...nodes.evidence.values()].map(({ names }) => NamesDirectory.of(names));
	return new MergedDirectory(() => directories);
}

/** WatchDrops of one agent or relay; asked again, ever less often, when it is gone. */
class Stream {
	readonly nodes = new Set<string>();
	/** Watches for the first time. */
	readonly ready: Promise<void>;
	readonly #channel: Channel;
	readonly #question: () => Buffer;
	readonly #listener: RemoteDropsListener;
	#settle: (failure: RpcError | null) => void = () => {};
	#call: ClientReadableStream<Buffer> | null = null;
	readonly #retry = new Backoff(() => this.#connect());
	#calls = 0;
	#begun = false;
	#closed = false;
	/** Of streams that broke off. */
	readonly #past: DropsAccount[] = [];
	/** By node. */
	readonly #accounts = new Map<string, DropsAccount>();
	/** Reports that were not read fast enough, by the agents' instances, of which each counts its own. */
	readonly #lost = new Map<string, number>();
	#onAccount: () => void = () => {};

	constructor(channel: Channel, question: () => Buffer, listener: RemoteDropsListener) {
		this.#channel = channel;
		this.#question = question;
		this.#listener = listener;
		this.ready = new Promise((resolve, reject) => {
			this.#settle = (failure) => (failure === null ? resolve() : reject(failure));
		});
		this.#connect();
	}

	get accounts(): readonly DropsAccount[] {
		return [...this.#past, ...this.#accounts.values()];
	}

	get lost(): number {
		return [...this.#lost.values()].reduce((sum, lost) => sum + lost, 0);
	}

	/** What was told up to now is in the account of each node, or there is none to be had. */
	async finish(): Promise<void> {
		if (this.#call === null) return;
		const awaited = new Set(this.nodes);
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, FINISH_MS);
			const before = new Map(this.#accounts);
			this.#onAccount = () => {
				for (const [node, account] of this.#accounts) if (before.get(node) !== account) awaited.delete(node);
				if (awaited.size > 0) return;
				clearTimeout(timer);
				resolve();
			};
		});
	}

	close(): void {
		this.#closed = true;
		this.#retry.close();
		this.#call?.cancel();
		this.#channel.close();
	}

	#connect(): void {
		const call = this.#channel.stream("watchDrops", this.#question());
		this.#call = call;
		this.#calls++;
		call.on("data", (bytes: Buffer) => this.#hear(decode("WatchDropsResponse", bytes)));
		call.on("error", (error: ServiceError) => this.#broken(call, new RpcError(this.#channel.address.text, error)));
		call.on("end", () => this.#broken(call, this.#gone()));
	}

	#hear({ state, drop, account }: WatchDropsResponse): void {
		if (drop) this.#listener.drops([dropOf(drop)]);
		if (account) this.#account(account.node, dropAccountOf(account));
		if (!state) return;
		for (const { node } of state.nodes) this.nodes.add(node);
		for (const line of state.warnings) this.#listener.warning(line);
		const lost = state.losses.reduce((sum, { count }) => sum + numberOf(count), 0);
		this.#lost.set(`${this.#calls} ${state.instance}`, lost);
		if (state.phase !== Phase.ready) return;
		this.#begun = true;
		this.#retry.worked();
		this.#settle(null);
	}

	#account(node: string, account: DropsAccount): void {
		const before = this.#accounts.get(node);
		// Behind a relay an agent has begun anew: counts only grow.
		if (before !== undefined && account.seen < before.seen) this.#past.push(before);
		this.#accounts.set(node, account);
		this.#onAccount();
	}

	#gone(): RpcError {
		return new RpcError(this.#channel.address.text, { details: "it went away", code: status.UNAVAILABLE });
	}

	#broken(call: ClientReadableStream<Buffer>, error: RpcError): void {
		if (this.#closed || this.#call !== call) return;
		this.#call = null;
		this.#settle(error);
		if (!this.#begun) return;
		if (this.#retry.isFresh) {
			this.#listener.warning(`${error.message}: what it drops is not told until it is back`);
		}
		this.#past.push(...this.#accounts.values());
		this.#accounts.clear();
		this.#retry.failed();
	}
}
