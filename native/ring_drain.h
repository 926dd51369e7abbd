#pragma once

#include "batch_pool.h"
#include "ring_merge.h"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace weft
{

/** A filled slot of the pool, on its way to JavaScript. */
struct ReadyBatch {
	uint32_t slot;
	uint32_t records;
	uint64_t watermarkNs;
	uint64_t drained;
	/** The thread ends after this one. */
	bool last;
};

/**
 * The thread between rings and batches. A batch goes when it is full or the interval is over, an empty one too. Each
 * occupies a slot until it is released: with all slots out the thread waits, and the kernel's rings fill and count.
 */
class RingDrain
{
public:
	struct Options {
		uint32_t recordSize;
		uint32_t batchRecords;
		uint32_t credits;
		uint32_t intervalMs;
		size_t bytesPerRing;
		/** How fast one CPU fills its ring, at the most. */
		uint32_t recordsPerSecond;
	};

	/** `onReady` is called on the thread whenever `take` has something. */
	RingDrain(std::unique_ptr<Merge> merge, const Options &options, std::function<void()> onReady);
	/** Ends the thread at once; what lies in the rings stays there. */
	~RingDrain();
	RingDrain(const RingDrain &) = delete;
	RingDrain &operator=(const RingDrain &) = delete;

	/** The batches that became ready since the last call, in order. */
	std::deque<ReadyBatch> take();
	/** The slot may be filled again. */
	void release(uint32_t slot);
	/** Asks for everything that is committed by now, then the last batch. */
	void finish();
	/** Outlives the drain while JavaScript holds a buffer of it. */
	const std::shared_ptr<BatchPool> &pool() const { return pool_; }

private:
	using Clock = std::chrono::steady_clock;
	enum class Phase { kRunning, kFinishing, kAborted };

	void run();
	/** A free slot; waits for one. Nothing when aborted. */
	bool acquire(uint32_t &slot);
	/** Fills a slot until it is full, the interval is over or all has been given at the end. */
	ReadyBatch fill(uint32_t slot);
	void publish(const ReadyBatch &batch);
	/** Until it is worth looking again; sooner when the phase changes. */
	void sleep(Clock::time_point deadline, double fullest, bool idle);
	Phase phase();

	const Options options_;
	std::shared_ptr<BatchPool> pool_;
	std::function<void()> onReady_;

	// The thread's own.
	std::unique_ptr<Merge> merge_;
	std::vector<uint64_t> goal_; // producers' positions when finishing began
	Clock::time_point finishBy_;

	std::mutex mutex_;
	std::condition_variable changed_;
	Phase phase_ = Phase::kRunning; // under mutex_
	std::vector<uint32_t> free_;    // under mutex_
	std::deque<ReadyBatch> ready_;  // under mutex_
	std::thread thread_;
};

} // namespace weft
