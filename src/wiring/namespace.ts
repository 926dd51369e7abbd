import { type AddressWords, type Prefix, parsePrefix, parseWords, prefixContains } from "../packet/addresses.js";
import type { FdbEntry, Link, Namespace, Neighbour, Route } from "./model.js";

/** NUD_* (linux/neighbour.h). */
const Nud = { incomplete: 0x01, failed: 0x20 } as const;
/** RTN_* (linux/rtnetlink.h). */
export const RouteType = { unicast: 1, local: 2, blackhole: 6, unreachable: 7, prohibit: 8 } as const;
/** RT_TABLE_*: what `ip rule` holds by default. */
const Table = { default: 253, main: 254, local: 255 } as const;

/** Questions that one namespace answers from its tables, as the kernel would; made once per snapshot. */
export class NamespaceView {
	readonly namespace: Namespace;
	readonly #links: ReadonlyMap<number, Link>;
	/** Put in order when the first is looked up: most snapshots are never asked. */
	#ipv4: readonly Entry[] | null = null;
	#ipv6: readonly Entry[] | null = null;
	readonly #local: ReadonlyMap<string, number>;
	readonly #neighbours: ReadonlyMap<string, Neighbour>;
	readonly #fdb: ReadonlyMap<string, readonly FdbEntry[]>;

	constructor(namespace: Namespace) {
		this.namespace = namespace;
		this.#links = new Map(namespace.links.map((link) => [link.ifindex, link]));
		this.#local = new Map(namespace.addresses.map((address) => [address.address, address.ifindex]));
		this.#neighbours = new Map(namespace.neighbours.map((one) => [`${one.ifindex} ${one.address}`, one]));
		this.#fdb = grouped(namespace.fdb);
	}

	link(ifindex: number | null): Link | null {
		return ifindex === null ? null : (this.#links.get(ifindex) ?? null);
	}

	/** Which device has the address; null: none, it is not local. */
	localDevice(address: string): Link | null {
		return this.link(this.#local.get(address) ?? null);
	}

	isLocal(address: string): boolean {
		return this.#local.has(address) || this.lookup(address)?.type === RouteType.local;
	}

	/**
	 * The route to an address: the local table first, then the longest prefix, then the least metric. Policy rules
	 * (`ip rule`) are not read: tables other than local, main and default are left out.
	 */
	lookup(address: string): Route | null {
		const words = parseWords(address);
		if (words === null) return null;
		return this.#entries(address.includes(":")).find(({ prefix }) => prefixContains(prefix, words))?.route ?? null;
	}

	#entries(ipv6: boolean): readonly Entry[] {
		if (ipv6) {
			this.#ipv6 ??= table(this.namespace, true);
			return this.#ipv6;
		}
		this.#ipv4 ??= table(this.namespace, false);
		return this.#ipv4;
	}

	neighbour(ifindex: number, address: string): Neighbour | null {
		return this.#neighbours.get(`${ifindex} ${address}`) ?? null;
	}

	/** FDB entries for a MAC: on every bridge and tunnel. */
	fdb(mac: string): readonly FdbEntry[] {
		return this.#fdb.get(mac) ?? [];
	}

	/** Ports of a bridge. */
	ports(bridge: number): readonly Link[] {
		return this.namespace.links.filter((link) => link.master === bridge);
	}

	/** Does one of the device's own prefixes hold the address: is it reached without a gateway? */
	onLink(ifindex: number, address: string): boolean {
		const words = parseWords(address);
		if (words === null) return false;
		return this.namespace.addresses.some(
			(own) => own.ifindex === ifindex && contains(`${own.address}/${own.prefix}`, words),
		);
	}
}

/** Did address resolution fail, or is it still under way? */
export function isUnresolved(neighbour: Neighbour): boolean {
	return (neighbour.state & (Nud.failed | Nud.incomplete)) !== 0 || neighbour.mac === null;
}

/** Is the address in the prefix (CIDR)? */
export function contains(cidr: string, address: AddressWords | string): boolean {
	const prefix = parsePrefix(cidr);
	const words = typeof address === "string" ? parseWords(address) : address;
	return prefix !== null && words !== null && prefixContains(prefix, words);
}

type Entry = { readonly prefix: Prefix; readonly route: Route };

/** The entries of one family, in the order in which the kernel would take them. */
function table(namespace: Namespace, ipv6: boolean): readonly Entry[] {
	return namespace.routes
		.filter(
			({ destination, table }) => destination.includes(":") === ipv6 && table >= Table.default && table <= Table.local,
		)
		.flatMap((route) => {
			const prefix = parsePrefix(route.destination);
			return prefix === null ? [] : [{ prefix, route }];
		})
		.sort(byPreference);
}

function byPreference(a: Entry, b: Entry): number {
	return (
		rank(a.route) - rank(b.route) ||
		b.prefix.bits - a.prefix.bits ||
		Number(a.route.linkdown) - Number(b.route.linkdown) ||
		a.route.metric - b.route.metric
	);
}

function rank({ table }: Route): number {
	return table === Table.local ? 0 : table === Table.main ? 1 : 2;
}

function grouped(entries: readonly FdbEntry[]): Map<string, FdbEntry[]> {
	const groups = new Map<string, FdbEntry[]>();
	for (const entry of entries) {
		const group = groups.get(entry.mac);
		if (group === undefined) groups.set(entry.mac, [entry]);
		else group.push(entry);
	}
	return groups;
}
