import type { Netlink } from "../kernel/native.js";
import { messages, request } from "../wiring/netlink.js";

/**
 * The number that nf_tables gives to the rules of a namespace as they are (nf_tables_api.c, nft_base_seq): every commit,
 * by nft or by an iptables over it, raises it. To ask is one message; to list the rules takes three processes.
 */
export class RuleGeneration {
	readonly #netlink: Netlink;

	/** @param netlink of NETLINK_NETFILTER, in the node's namespace */
	constructor(netlink: Netlink) {
		this.#netlink = netlink;
	}

	/** Null: the kernel does not say. */
	read(): number | null {
		try {
			return parseGeneration(this.#netlink.request(REQUEST));
		} catch {
			return null;
		}
	}

	close(): void {
		this.#netlink.close();
	}
}

/** Of NFT_MSG_NEWGEN. Null: it holds none. */
export function parseGeneration(bytes: Uint8Array): number | null {
	for (const { type, body } of messages(bytes)) {
		if (type !== NEW_GENERATION) continue;
		// struct nfgenmsg has four bytes; NFTA_GEN_ID is in network order.
		const id = body.attributes(4).span(NFTA_GEN_ID)?.exactly(4);
		if (id !== undefined) return id.be16(0) * 2 ** 16 + id.be16(2);
	}
	return null;
}

const NFNL_SUBSYS_NFTABLES = 10;
const NEW_GENERATION = (NFNL_SUBSYS_NFTABLES << 8) | 15;
const GET_GENERATION = (NFNL_SUBSYS_NFTABLES << 8) | 16;
const NFTA_GEN_ID = 1;
const REQUEST = request(GET_GENERATION, 0, new Uint8Array(4));
