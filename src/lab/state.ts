import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { LabError } from "./error.js";
import {
	type DualStack,
	LAB_ROOT,
	labDirectory,
	type NodePlan,
	type PortMapping,
	type RuntimeName,
	type ServicePlan,
} from "./plan.js";

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
	readonly phase: "starting" | "up";
	readonly runtime: RuntimeName;
	/** The process that builds it, and its start in clock ticks since boot (pids are reused). */
	readonly builder: { readonly pid: number; readonly startTicks: number };
	readonly underlay: { readonly netns: string; readonly address: DualStack };
	readonly nodes: readonly NodePlan[];
	readonly pods: readonly LabPod[];
	readonly services: readonly ServicePlan[];
	readonly processes: readonly LabProcess[];
}

/**
 * Claims a lab's name by putting its first state in place, in one step (rename(2) of a directory fails where a filled one
 * is): a directory without a state is never seen. False: the name is taken. Throws LabError.
 */
export async function claim(state: LabState): Promise<boolean> {
	const draft = `${draftPrefix(state.name)}${process.pid}`;
	try {
		await mkdir(draft, { recursive: true });
		await writeFile(`${draft}/${STATE_FILE}`, stateText(state), { mode: 0o644 });
		await rename(draft, labDirectory(state.name));
		return true;
	} catch (cause) {
		await rm(draft, { recursive: true, force: true });
		const { code, message } = cause as NodeJS.ErrnoException;
		if (code === "EEXIST" || code === "ENOTEMPTY") return false;
		throw new LabError(`mkdir ${labDirectory(state.name)}`, message, { remedy: "run as root", cause });
	}
}

/** Where a lab's directory is filled before it takes its place: this, and the pid of who does so. */
export function draftPrefix(name: string): string {
	return `${LAB_ROOT}/.${name}.`;
}

/** Reads a lab's state; null: there is none, or it is not one of this version of weft. */
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
	await writeFile(draft, stateText(state), { mode: 0o644 });
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
	return `${labDirectory(name)}/${STATE_FILE}`;
}

function stateText(state: LabState): string {
	return `${JSON.stringify(state, null, "\t")}\n`;
}

const STATE_FILE = "state.json";
