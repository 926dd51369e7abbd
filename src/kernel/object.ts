import { readFileSync } from "node:fs";
import { addon } from "./addon.js";
import { explained, KernelError } from "./error.js";
import type { Instrument } from "./hook-sets.js";
import { encodeKnobs, type Knobs } from "./knobs.js";
import type { BpfMap, BpfObject, BpfProgram } from "./native.js";

export interface ObjectOptions {
	/** In dist/bpf. */
	readonly file: string;
	/** The program of which there are instances. */
	readonly program: string;
	readonly noop: string;
	/** Programs that user space runs by itself. */
	readonly tools?: readonly string[];
	/** Maps that are made elsewhere, by their own names. */
	readonly reuse?: readonly BpfMap[];
	/** Entries of maps, where not as compiled. */
	readonly entries?: Readonly<Record<string, number>>;
}

/** An object file, loaded once for its maps and its no-op program, and then once an instance, which share the maps. */
export class InstrumentObject implements Instrument {
	readonly noop: BpfProgram;
	readonly #options: ObjectOptions;
	readonly #elf: Uint8Array;
	readonly #maps: readonly BpfMap[];
	readonly #tools: readonly BpfProgram[];

	/** @throws KernelError */
	constructor(options: ObjectOptions) {
		this.#options = options;
		this.#elf = readObject(options.file);
		[this.#maps, this.noop, this.#tools] = explained(`load ${options.file}`, () => {
			const object = addon().openObject(this.#elf);
			for (const map of options.reuse ?? []) object.reuseMap(map.name, map);
			for (const [name, entries] of Object.entries(options.entries ?? {})) object.setMaxEntries(name, entries);
			object.setAutoload(options.program, false);
			object.load();
			const maps = object.mapNames().map((name) => object.map(name));
			const tools = (options.tools ?? []).map((name) => object.program(name));
			const noop = object.program(options.noop);
			object.close();
			return [maps, noop, tools] as const;
		});
	}

	map(name: string): BpfMap {
		const map = this.#maps.find((each) => each.name === name);
		if (map === undefined) throw new RangeError(`${this.#options.file} has no map ${name}`);
		return map;
	}

	/** One of the tools. */
	tool(name: string): BpfProgram {
		const tool = this.#tools.find((each) => each.name === name);
		if (tool === undefined) throw new RangeError(`${this.#options.file} has no tool ${name}`);
		return tool;
	}

	/**
	 * Verifies and loads one instance, on another thread: some 50 to 100 ms.
	 * @throws KernelError
	 */
	async load(knobs: Knobs): Promise<BpfProgram> {
		const { file, program, noop, tools = [] } = this.#options;
		return await explained(`load ${file}`, async () => {
			const object = addon().openObject(this.#elf);
			for (const map of this.#maps) object.reuseMap(map.name, map);
			for (const other of [noop, ...tools]) object.setAutoload(other, false);
			object.setRodata(0, encodeKnobs(knobs));
			await object.loadInBackground();
			return takeProgram(object, program);
		});
	}

	close(): void {
		for (const program of [this.noop, ...this.#tools]) program.close();
		for (const map of this.#maps) map.close();
	}
}

/** The program lives on without its object. */
export function takeProgram(object: BpfObject, name: string): BpfProgram {
	const program = object.program(name);
	object.close();
	return program;
}

/** @throws KernelError when it has not been built */
export function readObject(file: string): Uint8Array {
	try {
		// Compiled, this file is dist/src/kernel/object.js.
		return readFileSync(new URL(`../../bpf/${file}`, import.meta.url));
	} catch (cause) {
		throw new KernelError(`read ${file}`, "it has not been built: run `make build`", cause);
	}
}
