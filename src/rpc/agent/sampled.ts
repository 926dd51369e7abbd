import { EventFlag, type Sightings } from "../../packet/sightings.js";

const TCP = 6;

/**
 * Whether a trace that keeps one packet in `sample` keeps this one: what weft_is_sampled of bpf/sample.h says, by the
 * record. For those who asked for fewer packets than others do, whom the kernel gives them all.
 */
export function isSampled(
	{ flags, tsval, sequence, ipId, hash }: Pick<Sightings, "flags" | "tsval" | "sequence" | "ipId" | "hash">,
	row: number,
	protocol: number,
	sample: number,
): boolean {
	const has = flags[row] as number;
	if ((has & EventFlag.hasTsval) !== 0) return keeps(protocol, tsval[row] as number, sample);
	if (protocol === TCP && (has & EventFlag.hasPorts) !== 0) {
		return keeps(protocol, (sequence[row] as number) >>> 16, sample);
	}
	const id = ipId[row] as number;
	return keeps(protocol, id === 0 ? ((hash[row] as number) ^ (sequence[row] as number)) >>> 0 : id, sample);
}

/** WEFT_ODD_1 and WEFT_ODD_8 of bpf/mix.h, in halves. */
const [ODD_1_HIGH, ODD_1_LOW] = [0x6a09e667, 0xf3bcc909];
const [ODD_8_HIGH, ODD_8_LOW] = [0x5be0cd19, 0x137e2179];

/** weft_finish((protocol | value << 8) * WEFT_ODD_1) lies in the first of `sample` equal parts. Two halves for a u64. */
function keeps(protocol: number, value: number, sample: number): boolean {
	const low = (protocol | (value << 8)) >>> 0;
	const high = value >>> 24;
	const sumHigh = (Math.imul(low, ODD_1_HIGH) + Math.imul(high, ODD_1_LOW) + carried(low, ODD_1_LOW)) >>> 0;
	const mixed = (Math.imul(low, ODD_1_LOW) ^ sumHigh) >>> 0;
	const last = (Math.imul(mixed, ODD_8_HIGH) + Math.imul(sumHigh, ODD_8_LOW) + carried(mixed, ODD_8_LOW)) >>> 0;
	return ((last ^ (last >>> 29)) >>> 0) * sample < 2 ** 32;
}

/** The upper half of the product of two u32. */
function carried(a: number, b: number): number {
	const [aHigh, aLow] = [a >>> 16, a & 0xffff];
	const [bHigh, bLow] = [b >>> 16, b & 0xffff];
	const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
	const lower = (middle & 0xffff) + aLow * bHigh;
	return aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(lower / 65536);
}
