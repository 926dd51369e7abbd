const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;

/** Nodes that nobody watches for a while: an interval of which nothing is known, told when it begins and when it ends. */
export class Outages {
	readonly #tell: (line: string) => void;
	readonly #tryAgain: () => void;
	/** Since when, ms since 1970. */
	readonly #gone = new Map<string, number>();
	readonly #retries = new Map<string, { timer: NodeJS.Timeout | null; ms: number }>();

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
		const retry = this.#retries.get(node) ?? { timer: null, ms: FIRST_RETRY_MS };
		this.#retries.set(node, retry);
		if (retry.timer !== null) return;
		retry.timer = setTimeout(() => {
			retry.timer = null;
			this.#tryAgain();
		}, retry.ms);
		retry.ms = Math.min(retry.ms * 2, LAST_RETRY_MS);
	}

	/** Its turn has not come. */
	isWaiting(node: string): boolean {
		return (this.#retries.get(node)?.timer ?? null) !== null;
	}

	close(): void {
		for (const { timer } of this.#retries.values()) if (timer !== null) clearTimeout(timer);
	}
}
