/**
 * Ring, RecordRing and RingMerge against rings that this program writes itself, as kernel/bpf/ringbuf.c and
 * bpf/write_record.h do: what a real kernel
 * shows too seldom (a record that stays busy, a discarded one, a wrap in every position) can be had at will here.
 * Prints what failed and exits with 1.
 */

#include "../../native/clocks.h"
#include "../../native/record_ring.h"
#include "../../native/ring.h"
#include "../../native/ring_merge.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <linux/bpf.h>
#include <random>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

using weft::Mapping;
using weft::Merge;
using weft::RecordMemory;
using weft::RecordRing;
using weft::Ring;
using weft::RingMerge;

#define EXPECT(condition)                                                           \
	do {                                                                        \
		if (!(condition)) {                                                 \
			std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			std::exit(1);                                               \
		}                                                                   \
	} while (0)

namespace
{

struct Record {
	uint64_t time;
	uint64_t number;
};

/** The producer's side of a ring, in memory that a memfd shares with the consumer. */
class FakeRing
{
public:
	explicit FakeRing(size_t bytes) : bytes_(bytes), page_(static_cast<size_t>(::sysconf(_SC_PAGESIZE)))
	{
		fd_ = ::memfd_create("ring", 0);
		EXPECT(fd_ >= 0 && ::ftruncate(fd_, static_cast<off_t>(2 * page_ + 2 * bytes)) == 0);
		void *all =
			::mmap(nullptr, 2 * page_ + 2 * bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
		EXPECT(all != MAP_FAILED);
		base_ = static_cast<uint8_t *>(all);
	}
	FakeRing(const FakeRing &) = delete;
	FakeRing &operator=(const FakeRing &) = delete;
	~FakeRing()
	{
		::munmap(base_, 2 * page_ + 2 * bytes_);
		::close(fd_);
	}

	using Consumer = Ring;
	Ring consumer() const { return Ring(fd_, bytes_); }
	/** Records. */
	uint64_t consumed() const { return consumedBytes() / kStep; }

	/** A position, or -1 when the ring is full. */
	int64_t reserve()
	{
		if (produced_ + kStep - consumedBytes() > bytes_)
			return -1;
		int64_t at = static_cast<int64_t>(produced_);
		header(at, BPF_RINGBUF_BUSY_BIT | sizeof(Record));
		produced_ += kStep;
		__atomic_store_n(reinterpret_cast<uint64_t *>(base_ + page_), produced_, __ATOMIC_RELEASE);
		return at;
	}
	void submit(int64_t at, const Record &record)
	{
		memcpy(place(at) + 8, &record, sizeof(record));
		header(at, sizeof(Record));
	}
	void discard(int64_t at) { header(at, BPF_RINGBUF_DISCARD_BIT | sizeof(Record)); }

	/** Reserves and submits at once. */
	void write(uint64_t time, uint64_t number)
	{
		int64_t at = reserve();
		EXPECT(at >= 0);
		submit(at, {time, number});
	}

private:
	static constexpr size_t kStep = 8 + sizeof(Record);

	uint64_t consumedBytes() const
	{
		return __atomic_load_n(reinterpret_cast<uint64_t *>(base_), __ATOMIC_ACQUIRE);
	}
	// A power of two is no multiple of the step, so records wrap; the mirror that the kernel maps is written here.
	uint8_t *place(int64_t at) const
	{
		return base_ + 2 * page_ + (static_cast<size_t>(at) & (bytes_ - 1));
	}
	void header(int64_t at, uint32_t word)
	{
		size_t offset = static_cast<size_t>(at) & (bytes_ - 1);
		// The consumer reads a record on where it begins: only what a record that wraps leaves over is behind.
		__atomic_store_n(reinterpret_cast<uint32_t *>(base_ + 2 * page_ + offset), word,
				 __ATOMIC_RELEASE);
	}

	size_t bytes_;
	size_t page_;
	int fd_ = -1;
	uint8_t *base_ = nullptr;
	uint64_t produced_ = 0;
};

/** The same for a ring of bpf/ring.h. One record at a time is begun: reserve and submit take turns. */
class FakeRecordRing
{
public:
	explicit FakeRecordRing(size_t bytes)
	    : memory_(std::make_shared<const RecordMemory>(RecordMemory{
		      shared("rings", sizeof(weft_ring)), shared("records", bytes)})),
	      ring_(reinterpret_cast<weft_ring *>(memory_->rings.start()))
	{
		ring_->mask = static_cast<uint32_t>(bytes / sizeof(Record)) - 1;
	}

	using Consumer = RecordRing;
	RecordRing consumer() const { return RecordRing(memory_, 0, sizeof(Record)); }
	uint64_t consumed() const { return __atomic_load_n(&ring_->consumed, __ATOMIC_ACQUIRE); }

	int64_t reserve()
	{
		if (ring_->written - consumed() > ring_->mask)
			return -1;
		__atomic_store_n(&ring_->begun, ring_->written + 1, __ATOMIC_RELEASE);
		return static_cast<int64_t>(ring_->written);
	}
	void submit(int64_t at, const Record &record)
	{
		size_t index = static_cast<size_t>(at) & ring_->mask;
		memcpy(memory_->records.start() + index * sizeof(record), &record, sizeof(record));
		__atomic_store_n(&ring_->written, ring_->written + 1, __ATOMIC_RELEASE);
	}
	void write(uint64_t time, uint64_t number)
	{
		int64_t at = reserve();
		EXPECT(at >= 0);
		submit(at, {time, number});
	}

private:
	static Mapping shared(const char *name, size_t bytes)
	{
		int fd = ::memfd_create(name, 0);
		EXPECT(fd >= 0 && ::ftruncate(fd, static_cast<off_t>(bytes)) == 0);
		Mapping mapping(name, fd, bytes, PROT_READ | PROT_WRITE);
		::close(fd);
		return mapping;
	}

	std::shared_ptr<const RecordMemory> memory_;
	weft_ring *ring_;
};

template <class Fake> using MergeOf = RingMerge<typename Fake::Consumer>;

template <class Fake> MergeOf<Fake> merge(const std::vector<Fake *> &fakes)
{
	std::vector<typename Fake::Consumer> rings;
	for (const Fake *fake : fakes)
		rings.push_back(fake->consumer());
	return MergeOf<Fake>(std::move(rings), sizeof(Record));
}

std::vector<uint64_t> take(Merge &merge, uint32_t capacity = 100)
{
	std::vector<Record> out(capacity);
	uint32_t count = merge.take(reinterpret_cast<uint8_t *>(out.data()), capacity);
	std::vector<uint64_t> numbers;
	for (uint32_t index = 0; index < count; index++)
		numbers.push_back(out[index].number);
	return numbers;
}

using Numbers = std::vector<uint64_t>;

template <class Fake> void mergesByTime()
{
	Fake a(4096), b(4096);
	MergeOf<Fake> both = merge<Fake>({&a, &b});
	a.write(10, 1), a.write(30, 3), a.write(50, 5);
	b.write(20, 2), b.write(40, 4);
	both.look();
	EXPECT(take(both, 2) == (Numbers{1, 2}));
	EXPECT(both.watermark() == 30);
	EXPECT(take(both) == (Numbers{3, 4, 5}));
	EXPECT(both.watermark() > 50 && both.watermark() < weft::monotonicNs());
	EXPECT(both.taken() == 5);
	EXPECT(a.consumed() == 3 && b.consumed() == 2);
}

void waitsForTheBusy()
{
	FakeRing a(4096), b(4096);
	MergeOf<FakeRing> both = merge<FakeRing>({&a, &b});
	a.write(10, 1);
	int64_t busy = a.reserve();
	a.write(40, 4); // Behind the busy one: not to be reached.
	b.write(5, 0), b.write(20, 2), b.write(50, 5);
	both.look();
	EXPECT(take(both) == (Numbers{0, 1}));
	EXPECT(both.watermark() == 10);
	both.look();
	EXPECT(take(both).empty());
	EXPECT(both.watermark() == 10);
	a.submit(busy, {15, 15});
	both.look();
	EXPECT(take(both) == (Numbers{15, 2, 4, 5}));
}

void skipsTheDiscarded()
{
	FakeRing a(4096);
	MergeOf<FakeRing> one = merge<FakeRing>({&a});
	a.discard(a.reserve());
	a.write(10, 1);
	a.discard(a.reserve());
	one.look();
	EXPECT(take(one) == (Numbers{1}));
	EXPECT(a.consumed() == 3);
}

void waitsForTheBusyRecord()
{
	FakeRecordRing a(4096), b(4096);
	MergeOf<FakeRecordRing> both = merge<FakeRecordRing>({&a, &b});
	a.write(10, 1);
	int64_t busy = a.reserve();
	b.write(5, 0), b.write(20, 2), b.write(50, 5);
	both.look();
	EXPECT(take(both) == (Numbers{0, 1}));
	EXPECT(both.watermark() == 10);
	EXPECT(!both.consumed(both.producers()));
	both.look();
	EXPECT(take(both).empty());
	EXPECT(both.watermark() == 10);
	a.submit(busy, {15, 15});
	both.look();
	EXPECT(take(both) == (Numbers{15, 2, 5}));
	EXPECT(both.consumed(both.producers()));
}

template <class Fake> void leavesTheYoung()
{
	Fake a(4096);
	MergeOf<Fake> one = merge<Fake>({&a});
	a.write(weft::monotonicNs() + 1'000'000'000, 1);
	one.look();
	EXPECT(take(one).empty());
	one.lookPastBusy();
	EXPECT(take(one) == (Numbers{1}));
}

template <class Fake> void wrapsAround()
{
	Fake a(4096);
	MergeOf<Fake> one = merge<Fake>({&a});
	for (uint64_t number = 1; number < 2000; number++) {
		a.write(number, number);
		one.look();
		EXPECT(take(one) == (Numbers{number}));
	}
	for (int64_t at = a.reserve(); at >= 0; at = a.reserve())
		a.submit(at, {1, 1});
	EXPECT(one.fullest() == 0);
	one.look();
	EXPECT(one.fullest() > 0.98);
}

/** Producers that reserve first and read the clock then, at their own pace, some taking a nap in between. */
template <class Fake> void keepsItsWordUnderLoad()
{
	constexpr size_t kRings = 4;
	constexpr uint64_t kRecords = 50'000;
	std::vector<std::unique_ptr<Fake>> fakes;
	std::vector<Fake *> pointers;
	for (size_t index = 0; index < kRings; index++) {
		fakes.push_back(std::make_unique<Fake>(65536));
		pointers.push_back(fakes.back().get());
	}
	MergeOf<Fake> all = merge<Fake>(pointers);
	std::atomic<size_t> done = 0;
	std::vector<std::thread> producers;
	for (size_t index = 0; index < kRings; index++)
		producers.emplace_back([&, index] {
			std::mt19937 random(static_cast<uint32_t>(index));
			for (uint64_t number = 0; number < kRecords;) {
				int64_t at = pointers[index]->reserve();
				if (at < 0) {
					std::this_thread::yield();
					continue;
				}
				uint64_t time = weft::monotonicNs();
				if (random() % 1000 == 0)
					::usleep(random() % 200);
				pointers[index]->submit(at, {time, index << 32 | number++});
			}
			done++;
		});

	std::vector<uint64_t> next(kRings);
	uint64_t last = 0, watermark = 0, taken = 0;
	std::vector<Record> out(1000);
	while (taken < kRings * kRecords) {
		bool ended = done == kRings;
		all.look();
		uint32_t count = all.take(reinterpret_cast<uint8_t *>(out.data()),
					  1 + static_cast<uint32_t>(taken % 1000));
		for (uint32_t index = 0; index < count; index++) {
			uint64_t ring = out[index].number >> 32, number = out[index].number & 0xffffffff;
			EXPECT(out[index].time >= last);
			EXPECT(out[index].time >= watermark);
			EXPECT(number == next[ring]);
			next[ring]++;
			last = out[index].time;
		}
		EXPECT(all.watermark() >= watermark);
		watermark = all.watermark();
		taken += count;
		if (count == 0 && !ended)
			std::this_thread::yield();
	}
	for (std::thread &producer : producers)
		producer.join();
	EXPECT(all.taken() == kRings * kRecords);
}

} // namespace

int main()
{
	mergesByTime<FakeRing>();
	mergesByTime<FakeRecordRing>();
	waitsForTheBusy();
	waitsForTheBusyRecord();
	skipsTheDiscarded();
	leavesTheYoung<FakeRing>();
	leavesTheYoung<FakeRecordRing>();
	wrapsAround<FakeRing>();
	wrapsAround<FakeRecordRing>();
	keepsItsWordUnderLoad<FakeRing>();
	keepsItsWordUnderLoad<FakeRecordRing>();
}
