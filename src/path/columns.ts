type Column = Float64Array | Uint32Array | Int32Array | Uint16Array | Uint8Array;

/** The same column with room for `capacity` elements. */
export function grown<T extends Column>(column: T, capacity: number): T {
	const larger = new (column.constructor as new (length: number) => T)(capacity);
	larger.set(column as never);
	return larger;
}
