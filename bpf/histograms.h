/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* One duration into a histogram. */
#ifndef WEFT_HISTOGRAMS_H
#define WEFT_HISTOGRAMS_H

#include "latency.h"

static __always_inline __u32 weft_bucket(__u64 ns)
{
	__u32 octave = 0;
	__u64 rest = ns;

	if (ns < WEFT_BUCKETS_PER_OCTAVE)
		return ns;
	if (rest >> 32) {
		octave += 32;
		rest >>= 32;
	}
	if (rest >> 16) {
		octave += 16;
		rest >>= 16;
	}
	if (rest >> 8) {
		octave += 8;
		rest >>= 8;
	}
	if (rest >> 4) {
		octave += 4;
		rest >>= 4;
	}
	if (rest >> 2) {
		octave += 2;
		rest >>= 2;
	}
	octave += rest >> 1;
	return (octave - 4) * WEFT_BUCKETS_PER_OCTAVE +
	       ((ns >> (octave - 5)) & (WEFT_BUCKETS_PER_OCTAVE - 1));
}

static __always_inline void weft_add_sample(struct weft_histogram *histogram, __u64 ns)
{
	__u32 bucket;

	if (ns > WEFT_LATENCY_MAX)
		ns = WEFT_LATENCY_MAX;
	bucket = weft_bucket(ns);
	asm volatile("" : "+r"(bucket)); /* see weft_linear */
	if (bucket >= WEFT_BUCKETS)
		return;
	if (histogram->count == 0 || ns < histogram->min_ns)
		histogram->min_ns = ns;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
	histogram->count++;
	histogram->sum_ns += ns;
	histogram->buckets[bucket]++;
}

#endif
