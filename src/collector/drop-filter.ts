import type { Expression } from "../filter/ast.js";
import {
	compilePacket,
	type NameResolver,
	type Packets,
	type PacketTest,
	type TupleWords,
} from "../filter/evaluate.js";
import type { KernelDrop } from "../kernel/drops.js";
import { type AddressWords, parseWords } from "../packet/addresses.js";
import { EventFlag } from "../packet/sightings.js";

/** A FILTER for single dropped packets, as tcpdump would have decided where they were. */
export function dropTest(filter: Expression, resolve: NameResolver): (drop: KernelDrop) => boolean {
	const test: PacketTest = compilePacket(filter, resolve);
	return (drop) => test(new OneDrop(drop), 0);
}

/** A drop record begins at the network header; lengths in filters count the Ethernet header, too. */
const ETHERNET = 14;
const NOWHERE: AddressWords = [0, 0, 0, 0];

/** One packet: its only index is 0. */
class OneDrop implements Packets {
	readonly tuples: TupleWords;
	readonly #drop: KernelDrop;

	constructor(drop: KernelDrop) {
		this.#drop = drop;
		const words = [...wordsOf(drop.source), ...wordsOf(drop.destination)];
		this.tuples = {
			word: (_, index) => words[index] ?? 0,
			sourcePort: () => drop.sourcePort,
			destinationPort: () => drop.destinationPort,
			family: () => drop.flags & EventFlag.familyMask,
			protocol: () => drop.protocol,
		};
	}

	tuple(): number {
		return this.#drop.source === null ? 0 : 1;
	}
	flags(): number {
		return this.#drop.flags;
	}
	length(): number {
		return this.#drop.length + ETHERNET;
	}
	tcpFlags(): number {
		return this.#drop.tcpFlags;
	}
	ttl(): number {
		return this.#drop.ttl;
	}
	vlan(): number {
		return 0;
	}
	sequence(): number {
		return this.#drop.sequence;
	}
	acknowledgement(): number {
		return this.#drop.acknowledgement;
	}
	window(): number {
		return 0;
	}
	ipId(): number {
		return this.#drop.ipId;
	}
}

function wordsOf(address: string | null): AddressWords {
	return address === null ? NOWHERE : (parseWords(address) ?? NOWHERE);
}
