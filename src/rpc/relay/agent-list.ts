import { lookup } from "node:dns/promises";

const DNS_MS = 5000;

/**
 * Addresses of agents as they are given: `unix:/path`, `host:port`, or `dns:name:port`, which stands for every address
 * that the name has now (a headless service) and is looked up again every few seconds.
 */
export class AgentList {
	readonly #given: readonly string[];
	readonly #onChange: (addresses: readonly string[]) => void;
	readonly #log: (line: string) => void;
	#known = "";
	#timer: NodeJS.Timeout | null = null;
	#closed = false;

	constructor(given: readonly string[], onChange: (addresses: readonly string[]) => void, log: (line: string) => void) {
		this.#given = given;
		this.#onChange = onChange;
		this.#log = log;
	}

	/** Looks names up for the first time, and then follows them. */
	async begin(): Promise<void> {
		const addresses = (await Promise.all(this.#given.map((each) => this.#resolve(each)))).flat();
		if (this.#closed) return;
		const text = addresses.join(" ");
		if (text !== this.#known) this.#onChange(addresses);
		this.#known = text;
		if (!this.#given.some((each) => each.startsWith("dns:"))) return;
		this.#timer = setTimeout(() => {
			this.begin().catch(() => undefined);
		}, DNS_MS);
	}

	close(): void {
		this.#closed = true;
		if (this.#timer !== null) clearTimeout(this.#timer);
	}

	async #resolve(given: string): Promise<readonly string[]> {
		const [, name, port] = /^dns:(.+):(\d+)$/.exec(given) ?? [];
		if (name === undefined) return [given];
		try {
			const found = await lookup(name, { all: true });
			return found.map(({ address, family }) => `${family === 6 ? `[${address}]` : address}:${port}`).sort();
		} catch (cause) {
			this.#log(`cannot look up ${name}: ${cause instanceof Error ? cause.message : String(cause)}`);
			// What a name server forgets for a moment is still there.
			return this.#known.split(" ").filter((address) => address.endsWith(`:${port}`));
		}
	}
}
