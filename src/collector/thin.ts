import { TcpFlag } from "../packet/sightings.js";
import type { Verdict } from "../path/path.js";
import type { Quantiles } from "./report.js";

/**
 * Rows that each kind may use up, of the 20 that a person can follow in a second. What is rarer and tells more may use
 * what the more common left, never the other way round.
 */
const enum Limit {
	ordinary = 14,
	outlier = 16,
	handshake = 18,
	fault = 20,
}

/** Ordinary rows a second while more come than can be shown: the status row tells the rest. */
const ORDINARY_IN_A_FLOOD = 1;

/** An outlier takes longer than so many times the p99 of the second before. */
const OUTLIER = 2;

/** The part of a status that thinning knows. */
export interface Thinned {
	/** Delivered and forwarded paths that got no row. */
	readonly alike: number;
	/** Of those; null when there were none. */
	readonly latency: Quantiles | null;
	/** Lost and dropped paths, whether they got a row or not. */
	readonly lost: number;
	/** Broken paths that got no row. */
	readonly faultsHidden: number;
}

/**
 * Decides which paths deserve a row on a terminal, and counts the others. Pure: the caller says when a second is over
 * by `take()`. Plain numbers in, no object per path: it stands behind the Joiner, before paths become objects.
 */
export class Thinning {
	#rows = 0;
	#ordinary = 0;
	#flood = false;
	#alike = 0;
	#lost = 0;
	#faultsHidden = 0;
	#outlierNs = Number.POSITIVE_INFINITY;
	readonly #latencies = new LogHistogram();

	/** Whether this path gets a row. `tcpFlags` as in Sightings, 0 when not TCP. */
	offer(verdict: Verdict, tcpFlags: number, latencyNs: number): boolean {
		const whole = verdict === "delivered" || verdict === "forwarded";
		if (verdict === "lost" || verdict === "dropped") this.#lost++;
		if (this.#admit(whole ? this.#limitOf(tcpFlags, latencyNs) : Limit.fault)) return true;
		if (whole) {
			this.#alike++;
			this.#latencies.add(latencyNs);
		} else {
			this.#faultsHidden++;
		}
		return false;
	}

	/** Ends the second: what it held, and a fresh allowance of rows. */
	take(): Thinned {
		const latency = this.#latencies.quantiles();
		const taken = { alike: this.#alike, latency, lost: this.#lost, faultsHidden: this.#faultsHidden };
		this.#flood = this.#alike > 0;
		this.#outlierNs = latency === null ? Number.POSITIVE_INFINITY : latency.p99Ns * OUTLIER;
		this.#rows = 0;
		this.#ordinary = 0;
		this.#alike = 0;
		this.#lost = 0;
		this.#faultsHidden = 0;
		this.#latencies.clear();
		return taken;
	}

	#limitOf(tcpFlags: number, latencyNs: number): Limit {
		if ((tcpFlags & (TcpFlag.syn | TcpFlag.fin | TcpFlag.rst)) !== 0) return Limit.handshake;
		return latencyNs > this.#outlierNs ? Limit.outlier : Limit.ordinary;
	}

	#admit(limit: Limit): boolean {
		if (this.#rows >= limit) return false;
		if (limit === Limit.ordinary) {
			if (this.#flood && this.#ordinary >= ORDINARY_IN_A_FLOOD) return false;
			this.#ordinary++;
		}
		this.#rows++;
		return true;
	}
}

/**
 * 32 equal buckets an octave: quantiles are right to 1.6 %. The maximum is exact. A bucket is the exponent of a double
 * and the first five bits behind it, as they stand in its upper word: no logarithm is taken.
 */
const BUCKET_SHIFT = 20 - 5;
const FIRST_BUCKET = 1023 << 5;

class LogHistogram {
	readonly #buckets = new Uint32Array(53 << 5);
	readonly #double = new Float64Array(1);
	readonly #words = new Uint32Array(this.#double.buffer);
	#count = 0;
	#max = 0;

	/** Clocks of two nodes may make a latency negative: it counts as 1 ns. */
	add(ns: number): void {
		this.#double[0] = ns > 1 ? ns : 1;
		const bucket = ((this.#words[1] as number) >>> BUCKET_SHIFT) - FIRST_BUCKET;
		this.#buckets[bucket] = (this.#buckets[bucket] as number) + 1;
		this.#count++;
		if (ns > this.#max) this.#max = ns;
	}

	quantiles(): Quantiles | null {
		if (this.#count === 0) return null;
		return { p50Ns: this.#quantile(0.5), p99Ns: this.#quantile(0.99), maxNs: this.#max };
	}

	clear(): void {
		if (this.#count > 0) this.#buckets.fill(0);
		this.#count = 0;
		this.#max = 0;
	}

	/** The middle of the bucket that holds the value of this rank. */
	#quantile(share: number): number {
		let left = Math.ceil(this.#count * share);
		for (const [bucket, count] of this.#buckets.entries()) {
			left -= count;
			if (left <= 0) return Math.min(Math.round(2 ** (bucket >> 5) * (1 + ((bucket & 31) + 0.5) / 32)), this.#max);
		}
		return this.#max;
	}
}
