import { readFileSync, statSync } from "node:fs";
import { type Claim, UNCLAIMED } from "./claim.js";
import { listDirectory } from "./files.js";

/** What a process's cgroup says of its pod. */
export interface CgroupPod {
	readonly uid: string;
	/** Id of the container, where the path goes on to it. */
	readonly container: string | null;
}

/**
 * Parses /proc/PID/cgroup, v1 and v2, cgroupfs (`kubepods/burstable/pod<uid>/<id>`, no quality of service for Guaranteed)
 * and systemd (`kubepods-burstable-pod<uid with _>.slice/cri-containerd-<id>.scope`). Null: no pod's. Pure.
 */
export function parseCgroup(text: string): CgroupPod | null {
	for (const line of text.split("\n")) {
		const path = /^\d+:[^:]*:(.*)$/.exec(line)?.[1];
		const match =
			/kubepods[^/]*(?:\/[^/]+)*?[/-]pod([0-9a-f]{8}[-_0-9a-f]{24,28}|[0-9a-f]{32})(?:\.slice)?(?:\/(?:[\w.-]*-)?([0-9a-f]{64})(?:\.scope)?)?/.exec(
				path ?? "",
			);
		if (match?.[1] !== undefined) return { uid: match[1].replaceAll("_", "-"), container: match[2] ?? null };
	}
	return null;
}

/** One claim for each namespace (by inode) in which a pod's process runs: its uid, without a name. */
export function readCgroups(inodes: ReadonlySet<number>): readonly Claim[] {
	const claims = new Map<number, Claim>();
	for (const pid of listDirectory("/proc")) {
		if (claims.size === inodes.size) break;
		if (!/^\d+$/.test(pid)) continue;
		try {
			const inode = statSync(`/proc/${pid}/ns/net`).ino;
			if (!inodes.has(inode) || claims.has(inode)) continue;
			const pod = parseCgroup(readFileSync(`/proc/${pid}/cgroup`, "utf8"));
			if (pod !== null) claims.set(inode, { ...UNCLAIMED, source: "cgroup", uid: pod.uid, inode, pid: Number(pid) });
		} catch {
			// It ended while we looked.
		}
	}
	return [...claims.values()];
}
