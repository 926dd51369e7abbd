#pragma once

#include <cstdint>
#include <vector>

namespace weft
{

/** Records of several rings, merged. See RingMerge. */
class Merge
{
public:
	virtual ~Merge() = default;

	/** Begins a round: how far may be given now. */
	virtual void look() = 0;
	/** Like look, but takes busy records for lost and everything else as due: when a program hangs at the very end. */
	virtual void lookPastBusy() = 0;
	/** Copies up to `capacity` records that are due, in order; fewer when no more are due in this round. */
	virtual uint32_t take(uint8_t *out, uint32_t capacity) = 0;
	/** Every record older than this has been taken. Never goes back. */
	virtual uint64_t watermark() const = 0;
	/** Records taken since the beginning. */
	virtual uint64_t taken() const = 0;

	/** Bytes that waited in the fullest ring at the last look, as a share of its size. */
	virtual double fullest() const = 0;
	/** Where each ring's producers were at the last look. */
	virtual std::vector<uint64_t> producers() const = 0;
	/** Whether all rings have been consumed up to these positions. */
	virtual bool consumed(const std::vector<uint64_t> &positions) const = 0;
};

/**
 * Merges the records of several rings, of Ring or of RecordRing, by their time, a u64 of CLOCK_MONOTONIC at offset 0 of each record.
 *
 * Programs begin a record first and read the clock then. So whatever is older than a clock reading taken before the
 * producers' positions is in a ring by then, committed or visibly busy; 10 µs are left for the stores to arrive. Records
 * up to that bound, and before any busy one, can be given in order and for good: the bound is the watermark.
 */
template <class R> class RingMerge final : public Merge
{
public:
	RingMerge(std::vector<R> rings, uint32_t recordSize);

	void look() override;
	void lookPastBusy() override;
	uint32_t take(uint8_t *out, uint32_t capacity) override;
	uint64_t watermark() const override { return watermark_; }
	uint64_t taken() const override { return taken_; }

	double fullest() const override;
	std::vector<uint64_t> producers() const override;
	bool consumed(const std::vector<uint64_t> &positions) const override;

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

	std::vector<R> rings_;
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
