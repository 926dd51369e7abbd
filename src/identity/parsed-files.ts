import { statSync } from "node:fs";
import { type FileText, listDirectory, readSmallFile } from "./files.js";

interface Kept<T> {
	/** Inode, size and time of the last change: a file that was written again differs in one of them. */
	readonly version: string;
	readonly value: T;
}

/** What the files of a directory hold, read and parsed only when they have changed. */
export class ParsedFiles<T> {
	readonly #parse: (name: string, file: FileText, path: string) => T;
	readonly #wanted: (name: string) => boolean;
	#kept = new Map<string, Kept<T>>();
	#values: readonly T[] = [];

	constructor(
		parse: (name: string, file: FileText, path: string) => T,
		wanted: (name: string) => boolean = () => true,
	) {
		this.#parse = parse;
		this.#wanted = wanted;
	}

	/** The same array as before when nothing has changed. None when there is no such directory. */
	read(directory: string): readonly T[] {
		const before = this.#kept;
		this.#kept = new Map();
		let changed = false;
		for (const name of listDirectory(directory)) {
			if (!this.#wanted(name)) continue;
			const path = `${directory}/${name}`;
			const version = versionOf(path);
			if (version === null) continue;
			const known = before.get(name);
			if (known?.version === version) {
				this.#kept.set(name, known);
			} else {
				this.#kept.set(name, { version, value: this.#parse(name, readSmallFile(path), path) });
				changed = true;
			}
		}
		if (changed || this.#kept.size !== before.size) this.#values = [...this.#kept.values()].map(({ value }) => value);
		return this.#values;
	}
}

function versionOf(path: string): string | null {
	try {
		const { ino, size, ctimeMs, mtimeMs } = statSync(path);
		return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
	} catch {
		return null;
	}
}
