import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";

/** A small file as it was, or why it could not be read. */
export type FileText =
	| { readonly kind: "text"; readonly text: string; readonly modifiedMs: number }
	| { readonly kind: "unreadable"; readonly reason: string };

/** Cache files are a few KiB; what is larger is not one. */
const LARGEST = 1024 * 1024;
/** Entries of one directory that are looked at. */
const MOST_ENTRIES = 10_000;

/** Reads a regular file of at most 1 MiB; never waits (a FIFO in its place does not hold us up). */
export function readSmallFile(path: string): FileText {
	try {
		const fd = openSync(path, O_RDONLY_NONBLOCK);
		try {
			const stat = fstatSync(fd);
			if (!stat.isFile()) return { kind: "unreadable", reason: "is no file" };
			if (stat.size > LARGEST) return { kind: "unreadable", reason: `is ${stat.size} bytes long` };
			const buffer = Buffer.alloc(Number(stat.size));
			const read = readSync(fd, buffer, 0, buffer.length, 0);
			return { kind: "text", text: buffer.toString("utf8", 0, read), modifiedMs: stat.mtimeMs };
		} finally {
			closeSync(fd);
		}
	} catch (cause) {
		return { kind: "unreadable", reason: (cause as NodeJS.ErrnoException).code ?? String(cause) };
	}
}

/** Names in a directory; none when there is no such directory or it may not be read. */
export function listDirectory(path: string): readonly string[] {
	try {
		return readdirSync(path).slice(0, MOST_ENTRIES);
	} catch {
		return [];
	}
}

/** A path of the host as it is reached from here. */
export function onHost(hostRoot: string | null, path: string): string {
	return hostRoot === null ? path : `${hostRoot.replace(/\/+$/, "")}${path}`;
}

/** O_RDONLY | O_NONBLOCK (asm-generic/fcntl.h). */
const O_RDONLY_NONBLOCK = 0o4000;
