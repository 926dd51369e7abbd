import type { Native, NetlinkMonitor } from "../kernel/native.js";
import { bridgeNetfilterOf } from "./bridge-netfilter.js";
import type { Link, Wiring } from "./model.js";
import { messages, NetlinkFormatError } from "./netlink.js";
import { parse } from "./rtnetlink.js";
import { Rtm } from "./rtnetlink-values.js";
import { Settling } from "./settling.js";
import { type NodeOptions, NodeReader, type ReadNamespace } from "./snapshot.js";

export interface WatchOptions extends NodeOptions {
	readonly native: Pick<Native, "openNetns" | "openNetlink" | "monitorNetlink">;
}

/** What has changed on a node. Links are told at once, one by one; everything else within 20 ms, together. */
export type WiringChange =
	| { readonly kind: "link"; readonly change: "added" | "changed" | "removed"; readonly link: Link }
	/** Addresses, routes, neighbours, FDB, or the namespaces behind the veths. */
	| { readonly kind: "tables" };

/**
 * A node's wiring, kept current by rtnetlink's events: of its own namespace, and of those that hang on it. When the
 * kernel had to drop events, everything is read again and the difference told. Keeps the event loop alive until closed.
 */
export class WiringWatch {
	readonly #options: WatchOptions;
	readonly #reader: NodeReader;
	readonly #onChange: (change: WiringChange) => void;
	readonly #monitor: NetlinkMonitor;
	#host: ReadNamespace;
	/** By nsid. */
	#others = new Map<number, ReadNamespace>();
	#wiring: Wiring | null = null;
	#warnings: readonly string[] = [];
	/** Namespaces whose tables are out of date. */
	readonly #stale = new Set<number>();
	#rescan = false;
	#routesStale = false;
	#tablesChanged = false;
	readonly #settling = new Settling(SETTLE_MS, () => this.#safely(() => this.#settle()));
	#retry: NodeJS.Timeout | null = null;
	#slow: NodeJS.Timeout | null = null;
	#recovery: NodeJS.Timeout | null = null;
	#bridgeNetfilter: ReturnType<typeof bridgeNetfilterOf> = null;
	#closed = false;
	#attempts = 0;
	#overruns = 0;

	/** Throws a NativeError when the node's namespace cannot be opened. */
	constructor(options: WatchOptions, onChange: (change: WiringChange) => void) {
		this.#options = options;
		this.#onChange = onChange;
		this.#reader = new NodeReader(options);
		try {
			// Listen first, read then: what happens in between is told twice rather than never.
			this.#monitor = options.native.monitorNetlink(this.#reader.netns, GROUPS, true, (bytes, nsid) =>
				this.#events(bytes, nsid),
			);
			this.#host = this.#reader.host();
			this.#bridgeNetfilter = this.#host.described.bridgeNetfilter ?? null;
			this.#scan();
			this.#followBridgeNetfilter();
		} catch (cause) {
			this.#reader.close();
			throw cause;
		}
	}

	/** As of the last event; the same object until something changes. */
	get wiring(): Wiring {
		this.#wiring ??= {
			node: this.#options.node,
			host: {
				...this.#host.described,
				bridgeNetfilter: this.#bridgeNetfilter,
				...this.#host.tables.contents(),
			},
			others: [...this.#others.values()].map(({ described, tables }) => ({ ...described, ...tables.contents() })),
		};
		return this.#wiring;
	}

	/** Packets that a device of the node has sent and received so far; null: it is gone. */
	packets(ifindex: number): number | null {
		return this.#reader.packets(ifindex);
	}

	get warnings(): readonly string[] {
		return this.#warnings;
	}

	/** How often the kernel dropped events and all was read again. */
	get overruns(): number {
		return this.#overruns;
	}

	close(): void {
		this.#closed = true;
		this.#settling.cancel();
		for (const timer of [this.#retry, this.#slow, this.#recovery]) if (timer !== null) clearTimeout(timer);
		this.#retry = null;
		this.#monitor.close();
		this.#reader.close();
	}

	/** A sysctl has no events: it is read again every few seconds. */
	#followBridgeNetfilter(): void {
		this.#slow = setTimeout(() => {
			const before = this.#bridgeNetfilter;
			const bridgeNetfilter = bridgeNetfilterOf(this.#reader.netns);
			if (before?.ipv4 !== bridgeNetfilter?.ipv4 || before?.ipv6 !== bridgeNetfilter?.ipv6) {
				this.#bridgeNetfilter = bridgeNetfilter;
				this.#wiring = null;
				this.#tablesChanged = true;
				this.#settling.changed();
			}
			this.#followBridgeNetfilter();
		}, SYSCTL_MS);
		this.#slow.unref();
	}

	#events(bytes: Uint8Array | null, nsid: number): void {
		if (bytes === null) {
			this.#overruns++;
			this.#safely(() => this.#readAll());
			return;
		}
		if (nsid >= 0) {
			// Of other namespaces nobody asks for neighbours, which come and go all the time.
			if (isOfNeighbours(bytes)) return;
			this.#stale.add(nsid);
			this.#settling.changed();
			return;
		}
		try {
			for (const row of parse(bytes)) {
				if (row.kind === "nsid") this.#nsid(row.nsid, row.gone);
				else this.#apply(row);
			}
		} catch (cause) {
			if (!(cause instanceof NetlinkFormatError)) throw cause;
			this.#safely(() => this.#readAll());
		}
	}

	/**
	 * Reading may fail for reasons that pass (no memory, no descriptors): then what was known stays, a warning says so, and
	 * everything is read again a second later.
	 */
	#safely(body: () => void): void {
		try {
			body();
		} catch (cause) {
			this.#warnings = [`the wiring of ${this.#options.node} is out of date: ${(cause as Error).message}`];
			if (this.#closed || this.#recovery !== null) return;
			this.#recovery = setTimeout(() => {
				this.#recovery = null;
				this.#safely(() => this.#readAll());
			}, RECOVERY_MS);
		}
	}

	#apply(row: Parameters<ReadNamespace["tables"]["apply"]>[0]): void {
		const change = this.#host.tables.apply(row);
		if (change.kind === "none") return;
		this.#wiring = null;
		if (change.kind === "entry") {
			this.#tablesChanged = true;
			this.#settling.changed();
			return;
		}
		this.#linkChanged(change.link, change.change);
	}

	#linkChanged(link: Link, change: "added" | "changed" | "removed"): void {
		if (link.kind === "veth" && !this.#isPaired(link)) {
			this.#rescan = true;
			this.#attempts = 0;
		}
		// The kernel does not tell which routes a device that goes down takes with it (fib_frontend.c, fib_disable_ip).
		this.#routesStale = true;
		this.#settling.changed();
		this.#onChange({ kind: "link", change, link });
	}

	/** Ids are given again: what hung on a gone one is forgotten at once. */
	#nsid(nsid: number, gone: boolean): void {
		if (gone && this.#others.delete(nsid)) {
			this.#wiring = null;
			this.#tablesChanged = true;
		}
		if (!gone) this.#rescan = true;
		this.#settling.changed();
	}

	#settle(): void {
		for (const nsid of this.#stale) this.#reread(nsid);
		this.#stale.clear();
		if (this.#routesStale) {
			this.#routesStale = false;
			this.#reader.routes(this.#host.tables);
			this.#tablesChanged = true;
		}
		if (this.#rescan) {
			this.#rescan = false;
			this.#scan();
			this.#tablesChanged = true;
		}
		if (!this.#tablesChanged) return;
		this.#tablesChanged = false;
		this.#wiring = null;
		this.#onChange({ kind: "tables" });
	}

	#reread(nsid: number): void {
		const known = this.#others.get(nsid);
		if (known === undefined) {
			// A namespace that we have no path to yet.
			this.#rescan = true;
			return;
		}
		const fresh = this.#reader.again(known);
		if (fresh === null) {
			this.#others.delete(nsid);
			this.#rescan = true;
		} else {
			this.#others.set(nsid, fresh);
		}
		this.#tablesChanged = true;
	}

	/** Looks for namespaces; again, ever less often for 5 s, while a veth's other end is not found. */
	#scan(): void {
		const { namespaces, warnings } = this.#reader.others(this.#others);
		this.#others = new Map(namespaces.map((one) => [one.described.nsid ?? -1, one]));
		this.#warnings = warnings;
		this.#wiring = null;
		const missing = [...this.#host.tables.links()].some((link) => link.kind === "veth" && !this.#isPaired(link));
		if (!missing || this.#retry !== null || this.#attempts >= RETRIES_MS.length) return;
		this.#retry = setTimeout(
			() => {
				this.#retry = null;
				this.#rescan = true;
				this.#settling.changed();
			},
			RETRIES_MS[this.#attempts++],
		);
	}

	#isPaired(link: Link): boolean {
		if (link.peer === null || link.peerNsid === null) return true;
		return this.#others.get(link.peerNsid)?.tables.link(link.peer)?.peer === link.ifindex;
	}

	/** After an overrun, or a message that made no sense. */
	#readAll(): void {
		const before = this.#host.tables;
		this.#host = this.#reader.host();
		this.#others.clear();
		this.#attempts = 0;
		this.#scan();
		for (const link of before.links()) {
			if (this.#host.tables.link(link.ifindex) === null) this.#onChange({ kind: "link", change: "removed", link });
		}
		for (const link of this.#host.tables.links()) {
			const change = before.apply({ kind: "link", gone: false, link });
			if (change.kind === "link") this.#onChange(change);
		}
		this.#tablesChanged = true;
		this.#settling.changed();
	}
}

function isOfNeighbours(bytes: Uint8Array): boolean {
	try {
		for (const { type } of messages(bytes)) if (type !== Rtm.newNeighbour && type !== Rtm.delNeighbour) return false;
		return true;
	} catch {
		return false;
	}
}

/** RTNLGRP_LINK, NEIGH (with FDB), IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE, NSID. */
const GROUPS = [1, 3, 5, 7, 9, 11, 28];
const SETTLE_MS = 15;
const RECOVERY_MS = 1000;
const SYSCTL_MS = 30_000;
const RETRIES_MS = [20, 50, 100, 250, 500, 1000, 1000, 2000];
