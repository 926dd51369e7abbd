/**
 * Which parts of a path's range a hop has seen: 64 bits, each for a unit of the range (a segment; several where there
 * are more than 64). Bit n is unit n; the low word holds 0…31.
 */

export const MAX_UNITS = 64;

/** Bits [from, to) that lie in the low word. */
export function lowBits(from: number, to: number): number {
	return bits(Math.min(from, 32), Math.min(to, 32));
}

/** Bits [from, to) that lie in the high word. */
export function highBits(from: number, to: number): number {
	return bits(Math.max(from - 32, 0), Math.max(to - 32, 0));
}

/** Units that a range of `span` has. */
export function unitsOf(span: number, unit: number): number {
	return unit === 0 ? 1 : Math.min(MAX_UNITS, Math.max(1, Math.ceil(span / unit)));
}

/** Bits [from, to), both in 0…32. */
function bits(from: number, to: number): number {
	if (to <= from) return 0;
	const width = to - from;
	return width === 32 ? 0xffffffff : (((1 << width) - 1) << from) >>> 0;
}
