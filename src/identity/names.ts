import { globMatches } from "../filter/pattern.js";
import type { NetnsCookie } from "../packet/hook.js";
import { contains } from "../wiring/namespace.js";
import type { FlannelNode } from "./flannel.js";
import type { Directory, Node, Owner, Pod, Service } from "./owner.js";
import { Owners } from "./owners.js";

/** All that one node's directory answers from, as plain data: crosses to a worker, stands in a recording. */
export interface Names {
	/** Present and past holders. */
	readonly owners: readonly Owner[];
	readonly services: readonly Service[];
	readonly nodes: readonly FlannelNode[];
	/** The node's own addresses: its services' node ports are there. */
	readonly local: readonly string[];
}

/** Names on one node, as of now or as they once were. Pure. */
export class NamesDirectory implements Directory {
	protected readonly owners = new Owners();
	#services: readonly Service[] = [];
	#byPortal = new Map<string, Service>();
	#nodes: readonly FlannelNode[] = [];
	#local: readonly string[] = [];

	/** A directory that answers as the one did that was asked for these names. */
	static of(names: Names): NamesDirectory {
		const directory = new NamesDirectory();
		directory.owners.restore(names.owners);
		directory.tell(names);
		return directory;
	}

	names(): Names {
		return { owners: this.owners.all(), services: this.#services, nodes: this.#nodes, local: this.#local };
	}

	podByAddress(address: string, atMs: number): Pod | null {
		return this.owners.byAddress(address, atMs);
	}

	podByNetns(netns: NetnsCookie, atMs: number): Pod | null {
		return this.owners.byNetns(netns, atMs);
	}

	podByDevice(node: string, ifindex: number, atMs: number): Pod | null {
		return this.owners.byDevice(node, ifindex, atMs);
	}

	pods(glob: string): readonly Pod[] {
		return this.owners.current().filter(({ namespace, name }) => globMatches(glob, `${namespace}/${name}`));
	}

	/** By its own address, or by a port that the node publishes for it. */
	service(ip: string, port: number, protocol: string): Service | null {
		const own = this.#byPortal.get(`${protocol} ${ip} ${port}`);
		if (own !== undefined) return own;
		if (!this.#local.includes(ip)) return null;
		return this.#services.find((one) => one.nodePort === port && one.protocol === protocol) ?? null;
	}

	services(name: string): readonly Service[] {
		return this.#services.filter((service) => globMatches(name, service.name));
	}

	/** By an underlay address, else by the pod subnet that the address is in. */
	nodeByAddress(address: string): Node | null {
		return (
			this.#nodes.find((node) => node.addresses.includes(address)) ??
			this.#nodes.find((node) => node.subnets.some((subnet) => contains(subnet, address))) ??
			null
		);
	}

	nodes(): readonly FlannelNode[] {
		return this.#nodes;
	}

	/** Everything but the pods, which come by `owners`. */
	protected tell({ services, nodes, local }: Omit<Names, "owners">): void {
		this.#services = services;
		this.#byPortal = new Map(services.map((one) => [`${one.protocol} ${one.ip} ${one.port}`, one]));
		this.#nodes = nodes;
		this.#local = local;
	}
}
