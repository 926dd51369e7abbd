import { allocateSightings } from "../packet/columns.js";
import type { Sightings } from "../packet/sightings.js";
import type { Expression } from "./ast.js";
import { compilePacket, type NameResolver, type Packets, type TupleWords } from "./evaluate.js";

/** Whether row `row` of a batch passes; its tuple ids are those of `tuples`. */
export type ColumnTest = (rows: Sightings, row: number, tuples: TupleWords) => boolean;

/**
 * A FILTER for one packet at one hook: what tcpdump on that hook would print. Compiled once; a call allocates nothing.
 *
 * It differs from libpcap 1.10 where that does not look: ports, flags and protocols are seen behind IPv6 extension
 * headers (`tcp[…]` over IPv6 is empty there) and behind a VLAN tag without the word `vlan` (as tcpdump does live, but
 * not from a file); a packet inside VXLAN is judged by its own headers; `vlan` looks at the outermost tag alone, in any
 * place of the expression; a packet too short for a header fails that primitive and not the whole expression.
 */
export function columnTest(expression: Expression, resolve: NameResolver): ColumnTest {
	const test = compilePacket(expression, resolve);
	const packets = new Rows();
	return (rows, row, tuples) => {
		packets.rows = rows;
		packets.tuples = tuples;
		return test(packets, row);
	};
}

const NO_ROWS = allocateSightings(0);
const NO_TUPLES: TupleWords = {
	word: () => 0,
	sourcePort: () => 0,
	destinationPort: () => 0,
	family: () => 0,
	protocol: () => 0,
};

class Rows implements Packets {
	rows: Sightings = NO_ROWS;
	tuples: TupleWords = NO_TUPLES;

	tuple(i: number): number {
		return this.rows.tuple[i] as number;
	}
	flags(i: number): number {
		return this.rows.flags[i] as number;
	}
	length(i: number): number {
		return this.rows.length[i] as number;
	}
	tcpFlags(i: number): number {
		return this.rows.tcpFlags[i] as number;
	}
	ttl(i: number): number {
		return this.rows.ttl[i] as number;
	}
	vlan(i: number): number {
		return this.rows.vlan[i] as number;
	}
	sequence(i: number): number {
		return this.rows.sequence[i] as number;
	}
	acknowledgement(i: number): number {
		return this.rows.acknowledgement[i] as number;
	}
	window(i: number): number {
		return this.rows.window[i] as number;
	}
	ipId(i: number): number {
		return this.rows.ipId[i] as number;
	}
}
