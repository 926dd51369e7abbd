#include "ring.h"

#include <linux/bpf.h>
#include <sys/mman.h>

namespace weft
{

Ring::Ring(int map, size_t bytes)
    : consumer_("ring's consumer page", map, pageSize(), PROT_READ | PROT_WRITE),
      producer_("ring's data", map, pageSize() + 2 * bytes, PROT_READ, pageSize()),
      consumerPage_(reinterpret_cast<uint64_t *>(consumer_.start())),
      producerPage_(reinterpret_cast<const uint64_t *>(producer_.start())),
      data_(producer_.start() + pageSize()), mask_(bytes - 1)
{
	position_ = committed_ = produced_ = __atomic_load_n(consumerPage_, __ATOMIC_ACQUIRE);
}

void Ring::refresh()
{
	// Pairs with smp_store_release(&rb->producer_pos) of __bpf_ringbuf_reserve, kernel/bpf/ringbuf.c: whoever sees
	// the position sees the record's header, busy bit set.
	produced_ = __atomic_load_n(producerPage_, __ATOMIC_ACQUIRE);
}

Ring::Head Ring::head()
{
	while (position_ < produced_) {
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
