import { LIMITS } from "../kernel/layout.generated.js";

/*
 * The scale on which the kernel counts durations (bpf/latency.h): 32 buckets an octave. Below 32 ns a bucket holds one
 * value; bucket i from there on begins at (32 + i % 32) · 2^(i / 32 − 1) and is 2^(i / 32 − 1) wide.
 */

export const BUCKETS: number = LIMITS.buckets;
const PER_OCTAVE: number = LIMITS.buckets_per_octave;

/** The middle of a bucket is at most this share away from what the bucket holds: 1/64. */
export const QUANTILE_ERROR: number = 1 / (2 * PER_OCTAVE);

/** Longer durations count as this, ns. */
export const LONGEST_NS: number = 2 ** 34 - 1;

/** The bucket that the kernel counts a duration in. @param ns a whole number, 0 or more */
export function bucketOf(ns: number): number {
	const value = Math.min(ns, LONGEST_NS);
	if (value < PER_OCTAVE) return value;
	const shift = Math.floor(Math.log2(value)) - Math.log2(PER_OCTAVE);
	return shift * PER_OCTAVE + Math.floor(value / 2 ** shift);
}

/** Begin of a bucket, ns; of bucket BUCKETS, the end of the scale. */
export function bucketStart(index: number): number {
	if (index < PER_OCTAVE) return index;
	return (PER_OCTAVE + (index % PER_OCTAVE)) * 2 ** (Math.floor(index / PER_OCTAVE) - 1);
}
