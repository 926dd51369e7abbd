import { Naming } from "../../collector/naming.js";
import { MergedDirectory } from "../../identity/merged.js";
import { type Names, NamesDirectory } from "../../identity/names.js";
import { turningPoints } from "../../identity/owners.js";
import type { Hook } from "../../packet/hook.js";
import type { JoinedPath, PathView } from "../../path/path-view.js";
import type { Wiring } from "../../wiring/model.js";
import { PathEncoder } from "../path-encoder.js";
import { WireWriter } from "../wire.js";

/** TraceResponses of one path each, one behind the other: several together are one of as many paths. */
export interface EncodedPaths {
	readonly bytes: Uint8Array<ArrayBuffer>;
	/** Where each ends. */
	readonly ends: readonly number[];
}

/** Paths as messages of Trace, named and encoded in the joining thread, so that the one with the sockets only writes. */
export class PathMessages {
	readonly #wallClockBase: bigint;
	/** Every hook that was ever announced. */
	readonly #hooks: ReadonlyMap<number, Hook>;
	readonly #writer = new WireWriter();
	#ends: number[] = [];
	#encoder: PathEncoder | null = null;
	#naming: Naming | null = null;

	constructor(wallClockBase: bigint, hooks: ReadonlyMap<number, Hook>) {
		this.#wallClockBase = wallClockBase;
		this.#hooks = hooks;
	}

	/** Paths that follow are named by these. */
	world(names: readonly Names[], wirings: readonly Wiring[]): void {
		const directories = names.map((each) => NamesDirectory.of(each));
		const directory = new MergedDirectory(() => directories);
		const wallClockBase = this.#wallClockBase;
		const naming = new Naming({ directory, wirings: () => wirings }, wallClockBase, this.#hooks.values());
		this.#naming = naming;
		const points = turningPoints(names.flatMap((each) => each.owners));
		this.#encoder = new PathEncoder({ naming, wallClockBase, turningPoints: points });
	}

	hook(hook: Hook): void {
		this.#naming?.hook(hook);
	}

	add(path: PathView): void {
		this.#encoder?.encode(path, this.#writer);
		this.#ends.push(this.#writer.length);
	}

	/** One that was kept until more was known of it. */
	addJoined(path: JoinedPath): void {
		this.#encoder?.encodeJoined(path, this.#writer);
		this.#ends.push(this.#writer.length);
	}

	/** Those that were added since. */
	take(): EncodedPaths {
		const ends = this.#ends;
		this.#ends = [];
		return { bytes: this.#writer.take(), ends };
	}
}
