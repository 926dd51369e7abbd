import { readdir, readFile, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { prefix } from "../plan.js";

/** A lab's cgroup, below each controller (v1) or below the root (v2). */
export function cgroupOf(lab: string): string {
	return `${prefix(lab)}cgroup`;
}

/** Removes a lab's cgroups, once the processes in them have ended. Gives the number of trees removed. */
export async function removeCgroups(lab: string): Promise<number> {
	const trees = await cgroupTrees(lab);
	for (const tree of trees) await removeTree(tree);
	return trees.length;
}

/** Pids of the processes in a lab's cgroups: containers, also those in namespaces without a name. */
export async function processesInCgroups(lab: string): Promise<number[]> {
	const pids = await Promise.all((await cgroupTrees(lab)).map(processesBelow));
	return [...new Set(pids.flat())];
}

/** The lab's cgroups that exist now. */
export async function cgroupTrees(lab: string): Promise<string[]> {
	const controllers = await readdir(ROOT).catch((): string[] => []);
	const places = [ROOT, ...controllers.map((controller) => join(ROOT, controller))].map((place) =>
		join(place, cgroupOf(lab)),
	);
	const present = await Promise.all(
		places.map((place) =>
			stat(place).then(
				() => true,
				() => false,
			),
		),
	);
	return places.filter((_, index) => present[index]);
}

const ROOT = "/sys/fs/cgroup";

async function processesBelow(directory: string): Promise<number[]> {
	const text = await readFile(join(directory, "cgroup.procs"), "utf8").catch(() => "");
	const own = text
		.split("\n")
		.filter((line) => line !== "")
		.map(Number);
	return (await Promise.all((await children(directory)).map(processesBelow))).flat().concat(own);
}

async function children(directory: string): Promise<string[]> {
	const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
	return entries.filter((entry) => entry.isDirectory()).map((entry) => join(directory, entry.name));
}

/** Children first; their files are the kernel's and go along. A killed process leaves its cgroup a moment later. */
async function removeTree(directory: string): Promise<void> {
	for (const child of await children(directory)) await removeTree(child);
	for (let attempt = 0; attempt < 50; attempt++) {
		const error = await rmdir(directory).then(
			() => null,
			(cause: NodeJS.ErrnoException) => cause,
		);
		if (error === null || error.code === "ENOENT") return;
		await sleep(20);
	}
}
