import type { Directory } from "../identity/owner.js";
import type { Hook } from "../packet/hook.js";
import { materialise, type Surroundings } from "../path/materialise.js";
import type { Path } from "../path/path.js";
import type { JoinedPath } from "../path/path-view.js";
import type { Wiring } from "../wiring/model.js";
import { nameEnds } from "./names.js";
import { tunnelAddressOf } from "./tunnels.js";

/** What names are looked up in; asked anew for every path. */
export interface Knowledge {
	readonly directory: Directory;
	readonly wirings: () => readonly Wiring[];
}

/** Makes the paths that the Joiner found into those that are shown: hooks, times and ends with their names. */
export class Naming {
	readonly #hooks = new Map<number, Hook>();
	readonly #directory: Directory;
	readonly #surroundings: Surroundings;

	/** @param wallClockBase wall clock at 0 of the Joiner's line, ns since 1970 */
	constructor({ directory, wirings }: Knowledge, wallClockBase: bigint, hooks: Iterable<Hook> = []) {
		this.#directory = directory;
		for (const hook of hooks) this.hook(hook);
		this.#surroundings = {
			idPrefix: `${wallClockBase.toString(36)}-`,
			wallClockBase,
			hook: (id) => this.#hookOf(id),
			tunnelAddress: (hook, peer) => tunnelAddressOf(wirings(), hook, peer),
		};
	}

	/** Comes before the first path that names it, and stays known when it is gone. */
	hook(hook: Hook): void {
		this.#hooks.set(hook.id, hook);
	}

	path(joined: JoinedPath): Path {
		return nameEnds(materialise(joined, this.#surroundings), this.#directory);
	}

	#hookOf(id: number): Hook {
		const hook = this.#hooks.get(id);
		if (hook === undefined) throw new RangeError(`hook ${id} was never announced`);
		return hook;
	}
}
