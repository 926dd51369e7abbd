import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import type { Lab } from "../../src/lab/lab.js";
import { assertAgentFiltered } from "./agents-attach.js";
import { assertAttached, attachOptions } from "./attach.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/**
 * Clocks as honest as real nodes': each off by another amount and running at another rate. Skb pointers are salted by
 * each process anyway.
 */
const CLOCKS: readonly HonestClock[] = [
	{ offsetNs: 37_000_000_000n, driftPpm: 40 },
	{ offsetNs: -2_500_000_000n, driftPpm: -25 },
	{ offsetNs: 123_456_789n, driftPpm: 90 },
];

/** Of this machine's clock: how far off when the agent starts, and how much faster from then on. */
export interface HonestClock {
	readonly offsetNs: bigint;
	readonly driftPpm: number;
}

/**
 * Agents of all nodes of a lab, for the tests of one suite: as `cluster`, to be called behind it, and its result inside a
 * test to have them.
 */
export function agentsOf(lab: () => Lab): () => Agents {
	let agents: Agents | null = null;
	before(async () => {
		agents = await Agents.start(lab());
	});
	after(async () => {
		await agents?.stop();
	});
	return () => {
		if (agents === null) throw new Error("no agent has been started: call this inside a test");
		return agents;
	};
}

/** One `weft agent` per node of a lab, in processes of their own, with clocks of their own. */
export class Agents {
	readonly folder = mkdtempSync(join(tmpdir(), "weft-agents-"));
	readonly #lab: Lab;
	readonly #running = new Map<string, ChildProcess>();

	private constructor(lab: Lab) {
		this.#lab = lab;
	}

	static async start(lab: Lab): Promise<Agents> {
		const agents = new Agents(lab);
		await Promise.all(lab.nodes.map(({ node }) => agents.begin(node.name)));
		await Promise.all(lab.nodes.map((node) => assertAgentFiltered(node, agents.address(node.name))));
		return agents;
	}

	address(node: string): string {
		return `unix:${join(this.folder, `${node}.sock`)}`;
	}

	/** What `weft trace` is to be told. */
	get options(): string[] {
		return this.#lab.nodes.flatMap(({ node }) => ["--agent", this.address(node.name)]);
	}

	clock(node: string): HonestClock {
		const at = this.#lab.nodes.findIndex((each) => each.node.name === node);
		return CLOCKS[at % CLOCKS.length] as HonestClock;
	}

	pid(node: string): number {
		return this.#process(node).pid ?? 0;
	}

	async begin(node: string): Promise<void> {
		const found = this.#lab.nodes.find((each) => each.node.name === node);
		assert.ok(found, `${node} is a node of the lab`);
		const place = ["--netns", found.node.netns, "--host-root", found.node.root, "--listen", this.address(node)];
		const { offsetNs, driftPpm } = this.clock(node);
		const clock = ["--clock-offset", String(offsetNs), "--clock-drift", String(driftPpm)];
		this.#running.set(node, await serving("agent", ...place, ...clock));
	}

	/** SIGKILL: no last word. */
	async kill(node: string): Promise<void> {
		await end(this.#process(node), "SIGKILL");
		this.#running.delete(node);
	}

	async stop(): Promise<void> {
		await Promise.all([...this.#running.values()].map((child) => end(child, "SIGTERM")));
		rmSync(this.folder, { recursive: true, force: true });
	}

	#process(node: string): ChildProcess {
		const child = this.#running.get(node);
		assert.ok(child, `an agent runs on ${node}`);
		return child;
	}
}

/** Starts a command that serves, and waits until it says so. */
export async function serving(...args: string[]): Promise<ChildProcess> {
	const child = spawn(process.execPath, [MAIN, ...args, ...attachOptions(args)], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	const said: string[] = [];
	await new Promise<void>((resolve, reject) => {
		child.once("exit", (code) => reject(new Error(`weft ${args.join(" ")} ended with ${code}: ${said.join(" ")}`)));
		createInterface({ input: child.stderr }).on("line", (line) => {
			said.push(line);
			if (line.startsWith("weft: serving")) resolve();
		});
	});
	assertAttached(child.pid);
	return child;
}

export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const ended = once(child, "exit");
	child.kill(signal);
	await ended;
}
