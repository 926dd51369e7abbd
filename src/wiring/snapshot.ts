import { closeSync, openSync } from "node:fs";
import type { Native, Netlink, Netns } from "../kernel/native.js";
import type { NetnsCookie } from "../packet/hook.js";
import { bridgeNetfilterOf } from "./bridge-netfilter.js";
import { type Candidate, candidates } from "./candidates.js";
import type { Link, Namespace, Wiring } from "./model.js";
import { Request } from "./requests.js";
import { parse } from "./rtnetlink.js";
import { Tables } from "./tables.js";

/** Which node to read, and with what. */
export interface NodeOptions {
	readonly native: Pick<Native, "openNetns" | "openNetlink">;
	/** Name of the node. */
	readonly node: string;
	/** The node's namespace: /proc/1/ns/net, /run/netns/node-a. Null: our own. */
	readonly netns: string | null;
	/** Where the host's filesystem is mounted; null: at /. */
	readonly hostRoot: string | null;
}

export interface Snapshot {
	readonly wiring: Wiring;
	/** What could not be read, one line each, a few at most. */
	readonly warnings: readonly string[];
}

/** Reads a node once. Throws a NativeError when its own namespace cannot be opened or asked. */
export function readWiring(options: NodeOptions): Snapshot {
	const reader = new NodeReader(options);
	try {
		const host = reader.host();
		const { namespaces, warnings } = reader.others(new Map());
		const wiring = {
			node: options.node,
			host: { ...host.described, ...host.tables.contents() },
			others: namespaces.map(({ described, tables }) => ({ ...described, ...tables.contents() })),
		};
		return { wiring, warnings };
	} finally {
		reader.close();
	}
}

/** The links of a namespace (null: our own) as of now, with their counters. */
export function readLinks(native: NodeOptions["native"], path: string | null): readonly Link[] {
	const netns = native.openNetns(path);
	try {
		const netlink = native.openNetlink(netns);
		try {
			return [...dump(netlink, [Request.links()]).links()];
		} finally {
			netlink.close();
		}
	} finally {
		netns.close();
	}
}

/** A namespace's tables, and all of it that is no table. */
export interface ReadNamespace {
	readonly described: Omit<Namespace, "links" | "addresses" | "routes" | "neighbours" | "fdb">;
	readonly tables: Tables;
}

/** A netlink socket in the node's namespace, and what can be asked by it. */
export class NodeReader {
	readonly #options: NodeOptions;
	readonly #netns: Netns;
	readonly #netlink: Netlink;

	constructor(options: NodeOptions) {
		this.#options = options;
		this.#netns = options.native.openNetns(options.netns);
		try {
			this.#netlink = options.native.openNetlink(this.#netns);
		} catch (cause) {
			this.#netns.close();
			throw cause;
		}
	}

	/** Sent and received by a device of the node until now; null: there is none. */
	packets(ifindex: number): number | null {
		try {
			for (const row of parse(this.#netlink.request(Request.link(ifindex)))) {
				if (row.kind === "link") return row.link.statistics.rxPackets + row.link.statistics.txPackets;
			}
		} catch {
			// Gone meanwhile: ENODEV.
		}
		return null;
	}

	get netns(): Netns {
		return this.#netns;
	}

	host(): ReadNamespace {
		const { netns } = this.#options;
		const described = {
			cookie: this.#netns.cookie as NetnsCookie,
			inode: this.#netns.inode,
			path: netns ?? "/proc/self/ns/net",
			name: nameOf(netns),
			nsid: null,
			bridgeNetfilter: bridgeNetfilterOf(this.#netns),
		};
		return { described, tables: dump(this.#netlink, [Request.links(), ...TABLES()]) };
	}

	/**
	 * The namespaces that hang on the node: those that its links' ids lead to. To be asked after `host`, whose dump is
	 * what gives them their ids. Those in `known`, by nsid and inode, are taken as they are.
	 */
	others(known: ReadonlyMap<number, ReadNamespace>): { namespaces: readonly ReadNamespace[]; warnings: string[] } {
		const namespaces: ReadNamespace[] = [];
		const refused: string[] = [];
		for (const candidate of candidates(this.#options.hostRoot)) {
			if (candidate.inode === this.#netns.inode && candidate.device === this.#netns.device) continue;
			try {
				const nsid = this.#nsid(candidate);
				if (nsid === null) continue;
				const before = known.get(nsid);
				namespaces.push(before?.described.inode === candidate.inode ? before : this.#read(candidate, nsid));
			} catch (cause) {
				// A process that ended took its namespace with it.
				if (!GONE.has((cause as NodeJS.ErrnoException).code ?? "")) {
					refused.push(`${candidate.path}: ${(cause as Error).message}`);
				}
			}
		}
		return { namespaces, warnings: summarised(refused) };
	}

	/** Reads a namespace of the node again; null: it is gone. */
	again({ described }: ReadNamespace): ReadNamespace | null {
		try {
			return this.#read({ ...described, device: this.#netns.device }, described.nsid, described.cookie);
		} catch {
			return null;
		}
	}

	/** Reads the routes of the node's own namespace again. */
	routes(tables: Tables): void {
		tables.replaceRoutes(Request.routes().flatMap((request) => [...parse(this.#netlink.request(request))]));
	}

	close(): void {
		this.#netlink.close();
		this.#netns.close();
	}

	/** The id that links use for a namespace; null: no link leads there. */
	#nsid(candidate: Candidate): number | null {
		const fd = openSync(candidate.path, "r");
		try {
			for (const row of parse(this.#netlink.request(Request.nsid(fd)))) {
				if (row.kind === "nsid") return row.nsid < 0 ? null : row.nsid;
			}
			return null;
		} finally {
			closeSync(fd);
		}
	}

	/** `cookie`: the path must still lead to that namespace. */
	#read(candidate: Candidate, nsid: number | null, cookie: string | null = null): ReadNamespace {
		const netns = this.#options.native.openNetns(candidate.path);
		try {
			if (cookie !== null && netns.cookie !== cookie) throw new Error(`${candidate.path} is another namespace now`);
			const netlink = this.#options.native.openNetlink(netns);
			try {
				const described = {
					cookie: netns.cookie as NetnsCookie,
					inode: netns.inode,
					path: candidate.path,
					name: candidate.name,
					nsid,
					bridgeNetfilter: null,
				};
				// A pod's own routes are left out: they would double what is read, and its bridge's network tells the same.
				return { described, tables: dump(netlink, [Request.links(), Request.addresses()]) };
			} finally {
				netlink.close();
			}
		} finally {
			netns.close();
		}
	}
}

const TABLES = () => [Request.addresses(), ...Request.routes(), Request.neighbours(), Request.fdb()];
const GONE = new Set(["ENOENT", "ESRCH", "ENOTDIR", "EACCES", "EINVAL"]);

function dump(netlink: Netlink, requests: readonly Uint8Array[]): Tables {
	const tables = new Tables();
	for (const request of requests) for (const row of parse(netlink.request(request))) tables.load(row);
	return tables;
}

function nameOf(path: string | null): string | null {
	return /^(?:\/var)?\/run\/netns\/([^/]+)$/.exec(path ?? "")?.[1] ?? null;
}

const SHOWN = 3;

function summarised(lines: readonly string[]): string[] {
	const more = lines.length - SHOWN;
	return more > 0 ? [...lines.slice(0, SHOWN), `and ${more} more namespaces could not be read`] : [...lines];
}
