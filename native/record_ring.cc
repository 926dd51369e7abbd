#include "record_ring.h"

#include <algorithm>
#include <utility>

namespace weft
{

static_assert(sizeof(weft_ring) == 128, "as the programs have it");

RecordRing::RecordRing(std::shared_ptr<const RecordMemory> memory, uint32_t cpu, uint32_t recordSize)
    : memory_(std::move(memory)), ring_(reinterpret_cast<weft_ring *>(memory_->rings.start()) + cpu),
      records_(memory_->records.start() + size_t{ring_->first} * recordSize), recordSize_(recordSize),
      position_(__atomic_load_n(&ring_->consumed, __ATOMIC_ACQUIRE)), written_(position_), begun_(position_)
{
}

void RecordRing::refresh()
{
	// In this order: a record that is written meanwhile is written, and not taken for one that is busy. The second
	// pairs with weft_end_record of bpf/write_record.h: whoever sees the position sees the records before it.
	uint64_t begun = __atomic_load_n(&ring_->begun, __ATOMIC_ACQUIRE);
	written_ = __atomic_load_n(&ring_->written, __ATOMIC_ACQUIRE);
	begun_ = std::max(begun, written_);
}

void RecordRing::commit()
{
	// Our reads of the records come before a program writes over them.
	__atomic_store_n(&ring_->consumed, position_, __ATOMIC_RELEASE);
}

} // namespace weft
