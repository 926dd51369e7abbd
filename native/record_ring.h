#pragma once

#include "../bpf/ring.h"
#include "mapping.h"

#include <memory>

namespace weft
{

/** The memory of all CPUs' record rings: what bpf/ring.h describes, mapped. */
struct RecordMemory {
	Mapping rings;
	Mapping records;
};

/** The consumer's side of one ring of bpf/ring.h, to be used like Ring. Positions count records. */
class RecordRing
{
public:
	RecordRing(std::shared_ptr<const RecordMemory> memory, uint32_t cpu, uint32_t recordSize);

	enum class Head { kNone, kBusy, kRecord };

	void refresh();
	Head head() const
	{
		if (position_ < written_)
			return Head::kRecord;
		return position_ < begun_ ? Head::kBusy : Head::kNone;
	}
	const uint8_t *record() const { return records_ + (position_ & ring_->mask) * recordSize_; }
	uint32_t length() const { return recordSize_; }
	void advance() { position_++; }
	void commit();

	uint64_t position() const { return position_; }
	uint64_t producer() const { return begun_; }
	uint64_t pending() const { return (written_ - position_) * recordSize_; }
	size_t bytes() const { return (size_t{ring_->mask} + 1) * recordSize_; }

private:
	std::shared_ptr<const RecordMemory> memory_;
	weft_ring *ring_;
	const uint8_t *records_;
	size_t recordSize_;
	uint64_t position_;
	uint64_t written_;
	uint64_t begun_;
};

} // namespace weft
