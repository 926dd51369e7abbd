#include "ring.h"

#include "failure.h"

#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace weft
{

Ring::Ring(int map, size_t bytes) : mask_(bytes - 1), pageSize_(static_cast<size_t>(::sysconf(_SC_PAGESIZE)))
{
	void *consumer = ::mmap(nullptr, pageSize_, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (consumer == MAP_FAILED)
		throw Failure("map ring's consumer page", errno);
	consumerPage_ = static_cast<uint64_t *>(consumer);
	// Producer page, then the data twice. Read-only: the kernel refuses more.
	void *producer = ::mmap(nullptr, pageSize_ + 2 * bytes, PROT_READ, MAP_SHARED, map,
				static_cast<off_t>(pageSize_));
	if (producer == MAP_FAILED) {
		int error = errno;
		::munmap(consumerPage_, pageSize_);
		throw Failure("map ring's data", error);
	}
	producerPage_ = static_cast<uint8_t *>(producer);
	data_ = producerPage_ + pageSize_;
	position_ = committed_ = producer_ = __atomic_load_n(consumerPage_, __ATOMIC_ACQUIRE);
}

Ring::Ring(Ring &&other) noexcept
    : consumerPage_(std::exchange(other.consumerPage_, nullptr)),
      producerPage_(std::exchange(other.producerPage_, nullptr)), data_(other.data_), mask_(other.mask_),
      pageSize_(other.pageSize_), position_(other.position_), committed_(other.committed_),
      producer_(other.producer_), length_(other.length_)
{
}

Ring::~Ring()
{
	if (consumerPage_)
		::munmap(consumerPage_, pageSize_);
	if (producerPage_)
		::munmap(producerPage_, pageSize_ + 2 * bytes());
}

void Ring::refresh()
{
	// Pairs with smp_store_release(&rb->producer_pos) of __bpf_ringbuf_reserve, kernel/bpf/ringbuf.c: whoever sees
	// the position sees the record's header, busy bit set.
	producer_ = __atomic_load_n(reinterpret_cast<uint64_t *>(producerPage_), __ATOMIC_ACQUIRE);
}

Ring::Head Ring::head()
{
	while (position_ < producer_) {
		const auto *header = reinterpret_cast<const uint32_t *>(data_ + (position_ & mask_));
		// Pairs with xchg(&hdr->len) of bpf_ringbuf_commit, kernel/bpf/ringbuf.c: whoever sees the busy bit
		// gone sees the record's bytes.
		uint32_t word = __atomic_load_n(header, __ATOMIC_ACQUIRE);
		if (word & BPF_RINGBUF_BUSY_BIT)
			return Head::kBusy;
		length_ = word & ~BPF_RINGBUF_DISCARD_BIT;
		if (!(word & BPF_RINGBUF_DISCARD_BIT))
			return Head::kRecord;
		advance();
	}
	return Head::kNone;
}

void Ring::advance()
{
	position_ += (length_ + kHeader + 7) & ~uint64_t{7};
}

void Ring::commit()
{
	if (committed_ == position_)
		return;
	committed_ = position_;
	// Pairs with smp_load_acquire(&rb->consumer_pos) of __bpf_ringbuf_reserve: our reads of the records come before
	// a producer writes over them.
	__atomic_store_n(consumerPage_, position_, __ATOMIC_RELEASE);
}

} // namespace weft
