import { closeSync, createReadStream, createWriteStream, fstatSync, openSync } from "node:fs";
import type { OuterTable } from "../packet/outers.js";
import type { TupleTable } from "../packet/tuples.js";
import { RecordingError, type RecordingHeader } from "./format.js";
import { type Replayed, type ReplaySink, replay } from "./reader.js";
import { RecordingWriter, type WriterOptions } from "./writer.js";

interface Tables {
	readonly tuples: TupleTable;
	readonly outers: OuterTable;
}

/** Read in pieces of a few batches. */
const PIECE_BYTES = 1 << 20;

/**
 * Starts a recording in a file, or on standard output for "-". The file is its owner's alone (0600): a recording says
 * who talks to whom. An existing file is replaced, as tcpdump -w does.
 * @throws RecordingError when the file cannot be written
 */
export function recordTo(
	file: string,
	tables: Tables,
	header: Omit<RecordingHeader, "anonymized">,
	options: WriterOptions = {},
): RecordingWriter {
	if (file === "-") return new RecordingWriter(process.stdout, tables, header, { ...options, leaveOpen: true });
	const fd = opened(file, "w", "write");
	return new RecordingWriter(createWriteStream(file, { fd }), tables, header, options);
}

/**
 * Replays a file, or standard input for "-".
 * @throws RecordingError when there is no such recording
 */
export async function replayFrom(file: string, sink: ReplaySink, tables: Tables): Promise<Replayed> {
	if (file === "-") return replay(process.stdin, sink, tables);
	const fd = opened(file, "r", "read");
	try {
		return await replay(createReadStream(file, { fd, highWaterMark: PIECE_BYTES }), sink, tables);
	} catch (cause) {
		throw cause instanceof RecordingError ? new RecordingError(`${file}: ${cause.message}`, { cause }) : cause;
	}
}

/** Opened before anything is traced, so that a bad path is told at once. A directory opens, and only reading it fails. */
function opened(file: string, mode: "r" | "w", verb: "read" | "write"): number {
	try {
		const fd = openSync(file, mode, 0o600);
		if (mode === "r") refuseDirectory(file, fd);
		return fd;
	} catch (cause) {
		if (cause instanceof RecordingError) throw cause;
		const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
		throw new RecordingError(`cannot ${verb} ${file}: ${REMEDIES[code] ?? code}`, { cause });
	}
}

function refuseDirectory(file: string, fd: number): void {
	if (!fstatSync(fd).isDirectory()) return;
	closeSync(fd);
	throw new RecordingError(`cannot read ${file}: ${REMEDIES["EISDIR"]}`);
}

const REMEDIES: Readonly<Record<string, string>> = {
	ENOENT: "no such file or directory; check the path",
	EACCES: "permission denied; recordings belong to who wrote them, often root",
	EISDIR: "it is a directory; name a file in it",
	EROFS: "the filesystem is read-only; name a file elsewhere",
	ENOSPC: "no space is left; name a file elsewhere",
};
