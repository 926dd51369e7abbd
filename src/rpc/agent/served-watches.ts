import { Phase } from "../messages.js";
import type { Told } from "../paths-service.js";
import { serviceErrorOf } from "../refusal.js";
import type { Reply } from "../server.js";

/** What ends with its client. */
export interface Watching {
	/** Tells what is left. */
	stop(): Promise<void>;
}

/** Streams that have hooks or programs of their own, which go with the client, with the agent, or when the thing is gone. */
export class ServedWatches {
	readonly #node: string;
	readonly #ends = new Set<() => Promise<void>>();

	constructor(node: string) {
		this.#node = node;
	}

	/** Those that are served now. */
	get count(): number {
		return this.#ends.size;
	}

	/**
	 * Serves what `begin` puts on; it is given what ends the stream, and null of it means that there is nothing to watch.
	 * What it rejects with is told to the client.
	 */
	serve(call: Reply, stream: Told, begin: (leave: () => void) => Promise<Watching | null>): void {
		let ended: Promise<void> | null = null;
		const leave = () => void end();
		const begun = begin(leave);
		const end = () => {
			ended ??= begun
				.then(async (watching) => {
					await watching?.stop();
					stream.state(Phase.ended, null);
					call.end();
				})
				.catch(() => undefined)
				.finally(() => this.#ends.delete(end));
			return ended;
		};
		this.#ends.add(end);
		call.on("cancelled", leave);
		call.on("close", leave);
		begun.then(
			(watching) => {
				if (ended !== null) return;
				if (watching === null) leave();
				else stream.ready([this.#node], []);
			},
			(cause: unknown) => {
				this.#ends.delete(end);
				call.emit("error", serviceErrorOf(cause));
			},
		);
	}

	/** Ends all that is served; what they have on is taken away. */
	async close(): Promise<void> {
		await Promise.all([...this.#ends].map((end) => end()));
	}
}
