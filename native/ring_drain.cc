#include "ring_drain.h"

#include <algorithm>
#include <pthread.h>
#include <utility>

namespace weft
{

namespace
{

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr microseconds kShortestSleep{200};
/** While records come: long enough to find many, short enough to find them in the cache. */
constexpr microseconds kBusySleep{2000};
/** A program between reserve and commit takes well under a microsecond; a machine that is paused may take longer. */
constexpr milliseconds kFinishPatience{500};

} // namespace

RingDrain::RingDrain(std::unique_ptr<Merge> merge, const Options &options, std::function<void()> onReady)
    : options_(options),
      pool_(std::make_shared<BatchPool>(options.credits, size_t{options.recordSize} * options.batchRecords)),
      onReady_(std::move(onReady)), merge_(std::move(merge))
{
	// The lowest slot on top: an idle drain touches the memory of one.
	for (uint32_t slot = options.credits; slot > 0; slot--)
		free_.push_back(slot - 1);
	thread_ = std::thread([this] { run(); });
}

RingDrain::~RingDrain()
{
	{
		std::lock_guard lock(mutex_);
		phase_ = Phase::kAborted;
	}
	changed_.notify_all();
	thread_.join();
}

std::deque<ReadyBatch> RingDrain::take()
{
	std::lock_guard lock(mutex_);
	return std::exchange(ready_, {});
}

void RingDrain::release(uint32_t slot)
{
	bool awaited;
	{
		std::lock_guard lock(mutex_);
		awaited = free_.empty();
		free_.push_back(slot);
	}
	// A drain that sleeps for other reasons would wake for nothing, and push the caller off its CPU.
	if (awaited)
		changed_.notify_all();
}

void RingDrain::finish()
{
	{
		std::lock_guard lock(mutex_);
		if (phase_ == Phase::kRunning)
			phase_ = Phase::kFinishing;
	}
	changed_.notify_all();
}

RingDrain::Phase RingDrain::phase()
{
	std::lock_guard lock(mutex_);
	return phase_;
}

void RingDrain::run()
{
	pthread_setname_np(pthread_self(), "weft-drain");
	uint32_t slot;
	while (acquire(slot)) {
		ReadyBatch batch = fill(slot);
		if (phase() == Phase::kAborted)
			return;
		publish(batch);
		if (batch.last)
			return;
	}
}

bool RingDrain::acquire(uint32_t &slot)
{
	std::unique_lock lock(mutex_);
	changed_.wait(lock, [this] { return phase_ == Phase::kAborted || !free_.empty(); });
	if (phase_ == Phase::kAborted)
		return false;
	slot = free_.back();
	free_.pop_back();
	return true;
}

ReadyBatch RingDrain::fill(uint32_t slot)
{
	uint8_t *out = pool_->slot(slot);
	uint32_t count = 0;
	bool last = false;
	const Clock::time_point deadline = Clock::now() + milliseconds(options_.intervalMs);
	for (;;) {
		Phase now = phase();
		bool finishing = now == Phase::kFinishing;
		bool late = finishing && !goal_.empty() && Clock::now() > finishBy_;
		if (late)
			merge_->lookPastBusy();
		else
			merge_->look();
		if (finishing && goal_.empty()) {
			goal_ = merge_->producers();
			finishBy_ = Clock::now() + kFinishPatience;
		}
		double fullest = merge_->fullest();
		uint32_t capacity = options_.batchRecords - count;
		uint32_t taken = merge_->take(out + size_t{count} * options_.recordSize, capacity);
		count += taken;
		if (taken == capacity || now == Phase::kAborted)
			break;
		last = finishing && (late || merge_->consumed(goal_));
		if (last || Clock::now() >= deadline)
			break;
		if (!finishing)
			sleep(deadline, fullest, count == 0);
	}
	return {slot, count, merge_->watermark(), merge_->taken(), last};
}

void RingDrain::publish(const ReadyBatch &batch)
{
	{
		std::lock_guard lock(mutex_);
		ready_.push_back(batch);
	}
	onReady_();
}

void RingDrain::sleep(Clock::time_point deadline, double fullest, bool idle)
{
	// Kernel programs never wake us (BPF_RB_NO_WAKEUP: a wake-up costs them ten times a record), so look often
	// enough: a flood that begins now may not fill half of a ring meanwhile.
	double halfFullUs = static_cast<double>(options_.bytesPerRing) / (options_.recordSize + 8) / 2 /
			    options_.recordsPerSecond * 1e6;
	microseconds longest(static_cast<int64_t>(halfFullUs));
	if (!idle)
		longest = std::min(longest, kBusySleep);
	if (fullest > 0.25)
		longest = kShortestSleep;
	Clock::time_point until = std::min(deadline, Clock::now() + std::max(longest, kShortestSleep));
	std::unique_lock lock(mutex_);
	changed_.wait_until(lock, until, [this] { return phase_ != Phase::kRunning; });
}

} // namespace weft
