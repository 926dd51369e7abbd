#include "batch_pool.h"

#include "failure.h"

#include <sys/mman.h>
#include <unistd.h>

namespace weft
{

BatchPool::BatchPool(uint32_t slots, size_t bytesEach) : slots_(slots), bytesEach_(bytesEach)
{
	size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
	stride_ = (bytesEach + page - 1) / page * page;
	void *start =
		::mmap(nullptr, slots * stride_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (start == MAP_FAILED)
		throw Failure("allocate batches", errno);
	start_ = static_cast<uint8_t *>(start);
}

BatchPool::~BatchPool()
{
	::munmap(start_, slots_ * stride_);
}

uint32_t BatchPool::find(const void *start) const
{
	const auto *at = static_cast<const uint8_t *>(start);
	if (at < start_ || at >= start_ + slots_ * stride_)
		return slots_;
	size_t offset = static_cast<size_t>(at - start_);
	return offset % stride_ ? slots_ : static_cast<uint32_t>(offset / stride_);
}

} // namespace weft
