import type { Expression } from "../filter/ast.js";
import {
	compilePacket,
	endAt,
	type NameResolver,
	type Packets,
	type PacketTest,
	type TupleWords,
} from "../filter/evaluate.js";
import type { ResolvedEnd } from "../filter/resolve.js";
import type { KernelDrop } from "../kernel/drops.js";
import { type AddressWords, parseWords } from "../packet/addresses.js";
import { EventFlag } from "../packet/sightings.js";

/** Ends and FILTER for single dropped packets, as tcpdump would have decided where they were. */
export function dropTest(
	filter: Expression,
	ends: { readonly from: ResolvedEnd; readonly to: ResolvedEnd },
	resolve: NameResolver,
): (drop: KernelDrop) => boolean {
	const test: PacketTest = compilePacket(filter, resolve);
	const between = (from: ResolvedEnd, to: ResolvedEnd): PacketTest => {
		const [source, destination] = [endAt(from, SOURCE), endAt(to, DESTINATION)];
		return (packets, i) => source(packets, i) && destination(packets, i);
	};
	const [there, back] = [between(ends.from, ends.to), between(ends.to, ends.from)];
	return (drop) => {
		const packet = new OneDrop(drop);
		return test(packet, 0) && (there(packet, 0) || back(packet, 0));
	};
}

/** Where the words of an address begin in a tuple. */
const SOURCE = 0;
const DESTINATION = 4;

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
