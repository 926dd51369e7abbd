#include "ring_merge.h"

#include "clocks.h"
#include "record_ring.h"
#include "ring.h"

#include <algorithm>
#include <cstring>

namespace weft
{

template <class R>
RingMerge<R>::RingMerge(std::vector<R> rings, uint32_t recordSize)
    : rings_(std::move(rings)), floors_(rings_.size()), recordSize_(recordSize)
{
	heap_.reserve(rings_.size());
}

template <class R> void RingMerge<R>::look()
{
	uint64_t now = monotonicNs();
	// The clock must be read before the positions; both are loads, so say so.
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	bound_ = now - kSlackNs;
	skipBusy_ = false;
	heap_.clear();
	for (uint32_t index = 0; index < rings_.size(); index++) {
		rings_[index].refresh();
		offer(index);
	}
}

template <class R> void RingMerge<R>::lookPastBusy()
{
	look();
	skipBusy_ = true;
	bound_ = UINT64_MAX;
}

template <class R> void RingMerge<R>::offer(uint32_t index)
{
	R &ring = rings_[index];
	switch (ring.head()) {
	case R::Head::kNone:
		return;
	case R::Head::kBusy:
		if (!skipBusy_)
			bound_ = std::min(bound_, floors_[index]);
		return;
	case R::Head::kRecord:
		uint64_t time;
		memcpy(&time, ring.record(), sizeof(time));
		heap_.push_back({time, index});
		std::push_heap(heap_.begin(), heap_.end(), later);
	}
}

template <class R> uint32_t RingMerge<R>::take(uint8_t *out, uint32_t capacity)
{
	uint32_t count = 0;
	while (count < capacity && !heap_.empty() && heap_.front().time <= bound_) {
		Candidate next = heap_.front();
		std::pop_heap(heap_.begin(), heap_.end(), later);
		heap_.pop_back();
		R &ring = rings_[next.ring];
		// A run: as long as this ring stays the oldest, the heap is left alone.
		uint64_t limit = heap_.empty() ? bound_ : std::min(bound_, heap_.front().time);
		do {
			if (ring.length() >= recordSize_) {
				memcpy(out + size_t{count} * recordSize_, ring.record(), recordSize_);
				count++;
			}
			floors_[next.ring] = std::max(floors_[next.ring], next.time);
			ring.advance();
			if (ring.head() != R::Head::kRecord)
				break;
			memcpy(&next.time, ring.record(), sizeof(next.time));
		} while (next.time <= limit && count < capacity);
		offer(next.ring);
	}
	for (R &ring : rings_)
		ring.commit();
	taken_ += count;
	uint64_t complete = bound_;
	if (!heap_.empty())
		complete = std::min(complete, heap_.front().time);
	if (!skipBusy_)
		watermark_ = std::max(watermark_, complete);
	return count;
}

template <class R> double RingMerge<R>::fullest() const
{
	double fullest = 0;
	for (const R &ring : rings_)
		fullest = std::max(fullest,
				   static_cast<double>(ring.pending()) / static_cast<double>(ring.bytes()));
	return fullest;
}

template <class R> std::vector<uint64_t> RingMerge<R>::producers() const
{
	std::vector<uint64_t> positions;
	for (const R &ring : rings_)
		positions.push_back(ring.producer());
	return positions;
}

template <class R> bool RingMerge<R>::consumed(const std::vector<uint64_t> &positions) const
{
	for (size_t index = 0; index < rings_.size(); index++) {
		if (rings_[index].position() < positions[index])
			return false;
	}
	return true;
}

template class RingMerge<Ring>;
template class RingMerge<RecordRing>;

} // namespace weft
