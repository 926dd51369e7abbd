import type { Direction, Hook, Role } from "../packet/hook.js";

/**
 * Where a hook stands on the way through a node: an skb passes hooks of strictly rising rank (facts: the hook order of
 * flannel nodes; ingress of the devices below, then the stack, then egress, the pod's own end last). So a pointer that
 * shows up at an equal or lower rank carries another packet.
 */
export const enum Rank {
	insideEgress = 0,
	nicIngress = 1,
	hostIngress = 2,
	tunnelIngress = 3,
	podIngress = 4,
	bridgeIngress = 5,
	bridgeEgress = 6,
	podEgress = 7,
	tunnelEgress = 8,
	hostEgress = 9,
	nicEgress = 10,
	insideIngress = 12,
	/** Of a hook that was never announced. */
	none = 255,
}

const RANK: Readonly<Record<Direction, Readonly<Record<Role, Rank>>>> = {
	ingress: {
		nic: Rank.nicIngress,
		host: Rank.hostIngress,
		tunnel: Rank.tunnelIngress,
		pod: Rank.podIngress,
		bridge: Rank.bridgeIngress,
		inside: Rank.insideIngress,
	},
	egress: {
		inside: Rank.insideEgress,
		bridge: Rank.bridgeEgress,
		pod: Rank.podEgress,
		tunnel: Rank.tunnelEgress,
		host: Rank.hostEgress,
		nic: Rank.nicEgress,
	},
};

const MAX_HOOKS = 2 ** 16;

/** The hooks of all sources as columns by HookId, and the few questions that joining asks of them. */
export class HookTable {
	/** One of Rank. Stays when the hook is gone: late rows may still come. */
	readonly rank = new Uint8Array(MAX_HOOKS).fill(Rank.none);
	/** 1: egress. */
	readonly egress = new Uint8Array(MAX_HOOKS);
	readonly ifindex = new Uint32Array(MAX_HOOKS);
	readonly master = new Uint32Array(MAX_HOOKS);
	/** Index of the Source it came from. */
	readonly source = new Uint16Array(MAX_HOOKS);
	/** Joiner time from which it was on, ns. */
	readonly since = new Float64Array(MAX_HOOKS);
	/** Counts up with every hook that comes or goes. */
	generation = 0;

	readonly #hooks: (Hook | undefined)[] = [];
	/** Only those that are on. */
	readonly #on = new Set<number>();
	readonly #netns = new Uint16Array(MAX_HOOKS);
	readonly #netnsIds = new Map<string, number>();
	/** Watched ingress hooks by namespace and ifindex. */
	readonly #ingressAt = new Map<number, number>();
	/** Watched egress hooks of bridges, likewise. */
	readonly #bridgeEgressAt = new Map<number, number>();
	/** Watched hooks at source × 16 + rank. */
	readonly #perRank: number[] = [];
	#sourceOrder: number[] = [];
	readonly #nodes = new Map<string, number>();

	/** @param since joiner time, ns: from when it could see packets */
	add(hook: Hook, source: number, since: number): void {
		const id: number = hook.id;
		if (this.#on.has(id)) this.remove(hook);
		this.#hooks[id] = hook;
		this.rank[id] = RANK[hook.direction][hook.role];
		this.egress[id] = hook.direction === "egress" ? 1 : 0;
		this.ifindex[id] = hook.ifindex;
		this.master[id] = hook.master;
		this.source[id] = source;
		this.since[id] = since;
		this.#netns[id] = this.#netnsId(`${hook.node}/${hook.netns}`);
		this.#on.add(id);
		if (hook.direction === "ingress") this.#ingressAt.set(this.#place(id, hook.ifindex), id);
		else if (hook.role === "bridge") this.#bridgeEgressAt.set(this.#place(id, hook.ifindex), id);
		this.#count(source, this.rank[id] as number, 1);
		this.#nodes.set(hook.node, (this.#nodes.get(hook.node) ?? 0) + 1);
		this.generation++;
	}

	/** The device is gone: it is due nowhere any more, but late rows still find it. */
	remove(hook: Hook): void {
		const id: number = hook.id;
		if (!this.#on.delete(id)) return;
		const place = this.#place(id, hook.ifindex);
		if (this.#ingressAt.get(place) === id) this.#ingressAt.delete(place);
		if (this.#bridgeEgressAt.get(place) === id) this.#bridgeEgressAt.delete(place);
		this.#count(this.source[id] as number, this.rank[id] as number, -1);
		const left = (this.#nodes.get(hook.node) ?? 1) - 1;
		if (left > 0) this.#nodes.set(hook.node, left);
		else this.#nodes.delete(hook.node);
		this.generation++;
	}

	/** @throws RangeError for an id that was never announced. */
	get(id: number): Hook {
		const hook = this.#hooks[id];
		if (hook === undefined) throw new RangeError(`hook ${id} was never announced`);
		return hook;
	}

	isOn(id: number): boolean {
		return this.#on.has(id);
	}

	/** Hooks that were ever announced, gone ones included. */
	*ids(): Iterable<number> {
		for (let id = 0; id < this.#hooks.length; id++) {
			if (this.rank[id] !== Rank.none) yield id;
		}
	}

	/** Sources by name, whatever the order in which they came. */
	setSources(names: readonly string[]): void {
		const sorted = [...names].sort();
		this.#sourceOrder = names.map((name) => sorted.indexOf(name));
	}

	sourceOrder(source: number): number {
		return this.#sourceOrder[source] ?? source;
	}

	/** How many nodes are watched. */
	get nodes(): number {
		return this.#nodes.size;
	}

	watchesNode(node: string): boolean {
		return this.#nodes.has(node);
	}

	/** Does the source watch a hook of this rank? */
	watchesRank(source: number, rank: number): boolean {
		return (this.#perRank[source * 16 + rank] ?? 0) > 0;
	}

	/** Does the source watch any hook that a packet could still pass after this rank? */
	watchesBeyond(source: number, rank: number): boolean {
		for (let r = rank + 1; r <= Rank.insideIngress; r++) {
			if (this.watchesRank(source, r)) return true;
		}
		return false;
	}

	/** The watched ingress hook of a device in the namespace of `hook`; -1: none. */
	ingressHookAt(hook: number, ifindex: number): number {
		return this.#ingressAt.get(this.#place(hook, ifindex)) ?? -1;
	}

	/** The watched egress hook of the bridge that a port belongs to; -1: none. */
	bridgeEgressOf(port: number): number {
		const master = this.master[port] as number;
		return master === 0 ? -1 : (this.#bridgeEgressAt.get(this.#place(port, master)) ?? -1);
	}

	/**
	 * May a packet that came in by device `cameBy` show `ingress` as its ingress_ifindex at `hook`? A device that is
	 * not watched cannot contradict, and a bridge stands for its ports.
	 */
	ingressFits(hook: number, cameBy: number, ingress: number): boolean {
		if (ingress === 0 || ingress === cameBy) return true;
		if (this.ingressHookAt(hook, ingress) < 0) return true;
		const port = this.ingressHookAt(hook, cameBy);
		return port >= 0 && this.master[port] === ingress;
	}

	/** Is it where packets come off the wire? */
	isEntry(hook: number): boolean {
		const rank = this.rank[hook] as number;
		if (rank === Rank.nicIngress) return true;
		return rank === Rank.tunnelIngress && !this.watchesRank(this.source[hook] as number, Rank.nicIngress);
	}

	/** May a packet that was at `last` come in at `hook`, an ingress hook, under the same skb? */
	entersAfter(hook: number, last: number): boolean {
		const rank = this.rank[hook] as number;
		if (rank === Rank.podIngress) return this.rank[last] === Rank.insideEgress;
		if (rank === Rank.nicIngress) return false;
		if (rank !== Rank.bridgeIngress) return true;
		const master = this.master[last] as number;
		return master === 0 || master === this.ifindex[hook];
	}

	/**
	 * Should a packet whose first sighting is this one have been seen at an earlier hook? Then tracing began in between,
	 * or something was lost.
	 */
	isMidway(hook: number, ingress: number, inner: boolean): boolean {
		const source = this.source[hook] as number;
		const rank = this.rank[hook] as number;
		if (this.egress[hook] === 1) {
			if (rank === Rank.insideEgress) return false;
			if (ingress !== 0) return this.ingressHookAt(hook, ingress) >= 0;
			if (rank === Rank.nicEgress) return inner && this.watchesRank(source, Rank.tunnelEgress);
			return rank === Rank.podEgress && this.bridgeEgressOf(hook) >= 0;
		}
		// What a tunnel without link headers carries (TUN, ipip, WireGuard) is not seen on the NIC below it.
		if (rank === Rank.tunnelIngress) return !this.get(hook).l3 && this.watchesRank(source, Rank.nicIngress);
		return rank === Rank.bridgeIngress && this.#watchesPortOf(hook);
	}

	#watchesPortOf(bridge: number): boolean {
		const ifindex = this.ifindex[bridge] as number;
		for (const id of this.#on) {
			if (this.rank[id] === Rank.podIngress && this.#same(id, bridge) && this.master[id] === ifindex) return true;
		}
		return false;
	}

	#same(a: number, b: number): boolean {
		return this.#netns[a] === this.#netns[b];
	}

	#place(hook: number, ifindex: number): number {
		return (this.#netns[hook] as number) * 2 ** 32 + ifindex;
	}

	#netnsId(name: string): number {
		const known = this.#netnsIds.get(name);
		if (known !== undefined) return known;
		const id = this.#netnsIds.size;
		this.#netnsIds.set(name, id);
		return id;
	}

	#count(source: number, rank: number, by: number): void {
		while (this.#perRank.length < (source + 1) * 16) this.#perRank.push(0);
		this.#perRank[source * 16 + rank] = (this.#perRank[source * 16 + rank] ?? 0) + by;
	}
}
