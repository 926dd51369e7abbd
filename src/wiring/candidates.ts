import { readdirSync, statSync } from "node:fs";

/** A network namespace that somebody holds: by a process in it or by a mount. */
export interface Candidate {
	/** Opens it now. */
	readonly path: string;
	/** Its name for `ip netns`, where it has one. */
	readonly name: string | null;
	readonly device: number;
	readonly inode: number;
}

/**
 * Every namespace that can be found: named ones first (a path that stays), then those of processes. Each once, by
 * device and inode; what goes away while we look is left out. `hostRoot`: where the host's filesystem is mounted.
 */
export function candidates(hostRoot: string | null): readonly Candidate[] {
	const roots = hostRoot === null || hostRoot === "/" ? [""] : ["", hostRoot.replace(/\/+$/, "")];
	const found = new Map<string, Candidate>();
	const add = (path: string, name: string | null) => {
		const stat = statSync(path, { throwIfNoEntry: false, bigint: false });
		if (stat === undefined) return;
		const key = `${stat.dev} ${stat.ino}`;
		if (!found.has(key)) found.set(key, { path, name, device: stat.dev, inode: stat.ino });
	};
	for (const root of roots) {
		for (const directory of MOUNTS) {
			for (const name of entries(`${root}${directory}`)) attempt(() => add(`${root}${directory}/${name}`, name));
		}
	}
	for (const root of roots) {
		for (const pid of entries(`${root}/proc`)) {
			if (/^\d+$/.test(pid)) attempt(() => add(`${root}/proc/${pid}/ns/net`, null));
		}
	}
	return [...found.values()];
}

/** Where `ip netns`, containerd, CRI-O and Docker mount them. */
const MOUNTS = ["/run/netns", "/var/run/netns", "/run/docker/netns", "/var/run/docker/netns"];

function entries(directory: string): readonly string[] {
	try {
		return readdirSync(directory);
	} catch {
		return [];
	}
}

/** A process may end, and a namespace of another user's process may not be looked at: neither is worth a word. */
function attempt(body: () => void): void {
	try {
		body();
	} catch {
		// Nothing to see there.
	}
}
