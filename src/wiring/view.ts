import type { NetnsCookie, Role } from "../packet/hook.js";
import type { Link, Wiring } from "./model.js";
import { NamespaceView } from "./namespace.js";
import { role } from "./roles.js";

/** Who is at the other end of a link. `ambiguous`: the two ends do not point at each other, or one cannot be seen. */
export type Peer =
	| { readonly kind: "paired"; readonly namespace: NamespaceView; readonly link: Link }
	| { readonly kind: "ambiguous"; readonly reason: string }
	| { readonly kind: "none" };

/** One snapshot of a node with its indexes: peers, roles and who has which address. */
export class WiringView {
	readonly wiring: Wiring;
	readonly host: NamespaceView;
	readonly others: readonly NamespaceView[];
	readonly #byNsid: ReadonlyMap<number, NamespaceView>;
	readonly #byCookie: ReadonlyMap<NetnsCookie, NamespaceView>;
	readonly #roles: ReadonlyMap<number, Role>;
	readonly #veths: ReadonlyMap<string, readonly Link[]>;
	readonly #inside: ReadonlyMap<NetnsCookie, readonly Link[]>;

	constructor(wiring: Wiring) {
		this.wiring = wiring;
		this.host = new NamespaceView(wiring.host);
		this.others = wiring.others.map((namespace) => new NamespaceView(namespace));
		this.#byNsid = new Map(
			this.others.flatMap((view) => (view.namespace.nsid === null ? [] : [[view.namespace.nsid, view]])),
		);
		this.#byCookie = new Map([this.host, ...this.others].map((view) => [view.namespace.cookie, view]));
		this.#roles = new Map(wiring.host.links.map((link) => [link.ifindex, role(this.host, link)]));
		const veths = new Map<string, Link[]>();
		const inside = new Map<NetnsCookie, Link[]>();
		for (const link of wiring.host.links) {
			const peer = this.peer(link);
			if (peer.kind !== "paired" || peer.namespace === this.host) continue;
			append(inside, peer.namespace.namespace.cookie, link);
			for (const address of peer.namespace.namespace.addresses) {
				if (address.ifindex === peer.link.ifindex) append(veths, address.address, link);
			}
		}
		this.#veths = veths;
		this.#inside = inside;
	}

	namespace(cookie: NetnsCookie): NamespaceView | null {
		return this.#byCookie.get(cookie) ?? null;
	}

	/** Of a device in the node's own namespace. */
	role(ifindex: number): Role {
		return this.#roles.get(ifindex) ?? "host";
	}

	/** The other end of a veth in the node's namespace, accepted only when both point at each other. */
	peer(link: Link): Peer {
		if (link.kind !== "veth" || link.peer === null) return { kind: "none" };
		const namespace = link.peerNsid === null ? this.host : this.#byNsid.get(link.peerNsid);
		if (namespace === undefined) {
			return { kind: "ambiguous", reason: `no namespace with id ${link.peerNsid} was found` };
		}
		const peer = namespace.link(link.peer);
		if (peer === null) return { kind: "ambiguous", reason: `${namespace.namespace.path} has no link ${link.peer}` };
		if (peer.peer !== link.ifindex || (peer.peerNsid === null) !== (link.peerNsid === null)) {
			return { kind: "ambiguous", reason: `${peer.name} there points at ${peer.peer}, not back` };
		}
		return { kind: "paired", namespace, link: peer };
	}

	/** Host ends of the veths whose other end has the address; more than one where an address is held twice. */
	vethsByAddress(address: string): readonly Link[] {
		return this.#veths.get(address) ?? [];
	}

	/** Host ends of the veths that lead into a namespace. */
	vethsInto(cookie: NetnsCookie): readonly Link[] {
		return this.#inside.get(cookie) ?? [];
	}
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
	const values = map.get(key);
	if (values === undefined) map.set(key, [value]);
	else values.push(value);
}
