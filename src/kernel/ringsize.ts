const TOTAL = 64 << 20;
const SMALLEST = 512 << 10;
const LARGEST = 16 << 20;

/** Bytes of each CPU's ring: 64 MiB in all, 512 KiB to 16 MiB each, a power of two. */
export function ringBytesFor(cpus: number): number {
	const share = 2 ** Math.floor(Math.log2(TOTAL / cpus));
	return Math.min(LARGEST, Math.max(SMALLEST, share));
}
