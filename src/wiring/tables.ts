import type { Address, BridgePort, FdbEntry, Link, Namespace, Neighbour, Route } from "./model.js";
import { isUnresolved } from "./namespace.js";
import type { Rtnetlink } from "./rtnetlink.js";

/** What a row of a dump or an event did to the tables. */
export type TableChange =
	| { readonly kind: "link"; readonly change: "added" | "changed" | "removed"; readonly link: Link }
	/** Another table than the links'. */
	| { readonly kind: "entry" }
	/** Nothing that matters: counters, or a neighbour that was confirmed once more. */
	| { readonly kind: "none" };

/** The tables of one namespace, kept current by rtnetlink: rows of a dump and events are applied alike. */
export class Tables {
	readonly #links = new Map<number, Link>();
	readonly #addresses = new Map<string, Address>();
	readonly #routes = new Map<string, Route>();
	readonly #neighbours = new Map<string, Neighbour>();
	readonly #fdb = new Map<string, FdbEntry>();

	link(ifindex: number): Link | null {
		return this.#links.get(ifindex) ?? null;
	}

	links(): Iterable<Link> {
		return this.#links.values();
	}

	apply(row: Rtnetlink): TableChange {
		switch (row.kind) {
			case "link":
				return row.gone ? this.#unlink(row.link) : this.#link(row.link);
			case "port":
				return this.#port(row.ifindex, row.port);
			case "address":
				return put(this.#addresses, addressKey(row.address), row.address, row.gone);
			case "route":
				return this.#route(row.routes, row.gone);
			case "neighbour":
				return put(this.#neighbours, neighbourKey(row.neighbour), row.neighbour, row.gone, sameNeighbour);
			case "fdb":
				return put(this.#fdb, fdbKey(row.entry), row.entry, row.gone, sameFdb);
			case "nsid":
			case "ignored":
				return NONE;
		}
	}

	/** A row of a dump into tables that were empty: nothing is replaced, nobody is told. */
	load(row: Rtnetlink): void {
		if (row.kind === "route") for (const route of row.routes) this.#routes.set(routeKey(route), route);
		else this.apply(row);
	}

	/** All routes anew, as dumped. */
	replaceRoutes(rows: Iterable<Rtnetlink>): void {
		this.#routes.clear();
		for (const row of rows) if (row.kind === "route") this.load(row);
	}

	contents(): Pick<Namespace, "links" | "addresses" | "routes" | "neighbours" | "fdb"> {
		return {
			links: [...this.#links.values()].sort((a, b) => a.ifindex - b.ifindex),
			addresses: [...this.#addresses.values()],
			routes: [...this.#routes.values()],
			neighbours: [...this.#neighbours.values()],
			fdb: [...this.#fdb.values()],
		};
	}

	#link(link: Link): TableChange {
		const before = this.#links.get(link.ifindex);
		this.#links.set(link.ifindex, link);
		if (before === undefined) return { kind: "link", change: "added", link };
		return sameLink(before, link) ? NONE : { kind: "link", change: "changed", link };
	}

	#port(ifindex: number, port: BridgePort): TableChange {
		const link = this.#links.get(ifindex);
		return link?.port == null ? NONE : this.#link({ ...link, port });
	}

	/** With a device go its rows: the kernel does not tell of each (fib_disable_ip flushes without a message). */
	#unlink(link: Link): TableChange {
		if (!this.#links.delete(link.ifindex)) return NONE;
		for (const table of [this.#addresses, this.#routes, this.#neighbours, this.#fdb]) {
			for (const [key, { ifindex }] of table) if (ifindex === link.ifindex) table.delete(key);
		}
		return { kind: "link", change: "removed", link };
	}

	#route(routes: readonly Route[], gone: boolean): TableChange {
		let changed = false;
		// A route that replaces another (NLM_F_REPLACE) is told once, as new: the old one has the same key but for the way.
		const [first] = routes;
		if (first !== undefined && !gone) {
			for (const [key, old] of this.#routes) {
				if (sameRouteSlot(old, first) && !routes.some((route) => routeKey(route) === key)) {
					this.#routes.delete(key);
					changed = true;
				}
			}
		}
		for (const route of routes) {
			const change = put(this.#routes, routeKey(route), route, gone);
			changed ||= change.kind !== "none";
		}
		return changed ? ENTRY : NONE;
	}
}

const NONE: TableChange = { kind: "none" };
const ENTRY: TableChange = { kind: "entry" };

function put<V>(
	table: Map<string, V>,
	key: string,
	value: V,
	gone: boolean,
	same: (a: V, b: V) => boolean = (a, b) => JSON.stringify(a) === JSON.stringify(b),
): TableChange {
	if (gone) return table.delete(key) ? ENTRY : NONE;
	const before = table.get(key);
	table.set(key, value);
	return before !== undefined && same(before, value) ? NONE : ENTRY;
}

function addressKey({ ifindex, address, prefix }: Address): string {
	return `${ifindex} ${address}/${prefix}`;
}

function neighbourKey({ ifindex, address }: Neighbour): string {
	return `${ifindex} ${address}`;
}

/** A group's MAC may have several destinations (vxlan_core.c, vxlan_fdb_append); any other has the last it was given. */
function fdbKey({ ifindex, mac, vlan, master, destination }: FdbEntry): string {
	const isGroup = mac === "00:00:00:00:00:00" || (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
	return `${ifindex} ${mac} ${vlan ?? ""} ${master ?? ""} ${isGroup ? (destination ?? "") : ""}`;
}

function routeKey({ destination, table, metric, type, ifindex, gateway }: Route): string {
	return `${table} ${destination} ${metric} ${type} ${ifindex ?? ""} ${gateway ?? ""}`;
}

/** IPv4 holds one route per destination, table, metric and (for us) kind; IPv6 appends more next hops one by one. */
function sameRouteSlot(a: Route, b: Route): boolean {
	return (
		a.destination === b.destination &&
		a.table === b.table &&
		a.metric === b.metric &&
		a.type === b.type &&
		a.type === UNICAST &&
		!a.destination.includes(":")
	);
}

const UNICAST = 1;

function sameLink(a: Link, b: Link): boolean {
	return JSON.stringify({ ...a, statistics: null }) === JSON.stringify({ ...b, statistics: null });
}

function sameNeighbour(a: Neighbour, b: Neighbour): boolean {
	return a.mac === b.mac && isUnresolved(a) === isUnresolved(b);
}

function sameFdb(a: FdbEntry, b: FdbEntry): boolean {
	return a.ifindex === b.ifindex && a.destination === b.destination;
}
