import { Worker } from "node:worker_threads";
import type { FromWorker } from "./protocol.js";
import type { Summary } from "./report.js";
import type { Telling } from "./telling.js";

/** A trace that could not begin, or broke. The message names the remedy. */
export class TraceError extends Error {
	override readonly name = "TraceError";
}

/** So many paths have been taken: more may come. */
export interface Credit {
	readonly kind: "credit";
	readonly paths: number;
}

/**
 * The thread that traces, for the one that asks: orders go down, and what it says comes up until its last word, which
 * is a summary or why there is none.
 */
export class TracingThread<Order, Said> {
	readonly #worker: Worker;
	/** Rejects when the thread breaks or ends, also before anybody waits for it. */
	readonly #failure: Promise<never>;

	/**
	 * Begins it.
	 * @param work what it does, for a message: tracing
	 * @param data it is given, besides orders
	 */
	constructor(program: URL, work: string, data: unknown = null) {
		const worker = new Worker(program, { workerData: data });
		this.#worker = worker;
		this.#failure = new Promise<never>((_, reject) => {
			worker.once("error", reject);
			worker.once("exit", (code) => reject(new Error(`the ${work} thread ended with ${code} before it was done`)));
		});
		this.#failure.catch(() => {});
	}

	/** @param transfer what is the thread's own from now on */
	tell(order: Order | Credit, transfer: readonly ArrayBuffer[] = []): void {
		this.#worker.postMessage(order, transfer);
	}

	/**
	 * Hears it until it has stopped. What every trace says is told at once.
	 * @param hear what it says, told or not
	 * @throws TraceError with the thread's own words
	 */
	summary(telling: Telling, hear: (message: Said, credit: (paths: number) => void) => void): Promise<Summary> {
		return new Promise((resolve, reject) => {
			const credit = (paths: number) => telling.whenDrained(() => this.tell({ kind: "credit", paths }), reject);
			const tell = (message: FromWorker) => {
				switch (message.kind) {
					case "hook":
						telling.hook(message.hook, message.added);
						return;
					case "inForce":
						telling.inForce(message);
						return;
					case "paths":
						telling.paths(message.paths);
						credit(message.paths.length);
						return;
					case "warning":
						telling.warn(message.line);
						return;
					case "stopped":
						resolve(message.summary);
						return;
					case "failed":
						reject(new TraceError(message.message));
						return;
				}
			};
			this.#worker.on("message", (message: FromWorker & Said) => {
				try {
					tell(message);
					hear(message, credit);
				} catch (cause) {
					reject(cause);
				}
			});
			this.#failure.catch(reject);
		});
	}

	/** What a thread that failed still holds goes with it. */
	close(): void {
		void this.#worker.terminate();
	}
}
