import { readFileSync } from "node:fs";
import { addon } from "./addon.js";
import { explained, KernelError } from "./error.js";
import { encodeKnobs, type Knobs } from "./knobs.js";
import type { BpfMap, BpfProgram, Rings } from "./native.js";

const TRACE = "weft_trace";
const NOOP = "weft_noop";

/**
 * The tracer's object file, loaded as often as there are instances. The first load makes the maps and the no-op program,
 * the instances share them.
 */
export class TraceObject {
	readonly #elf: Uint8Array;
	readonly #maps: readonly BpfMap[];
	/** Returns at once: what a hook runs before it traces, and after. */
	readonly noop: BpfProgram;

	/** @throws KernelError */
	constructor(rings: Rings) {
		this.#elf = readObject();
		const [maps, noop] = explained("load the tracer", () => {
			const object = addon().openObject(this.#elf);
			object.reuseMap("rings", rings.outer);
			object.setAutoload(TRACE, false);
			object.load();
			const loaded = [object.mapNames().map((name) => object.map(name)), object.program(NOOP)] as const;
			object.close();
			return loaded;
		});
		this.#maps = maps;
		this.noop = noop;
	}

	map(name: string): BpfMap {
		const map = this.#maps.find((each) => each.name === name);
		if (map === undefined) throw new KernelError(`find map ${name}`, "rebuild: make clean build", null);
		return map;
	}

	/**
	 * Verifies and loads one instance, on another thread: some 50 to 100 ms.
	 * @throws KernelError
	 */
	async load(knobs: Knobs): Promise<BpfProgram> {
		return await explained("load the tracer", async () => {
			const object = addon().openObject(this.#elf);
			for (const map of this.#maps) object.reuseMap(map.name, map);
			object.setAutoload(NOOP, false);
			object.setRodata(0, encodeKnobs(knobs));
			await object.loadInBackground();
			const program = object.program(TRACE);
			object.close();
			return program;
		});
	}

	close(): void {
		this.noop.close();
		for (const map of this.#maps) map.close();
	}
}

function readObject(): Uint8Array {
	try {
		// Compiled, this file is dist/src/kernel/program.js.
		return readFileSync(new URL("../../bpf/trace.bpf.o", import.meta.url));
	} catch (cause) {
		throw new KernelError("read the tracer's object file", "it has not been built: run `make build`", cause);
	}
}
