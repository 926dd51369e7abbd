#pragma once

#include "ring.h"

#include <cstdint>
#include <vector>

namespace weft
{

/**
 * Merges the records of several rings by their time, a u64 of CLOCK_MONOTONIC at offset 0 of each record.
 *
 * Programs reserve a record first and read the clock then. So whatever is older than a clock reading taken before the
 * producers' positions is in a ring by then, committed or visibly busy; 10 µs are left for the stores to arrive. Records
 * up to that bound, and before any busy one, can be given in order and for good: the bound is the watermark.
 */
class RingMerge
{
public:
	RingMerge(std::vector<Ring> rings, uint32_t recordSize);

	/** Begins a round: how far may be given now. */
	void look();
	/** Like look, but takes busy records for lost and everything else as due: when a program hangs at the very end. */
	void lookPastBusy();
	/** Copies up to `capacity` records that are due, in order; fewer when no more are due in this round. */
	uint32_t take(uint8_t *out, uint32_t capacity);
	/** Every record older than this has been taken. Never goes back. */
	uint64_t watermark() const { return watermark_; }
	/** Records taken since the beginning. */
	uint64_t taken() const { return taken_; }

	/** Bytes that waited in the fullest ring at the last look, as a share of its size. */
	double fullest() const;
	/** Where each ring's producers were at the last look. */
	std::vector<uint64_t> producers() const;
	/** Whether all rings have been consumed up to these positions. */
	bool consumed(const std::vector<uint64_t> &positions) const;

private:
	static constexpr uint64_t kSlackNs = 10'000;

	struct Candidate {
		uint64_t time;
		uint32_t ring;
	};
	static bool later(const Candidate &a, const Candidate &b)
	{
		return a.time > b.time || (a.time == b.time && a.ring > b.ring);
	}
	/** Puts a ring's next record into the heap, or lowers the bound when it is busy. */
	void offer(uint32_t ring);

	std::vector<Ring> rings_;
	/** Per ring, the newest time taken: what is still busy there is no older. */
	std::vector<uint64_t> floors_;
	std::vector<Candidate> heap_;
	uint32_t recordSize_;
	uint64_t bound_ = 0;
	uint64_t watermark_ = 0;
	uint64_t taken_ = 0;
	bool skipBusy_ = false;
};

} // namespace weft
