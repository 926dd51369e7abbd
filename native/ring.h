#pragma once

#include "mapping.h"

namespace weft
{

/**
 * The consumer's side of one BPF_MAP_TYPE_RINGBUF over mapped memory. One consumer thread at a time. Where it stands is
 * its own affair until `commit` gives the space back to the producers.
 *
 *     producer position ─────────────────────────┐
 *     ┌──────────────┬──────┬──────┬──────┬──────▼─────────────┐
 *     │ free         │record│busy  │record│                free│  data, mapped twice: no record wraps
 *     └──────────────┴▲─────┴──────┴──────┴────────────────────┘
 *                     └ position: consumed up to here
 */
class Ring
{
public:
	/** Maps the ring; `bytes` is its max_entries. */
	Ring(int map, size_t bytes);

	enum class Head {
		kNone,
		/** Reserved, not committed yet: a program is at work on it. */
		kBusy,
		kRecord,
	};

	/** Looks again how far the producers are. */
	void refresh();
	/** What is at the position; skips discarded records. */
	Head head();
	/** The record at the position; its length. Only after head() said kRecord. */
	const uint8_t *record() const { return data_ + (position_ & mask_) + kHeader; }
	uint32_t length() const { return length_; }
	void advance();
	/** Lets the producers have what was consumed. */
	void commit();

	uint64_t position() const { return position_; }
	uint64_t producer() const { return produced_; }
	/** Bytes that wait, at the last refresh. */
	uint64_t pending() const { return produced_ - position_; }
	size_t bytes() const { return mask_ + 1; }

private:
	static constexpr size_t kHeader = 8; // BPF_RINGBUF_HDR_SZ

	Mapping consumer_;
	/** The producers' page, then the data twice. Read-only: the kernel refuses more. */
	Mapping producer_;
	uint64_t *consumerPage_;
	const uint64_t *producerPage_;
	const uint8_t *data_;
	size_t mask_;
	uint64_t position_ = 0;
	uint64_t committed_ = 0;
	uint64_t produced_ = 0;
	uint32_t length_ = 0;
};

} // namespace weft
