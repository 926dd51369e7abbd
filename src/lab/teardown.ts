import { readdir, readFile, rm, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "./command.js";
import { LabError } from "./error.js";
import { LAB_ROOT, labDirectory, prefix } from "./plan.js";
import { processesInCgroups, removeCgroups } from "./runtime/cgroups.js";
import { withdrawMountpoints } from "./runtime/mountpoints.js";
import { draftPrefix } from "./state.js";

/** What `down` found and removed. */
export interface Removed {
	readonly processes: number;
	readonly namespaces: number;
	readonly mounts: number;
}

/**
 * Removes everything a lab made, whatever became of its builder: works from what the machine shows (namespaces by their
 * prefix, processes by the namespace they are in, mounts by their place), not from the lab's own records. Devices, rules
 * and sysctls go with their namespaces. Throws LabError when something would not go.
 */
export async function tearDown(name: string): Promise<Removed> {
	let processes = 0;
	let namespaces = 0;
	let mounts = 0;
	// A command of a killed builder may still be making something: look again until nothing is found.
	for (let round = 0; round < ROUNDS; round++) {
		const found = await labNamespaces(name);
		processes += await endProcesses(() => labProcesses(name, found));
		mounts += await unmount(name);
		for (const netns of found) await run(["ip", "netns", "delete", netns]).catch(() => "");
		namespaces += found.length;
		for (const directory of [labDirectory(name), ...(await drafts(name))]) {
			await rm(directory, { recursive: true, force: true });
		}
		await removeCgroups(name);
		await withdrawMountpoints();
		if (round > 0 && found.length === 0) return { processes, namespaces, mounts };
		await sleep(SETTLE_MS);
	}
	throw new LabError("lab down", `namespaces ${prefix(name)}… keep coming back or will not go`, {
		remedy: `see who holds them: ip netns pids ${(await labNamespaces(name))[0] ?? ""}`,
	});
}

/** The lab's network namespaces that exist now. */
export async function labNamespaces(name: string): Promise<string[]> {
	const names = await readdir("/run/netns").catch((): string[] => []);
	return names.filter((each) => each.startsWith(prefix(name))).sort();
}

/** Pids of the processes in the given network namespaces, never this process's own. */
export async function processesIn(namespaces: readonly string[]): Promise<number[]> {
	const wanted = new Set<string>();
	for (const netns of namespaces) {
		const id = await identity(`/run/netns/${netns}`);
		if (id !== null) wanted.add(id);
	}
	if (wanted.size === 0) return [];
	const pids = (await readdir("/proc")).map(Number).filter((pid) => Number.isInteger(pid) && pid !== process.pid);
	const inside = await Promise.all(pids.map(async (pid) => wanted.has((await identity(`/proc/${pid}/ns/net`)) ?? "")));
	return pids.filter((_, index) => inside[index]);
}

const ROUNDS = 20;
const SETTLE_MS = 20;
/** How long a process may take to end by itself. */
const GRACE_MS = 500;

/** What a builder left that was killed before it had claimed the name. */
async function drafts(name: string): Promise<string[]> {
	const entries = await readdir(LAB_ROOT).catch((): string[] => []);
	return entries.map((entry) => `${LAB_ROOT}/${entry}`).filter((path) => path.startsWith(draftPrefix(name)));
}

async function labProcesses(name: string, namespaces: readonly string[]): Promise<number[]> {
	return [...new Set([...(await processesIn(namespaces)), ...(await processesInCgroups(name))])];
}

/** Ends processes, wherever they are found: asks them to, and makes them if they take too long. Gives their number. */
export async function endProcesses(find: () => Promise<number[]>): Promise<number> {
	const first = await find();
	signalAll(first, "SIGTERM");
	const deadline = Date.now() + GRACE_MS;
	let left = first;
	while (left.length > 0 && Date.now() < deadline) {
		await sleep(10);
		left = await find();
	}
	signalAll(left, "SIGKILL");
	return first.length;
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
	for (const pid of pids) {
		try {
			process.kill(pid, signal);
		} catch {
			// Gone by itself meanwhile.
		}
	}
}

/** Unmounts what a runtime left below the lab's directory, deepest first. */
async function unmount(name: string): Promise<number> {
	const below = `${labDirectory(name)}/`;
	const table = await readFile("/proc/self/mounts", "utf8");
	const places = table
		.split("\n")
		.map((line) => unescapeMount(line.split(" ")[1] ?? ""))
		.filter((place) => place.startsWith(below))
		.sort((a, b) => b.length - a.length);
	for (const place of places) await run(["umount", "--lazy", place]);
	return places.length;
}

/** proc(5): space, tab, newline and backslash are written in octal. */
function unescapeMount(place: string): string {
	return place.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Device and inode of a namespace's file: which namespace it is, while somebody holds it. */
async function identity(path: string): Promise<string | null> {
	return stat(path).then(
		({ dev, ino }) => `${dev}:${ino}`,
		() => null,
	);
}
