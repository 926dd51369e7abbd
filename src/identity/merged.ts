import type { NetnsCookie } from "../packet/hook.js";
import type { Directory, Node, Pod, Service } from "./owner.js";

/** Several nodes' directories as one: each knows its own pods best, and is asked in turn. */
export class MergedDirectory implements Directory {
	readonly #directories: () => readonly Directory[];

	/** `directories`: of the nodes there are now. */
	constructor(directories: () => readonly Directory[]) {
		this.#directories = directories;
	}

	podByAddress(address: string, atMs: number): Pod | null {
		return this.#only((directory) => directory.podByAddress(address, atMs));
	}

	podByNetns(netns: NetnsCookie, atMs: number): Pod | null {
		return this.#first((directory) => directory.podByNetns(netns, atMs));
	}

	podByDevice(node: string, ifindex: number, atMs: number): Pod | null {
		return this.#first((directory) => directory.podByDevice(node, ifindex, atMs));
	}

	pods(glob: string): readonly Pod[] {
		return this.#directories().flatMap((directory) => directory.pods(glob));
	}

	service(ip: string, port: number, protocol: string): Service | null {
		return this.#first((directory) => directory.service(ip, port, protocol));
	}

	services(name: string): readonly Service[] {
		const all = this.#directories().flatMap((directory) => directory.services(name));
		return [...new Map(all.map((one) => [`${one.protocol} ${one.ip} ${one.port}`, one])).values()];
	}

	nodeByAddress(address: string): Node | null {
		const found = this.#first((directory) => directory.nodeByAddress(address));
		// One node calls another by its address only: that one knows its own name.
		return found === null ? null : (this.nodes().find((node) => isSame(node, found)) ?? found);
	}

	nodes(): readonly Node[] {
		const nodes: Node[] = [];
		for (const node of this.#directories().flatMap((directory) => directory.nodes())) {
			const at = nodes.findIndex((known) => isSame(known, node));
			const known = nodes[at];
			if (known === undefined) nodes.push(node);
			else nodes[at] = union(known, node);
		}
		return nodes;
	}

	/** Two nodes that hold one address contradict each other: then nobody does. */
	#only(ask: (directory: Directory) => Pod | null): Pod | null {
		const found = this.#directories().flatMap((directory) => ask(directory) ?? []);
		const [one, ...others] = found;
		return one === undefined || others.some((pod) => pod.node !== one.node || pod.name !== one.name) ? null : one;
	}

	#first<T>(ask: (directory: Directory) => T | null): T | null {
		for (const directory of this.#directories()) {
			const found = ask(directory);
			if (found !== null) return found;
		}
		return null;
	}
}

function isSame(a: Node, b: Node): boolean {
	return (
		a.name === b.name ||
		(a.address !== null && a.address === b.address) ||
		a.subnets.some((one) => b.subnets.includes(one))
	);
}

/** What two nodes say of one; a name beats an address. */
function union(a: Node, b: Node): Node {
	const isNamed = (node: Node) => node.name !== node.address;
	const [named, other] = isNamed(a) || !isNamed(b) ? [a, b] : [b, a];
	return {
		...named,
		address: named.address ?? other.address,
		subnets: [...new Set([...named.subnets, ...other.subnets])],
		vtepMac: named.vtepMac ?? other.vtepMac,
	};
}
