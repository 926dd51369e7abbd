/** What maps hold, as the kernel copies it: machine byte order, per-CPU values rounded up to 8 bytes. */

export function u32Key(number: number): Uint8Array {
	return new Uint8Array(Uint32Array.of(number).buffer);
}

/** Exact up to 2⁵³. */
export function u64(view: DataView, offset: number): number {
	return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
}

/** The values of a per-CPU map's look-up, one after the other: a view and where each begins. */
export function* perCpu(values: Uint8Array | null, size: number): Generator<readonly [DataView, number]> {
	if (values === null) return;
	const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
	for (let base = 0; base < values.byteLength; base += (size + 7) & ~7) yield [view, base];
}
