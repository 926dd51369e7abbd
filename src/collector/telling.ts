import { MergedDirectory } from "../identity/merged.js";
import { type Names, NamesDirectory } from "../identity/names.js";
import type { Directory } from "../identity/owner.js";
import type { Hook } from "../packet/hook.js";
import type { JoinedPath } from "../path/path-view.js";
import type { Wiring } from "../wiring/model.js";
import { announce } from "./announce.js";
import type { Cluster } from "./cluster.js";
import { Naming } from "./naming.js";
import type { Second } from "./protocol.js";
import type { Question } from "./question.js";
import type { TraceListener, TraceRequest } from "./request.js";

export interface TellingOptions {
	readonly request: Pick<TraceRequest, "from" | "to" | "count">;
	readonly listener: TraceListener;
	readonly question: Question;
	/** As they are now. */
	readonly directory: Directory;
	readonly wirings: () => readonly Wiring[];
	/** As many paths as were asked for have been told. */
	readonly enough: () => void;
}

/** What a worker says when its hooks are on, and what is known besides. */
export interface Readiness {
	readonly hooks: readonly Hook[];
	readonly wallClockBase: bigint;
	readonly cluster: Cluster;
	readonly readyMs: number;
	readonly warnings: readonly string[];
}

/** What the user is told of a trace, made of what its worker says and named here; whoever watches the nodes. */
export class Telling {
	readonly #options: TellingOptions;
	readonly #hooks = new Map<number, Hook>();
	readonly #warned = new Set<string>();
	/** Null: not ready. */
	#naming: Naming | null = null;
	/** While recording: what the recording says at this place. */
	#inForce: { readonly directories: readonly Directory[]; readonly wirings: readonly Wiring[] } | null = null;
	#paths = 0;
	#statusAt = performance.now();
	#isOver = false;

	constructor(options: TellingOptions) {
		this.#options = options;
	}

	get isReady(): boolean {
		return this.#naming !== null;
	}

	ready({ hooks, wallClockBase, cluster, readyMs, warnings }: Readiness): void {
		const { request, listener, question, directory, wirings } = this.#options;
		const knowledge = {
			directory: new MergedDirectory(() => this.#inForce?.directories ?? [directory]),
			wirings: () => this.#inForce?.wirings ?? wirings(),
		};
		this.#naming = new Naming(knowledge, wallClockBase, this.#hooks.values());
		listener.ready(announce({ question, text: request, cluster, wirings: wirings(), hooks, readyMs, warnings }));
	}

	/** Paths that follow are named by this, as they will be when the recording is replayed. */
	inForce({ names, wirings }: { readonly names: readonly Names[]; readonly wirings: readonly Wiring[] }): void {
		this.#inForce = { directories: names.map((each) => NamesDirectory.of(each)), wirings };
	}

	hook(hook: Hook, added: boolean): void {
		this.#hooks.set(hook.id, hook);
		this.#naming?.hook(hook);
		// Before `ready` they are part of it; a device is told once, not for each direction.
		if (this.#naming === null || hook.direction === "egress" || this.#isOver) return;
		const pod = this.#options.directory.podByDevice(hook.node, hook.ifindex, Date.now());
		this.#options.listener.hook({
			type: "hook",
			change: added ? "added" : "removed",
			node: hook.node,
			device: hook.device,
			pod: pod === null ? null : `${pod.namespace}/${pod.name}`,
		});
	}

	paths(paths: readonly JoinedPath[]): void {
		for (const path of paths) {
			if (this.#naming === null || this.#isEnough()) return;
			this.#options.listener.path(this.#naming.path(path));
			this.#paths++;
			if (this.#isEnough()) this.#options.enough();
		}
	}

	/** A reader that is slow gets no more for now; what finds no room is counted where it is made. */
	whenDrained(then: () => void, fail: (cause: Error) => void): void {
		const waiting = this.#options.listener.drained ?? null;
		if (waiting === null) then();
		else waiting.then(then).catch(fail);
	}

	/** @param seen packets through the ENDs' own veths; null: not known */
	second(report: Second, seen: { readonly from: number | null; readonly to: number | null }): void {
		const before = this.#statusAt;
		this.#statusAt = performance.now();
		const seconds = (this.#statusAt - before) / 1000;
		this.#options.listener.status({ type: "status", seconds, ...report, fromSeen: seen.from, toSeen: seen.to });
	}

	/** Each line once. */
	warn(line: string): void {
		if (this.#warned.has(line)) return;
		this.#warned.add(line);
		this.#options.listener.warning(line);
	}

	/** Devices are let go now: that is not worth a word. */
	stop(): void {
		this.#isOver = true;
	}

	#isEnough(): boolean {
		const { count } = this.#options.request;
		return count !== null && this.#paths >= count;
	}
}
