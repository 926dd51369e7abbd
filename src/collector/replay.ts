import { MergedDirectory } from "../identity/merged.js";
import { type Names, NamesDirectory } from "../identity/names.js";
import { noCounters } from "../kernel/counters.js";
import type { Hook } from "../packet/hook.js";
import type { JoinedPath, PathView } from "../path/path-view.js";
import { replayFrom } from "../recording/file.js";
import { type Json, RecordingError, type RecordingHeader } from "../recording/format.js";
import type { Replayed, ReplaySink } from "../recording/reader.js";
import type { Wiring } from "../wiring/model.js";
import { announce } from "./announce.js";
import { type Cluster, NOBODY } from "./cluster.js";
import { explained, type Words } from "./explained.js";
import { Naming } from "./naming.js";
import { Pipeline } from "./pipeline.js";
import { askQuestion, type Question } from "./question.js";
import { recordedQuestion } from "./recorded-question.js";
import type { Ending } from "./recorder.js";
import type { Summary } from "./report.js";
import type { StartTrace, TraceListener, TraceRequest } from "./request.js";

/**
 * A recording as a trace: the same pipeline over a recorded Source, named by the recorded world. Needs neither root nor
 * addon. What was asked when it was recorded still holds; FROM, TO and FILTER of now narrow it down.
 * Rejects with RecordingError when there is no such recording; one that was cut off is shown as far as it goes.
 */
export const startReplay: StartTrace = async (request, listener, signal) => {
	if (request.read === null) throw new RecordingError("no recording is named");
	const replay = new Replay(request, listener, signal);
	const summary = replay.end(await replay.run(request.read));
	listener.summary(summary);
	return summary;
};

/** The event loop gets its turn after so long: Ctrl-C works, and rows go out. */
const TURN_MS = 20;
const SECOND_NS = 1e9;

/** Thrown through the reader when no more is wanted. */
class Enough extends Error {}

class Replay {
	readonly #request: TraceRequest;
	readonly #listener: TraceListener;
	readonly #signal: AbortSignal;
	readonly #begun = performance.now();
	/** What is asked now, and then what was asked when it was recorded. */
	readonly #questions: Question[];
	readonly #pipeline: Pipeline;
	readonly #hooks = new Map<number, Hook>();
	readonly #wirings = new Map<string, Wiring>();
	#watched: readonly Wiring[] = [];
	#cluster: Cluster = NOBODY;
	#names: readonly NamesDirectory[] = [];
	#naming: Naming | null = null;
	/** Dropped paths that were told a little later, with more words: by serial and revision. */
	readonly #explaining = new Map<string, JoinedPath>();
	#ready = false;
	#paths = 0;
	#rows = 0;
	#ending: Ending | null = null;
	#nextSecond = Number.NEGATIVE_INFINITY;
	#turnSince = performance.now();

	constructor(request: TraceRequest, listener: TraceListener, signal: AbortSignal) {
		this.#request = request;
		this.#listener = listener;
		this.#signal = signal;
		this.#questions = [askQuestion(request)];
		this.#pipeline = new Pipeline({
			questions: this.#questions,
			everyPath: request.everyPath,
			awaitsBegin: true,
			path: (view) => this.#path(view),
		});
	}

	/** Null: somebody had enough before its end. */
	async run(file: string): Promise<Replayed | null> {
		try {
			return await replayFrom(file, this.#sink(), this.#pipeline);
		} catch (cause) {
			if (cause instanceof Enough) return null;
			throw cause;
		}
	}

	/** Judges what is open, and says what it was. */
	end(replayed: Replayed | null): Summary {
		if (replayed !== null) {
			this.#pipeline.finish();
			for (const path of this.#explaining.values()) this.#tell(path);
		}
		const cut = replayed?.truncated ?? null;
		if (cut !== null) {
			const told = `${this.#request.read} ends at byte ${cut.offset}: ${cut.reason}; shown is what comes before`;
			this.#listener.warning(told);
		}
		this.#passSecond(Number.POSITIVE_INFINITY);
		const { durationMs, hooks, kernel, drained } = this.#ending ?? this.#guessed();
		return this.#pipeline.summary({ durationMs, hooks, kernel, drained, offered: this.#paths, unsent: 0 });
	}

	#sink(): ReplaySink {
		const { sink } = this.#pipeline;
		return {
			...sink,
			header: (header) => this.#header(header),
			snapshot: (kind, value) => this.#snapshot(kind, value),
			ready: () => this.#rest(),
			hook: (source, hook, sinceNs) => {
				this.#hooks.set(hook.id, hook);
				this.#naming?.hook(hook);
				sink.hook(source, hook, sinceNs);
				this.#tellHook(hook, "added");
			},
			unhook: (source, hook) => {
				sink.unhook(source, hook);
				this.#tellHook(hook, "removed");
			},
			drop: (source, drop) => this.#pipeline.drop(source, drop),
			batch: (source, rows) => {
				this.#rows += rows.count;
				sink.batch(source, rows);
			},
			watermark: (source, timeNs) => {
				sink.watermark(source, timeNs);
				this.#passSecond(timeNs);
			},
		};
	}

	#header({ details }: RecordingHeader): void {
		const { question, wallClockBase } = details as { readonly [key: string]: Json };
		try {
			this.#questions.push(recordedQuestion(question ?? null));
			const wirings = () => [...this.#wirings.values()];
			const directory = new MergedDirectory(() => this.#names);
			this.#naming = new Naming({ directory, wirings }, BigInt(String(wallClockBase)));
		} catch (cause) {
			throw new RecordingError("it is a recording, but not of a trace: weft trace -w makes those", { cause });
		}
	}

	#snapshot(kind: string, value: Json): void {
		// Written by this very program; whoever forges one can at worst make this process fail.
		const said = value as unknown;
		switch (kind) {
			case "wiring": {
				const wiring = said as Wiring;
				this.#wirings.set(wiring.node, wiring);
				return;
			}
			case "cluster":
				this.#cluster = said as Cluster;
				return;
			case "names":
				this.#names = ((said as readonly Names[] | null) ?? []).map((names) => NamesDirectory.of(names));
				return;
			case "world": {
				const { nodes } = said as { readonly nodes: readonly string[] };
				this.#watched = nodes.flatMap((node) => this.#wirings.get(node) ?? []);
				this.#pipeline.world(this.#watched, this.#cluster);
				return;
			}
			case "ready":
				this.#begin();
				return;
			case "explained": {
				const { words, ...name } = said as { readonly serial: number; readonly revision: number; words: Words | null };
				const path = this.#explaining.get(nameOf(name));
				if (path === undefined) return;
				this.#explaining.delete(nameOf(name));
				this.#tell(explained(path, words));
				return;
			}
			case "totals":
				this.#ending = said as Ending;
				return;
		}
	}

	#begin(): void {
		this.#ready = true;
		this.#pipeline.begin();
		const [asked, recorded] = this.#questions as [Question, Question];
		const wider = this.#request.from === "any" && this.#request.to === "any";
		this.#listener.ready(
			announce({
				question: wider ? recorded : asked,
				text: wider ? null : this.#request,
				cluster: this.#cluster,
				wirings: this.#watched,
				hooks: [...this.#hooks.values()],
				readyMs: performance.now() - this.#begun,
				warnings: [],
			}),
		);
	}

	#path(view: PathView): void {
		const path = view.toPath();
		if (path.blame?.ticket === undefined) this.#tell(path);
		else this.#explaining.set(nameOf(path), path);
	}

	#tell(path: JoinedPath): void {
		if (this.#naming === null) return;
		if (this.#request.count !== null && this.#paths >= this.#request.count) return;
		this.#paths++;
		this.#listener.path(this.#naming.path(path));
	}

	#tellHook(hook: Hook, change: "added" | "removed"): void {
		if (!this.#ready || hook.direction === "egress") return;
		const pod = new MergedDirectory(() => this.#names).podByDevice(hook.node, hook.ifindex, Date.now());
		const name = pod === null ? null : `${pod.namespace}/${pod.name}`;
		this.#listener.hook({ type: "hook", change, node: hook.node, device: hook.device, pod: name });
	}

	/** Between blocks. */
	async #rest(): Promise<void> {
		const enough = this.#request.count !== null && this.#paths >= this.#request.count;
		if (enough || this.#signal.aborted) throw new Enough();
		await this.#listener.drained;
		if (performance.now() - this.#turnSince < TURN_MS) return;
		await new Promise((resolve) => setImmediate(resolve));
		this.#turnSince = performance.now();
	}

	/** Seconds of the recording, for the rows that a terminal shows of each. */
	#passSecond(timeNs: number): void {
		if (timeNs < this.#nextSecond || !this.#ready) return;
		const first = this.#nextSecond === Number.NEGATIVE_INFINITY;
		this.#nextSecond = timeNs + SECOND_NS;
		if (first) return;
		this.#listener.status({
			type: "status",
			seconds: 1,
			...this.#pipeline.second(),
			fromSeen: null,
			toSeen: null,
		});
	}

	/** A recording that was cut off does not have the kernel's last counters: what is in it is all that is known. */
	#guessed(): Ending {
		const kernel = { ...noCounters(), matched: this.#rows, emitted: this.#rows };
		return { durationMs: performance.now() - this.#begun, hooks: this.#hooks.size, kernel, drained: this.#rows };
	}
}

function nameOf({ serial, revision }: Pick<JoinedPath, "serial" | "revision">): string {
	return `${serial} ${revision}`;
}
