import type { Claims } from "../claim.js";
import type { RuntimeSource } from "./source.js";

/** Asks one source, never twice at a time, and tells when its answer has changed. A slow one delays nobody else. */
export class RuntimeFollower {
	readonly #source: RuntimeSource;
	readonly #onChange: () => void;
	#claims: Claims = { claims: [], warnings: [] };
	#shown = "";
	#asking: Promise<void> | null = null;
	#again = false;
	#closed = false;

	constructor(source: RuntimeSource, onChange: () => void) {
		this.#source = source;
		this.#onChange = onChange;
	}

	/** As of the last answer. */
	get claims(): Claims {
		return this.#claims;
	}

	/** Resolves when an answer that began after this call is there. */
	ask(): Promise<void> {
		if (this.#asking !== null) {
			this.#again = true;
			return this.#asking;
		}
		this.#asking = this.#askUntilSettled().finally(() => {
			this.#asking = null;
		});
		return this.#asking;
	}

	close(): void {
		this.#closed = true;
		this.#source.close();
	}

	async #askUntilSettled(): Promise<void> {
		do {
			this.#again = false;
			const claims = await this.#source.read();
			if (this.#closed) return;
			const shown = JSON.stringify(claims);
			const changed = shown !== this.#shown;
			this.#claims = claims;
			this.#shown = shown;
			if (changed) this.#onChange();
		} while (this.#again);
	}
}
