import { Backoff } from "./backoff.js";

/** Nodes that nobody watches for a while: an interval of which nothing is known, told when it begins and when it ends. */
export class Outages {
	readonly #tell: (line: string) => void;
	readonly #tryAgain: () => void;
	/** Since when, ms since 1970. */
	readonly #gone = new Map<string, number>();
	readonly #retries = new Map<string, Backoff>();

	/** @param tryAgain called when a node's turn has come, ever less often */
	constructor(tell: (line: string) => void, tryAgain: () => void) {
		this.#tell = tell;
		this.#tryAgain = tryAgain;
	}

	begin(node: string, why: string): void {
		if (this.#gone.has(node)) return;
		this.#gone.set(node, Date.now());
		this.#tell(`${node} is not watched since ${new Date().toISOString()}: ${why}`);
	}

	/** It is watched. */
	end(node: string): void {
		this.#retries.delete(node);
		const since = this.#gone.get(node);
		if (since === undefined) return;
		this.#gone.delete(node);
		const seconds = ((Date.now() - since) / 1000).toFixed(1);
		const now = new Date().toISOString();
		this.#tell(`${node} is watched again since ${now}: what it saw for ${seconds} s is not known`);
	}

	retry(node: string): void {
		const retry = this.#retries.get(node) ?? new Backoff(this.#tryAgain);
		this.#retries.set(node, retry);
		retry.failed();
	}

	/** Its turn has not come. */
	isWaiting(node: string): boolean {
		return this.#retries.get(node)?.isWaiting ?? false;
	}

	close(): void {
		for (const retry of this.#retries.values()) retry.close();
	}
}
