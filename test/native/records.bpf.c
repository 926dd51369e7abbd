/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The tracer in miniature once more, with the rings of bpf/ring.h. */
#include "miniature.h"
#include "../../bpf/write_record.h"

WEFT_RECORDS(struct record);

SEC("tc")
int emit(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct counters *count = bpf_map_lookup_elem(&counters, &zero);
	struct weft_ring *ring = weft_ring_here();
	struct record *record;

	if (!count || !ring)
		return -1;
	count->matched++;
	record = weft_begin_record(ring, &records);
	if (!record) {
		count->ring_full++;
		return -1;
	}
	fill(record, skb, count);
	weft_end_record(ring);
	return -1;
}
