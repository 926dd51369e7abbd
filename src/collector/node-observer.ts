import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename } from "node:path";
import type { NodeDirectory } from "../identity/directory.js";
import { NodeRules } from "../identity/node-rules.js";
import { RuleGeneration } from "../identity/rule-generation.js";
import { IdentityWatch } from "../identity/watch.js";
import { addon } from "../kernel/addon.js";
import { explained } from "../kernel/error.js";
import type { Wiring } from "../wiring/model.js";
import { narrowTunnels } from "../wiring/mtu.js";
import { NETFILTER } from "../wiring/netlink.js";
import { WiringWatch } from "../wiring/watch.js";
import type { NodeSpec } from "./request.js";

/** One node of this machine as the main thread follows it: who is plugged into whom, and who is who. */
export class NodeObserver {
	readonly spec: NodeSpec;
	readonly #wiring: WiringWatch;
	readonly #identity: IdentityWatch;

	/**
	 * @param onChange something came, went or changed: `wiring` and `directory` are new
	 * @throws KernelError when the node's namespace cannot be opened
	 */
	constructor(spec: NodeSpec, nodeNames: ReadonlyMap<string, string>, onChange: () => void) {
		this.spec = spec;
		const { name, netns, hostRoot } = spec;
		// Other processes read the rules while this one reads the wiring.
		const rules = new NodeRules(netns, generationIn(netns));
		this.#wiring = explained(`read the wiring of ${name}`, () => {
			const options = { native: addon(), node: name, netns, hostRoot };
			return new WiringWatch(options, () => {
				this.#identity.rewired(() => this.#wiring.wiring);
				onChange();
			});
		});
		this.#identity = new IdentityWatch({ netns, hostRoot, nodeNames, rules }, this.#wiring.wiring, onChange);
	}

	get wiring(): Wiring {
		return this.#wiring.wiring;
	}

	get directory(): NodeDirectory {
		return this.#identity.directory;
	}

	/** Packets that a device of the node has sent and received so far; null: it is gone. */
	packets(ifindex: number): number | null {
		return this.#wiring.packets(ifindex);
	}

	get warnings(): readonly string[] {
		const narrow = narrowTunnels(this.wiring.host).map(
			({ reason, remedy }) => `on ${this.spec.name} ${reason}: ${remedy}`,
		);
		return [...this.#wiring.warnings, ...this.directory.warnings, ...narrow];
	}

	/** Services and runtimes have been asked once. */
	get ready(): Promise<void> {
		return this.#identity.ready;
	}

	close(): void {
		this.#identity.close();
		this.#wiring.close();
	}
}

/** Null: this kernel, or this user, has no such socket. */
function generationIn(path: string | null): RuleGeneration | null {
	try {
		const netns = addon().openNetns(path);
		try {
			return new RuleGeneration(addon().openNetlink(netns, NETFILTER));
		} finally {
			netns.close();
		}
	} catch {
		return null;
	}
}

/** The node that a namespace is, for want of better names: the host's own, or the namespace's. */
export function nodeOf(netns: string | null, hostRoot: string | null): NodeSpec {
	const path = netns === null || netns.includes("/") ? netns : `/run/netns/${netns}`;
	const own = netns === null ? hostname() : basename(netns);
	return { name: nameUnder(hostRoot) ?? own, netns: path, hostRoot, watch: true };
}

/** /etc/hostname of the node's filesystem. */
function nameUnder(hostRoot: string | null): string | null {
	if (hostRoot === null) return null;
	try {
		return readFileSync(`${hostRoot}/etc/hostname`, "utf8").trim() || null;
	} catch {
		return null;
	}
}
