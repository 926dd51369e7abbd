import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { LabError } from "./error.js";
import { type DualStack, LAB_ROOT, labDirectory, type NodePlan, type PortMapping, type ServicePlan } from "./plan.js";

/** A pod as it runs. */
export interface LabPod {
	readonly namespace: string;
	readonly name: string;
	readonly node: string;
	readonly uid: string;
	/** The sandbox's container id. */
	readonly sandbox: string;
	readonly netns: string;
	readonly address: DualStack;
	/** Host end of its veth, in the node's namespace. */
	readonly device: string;
	readonly ifindex: number;
	readonly mac: string;
	readonly hostPorts: readonly PortMapping[];
}

/** A program the lab left running in one of its namespaces. */
export interface LabProcess {
	readonly pid: number;
	readonly netns: string;
	readonly purpose: string;
}

/** What is on disk of a lab: enough to find everything it made. */
export interface LabState {
	readonly version: 1;
	readonly name: string;
	readonly phase: "starting" | "up" | "stopping";
	/** The process that builds it, and its start in clock ticks since boot (pids are reused). */
	readonly builder: { readonly pid: number; readonly startTicks: number };
	readonly underlay: { readonly netns: string; readonly address: DualStack };
	readonly nodes: readonly NodePlan[];
	readonly pods: readonly LabPod[];
	readonly services: readonly ServicePlan[];
	readonly processes: readonly LabProcess[];
}

/** Claims a lab's name: makes its directory, which only one process can. False: it is taken. */
export async function claim(name: string): Promise<boolean> {
	await mkdir(LAB_ROOT, { recursive: true, mode: 0o755 });
	try {
		await mkdir(labDirectory(name));
		return true;
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw new LabError(`mkdir ${labDirectory(name)}`, (cause as Error).message, { remedy: "run as root", cause });
	}
}

/** Reads a lab's state; null: there is none, or it is not whole (a builder died while writing its first one). */
export async function readState(name: string): Promise<LabState | null> {
	let text: string;
	try {
		text = await readFile(statePath(name), "utf8");
	} catch {
		return null;
	}
	try {
		const state = JSON.parse(text) as LabState;
		return state.version === 1 ? state : null;
	} catch {
		return null;
	}
}

/** Replaces a lab's state in one step: a reader sees the old one or the new one. */
export async function writeState(state: LabState): Promise<void> {
	const path = statePath(state.name);
	const draft = `${path}.${process.pid}`;
	await writeFile(draft, `${JSON.stringify(state, null, "\t")}\n`, { mode: 0o644 });
	await rename(draft, path);
}

/** Identity of a process: its start in clock ticks since boot (proc(5), stat, field 22); null: no such process. */
export async function startTicks(pid: number): Promise<number | null> {
	try {
		const stat = await readFile(`/proc/${pid}/stat`, "utf8");
		// The command's name may hold spaces and parentheses: count from the last one.
		const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		return fields[0] === "Z" ? null : Number(fields[19]);
	} catch {
		return null;
	}
}

function statePath(name: string): string {
	return `${labDirectory(name)}/state.json`;
}
