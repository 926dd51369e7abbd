import { statSync } from "node:fs";

/** Inode of a process's network namespace now, else of the one behind a path; null: neither can be looked at. */
export function netnsInode(pid: number | null, path: string | null): number | null {
	for (const candidate of [pid === null ? null : `/proc/${pid}/ns/net`, path]) {
		if (candidate === null) continue;
		try {
			return statSync(candidate).ino;
		} catch {
			// The process ended, or the path is one inside of a container.
		}
	}
	return null;
}
