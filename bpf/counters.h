/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What a hook set counts, per CPU. In packets, and exact:
 *   seen    every packet that reached the hook
 *   matched = emitted + ring_full
 * Shared with user space by BTF (see event.h).
 */
#ifndef WEFT_COUNTERS_H
#define WEFT_COUNTERS_H

#include "event.h"

struct weft_counters {
	unsigned long long seen;
	unsigned long long matched; /* by a rule or because it was followed, after sampling */
	unsigned long long emitted;
	unsigned long long ring_full;
	unsigned long long
		unparseable[WEFT_PARSE_CAUSES]; /* of the seen ones, by enum weft_parse; [0] stays 0 */
	unsigned long long unsampled;           /* would have matched, left out by weft_knobs.sample */
};

#endif
