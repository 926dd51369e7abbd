#pragma once

#include <cstddef>
#include <cstdint>

namespace weft
{

/** Memory of all batches of a drain: `slots` pieces of equal size, touched only when used. */
class BatchPool
{
public:
	BatchPool(uint32_t slots, size_t bytesEach);
	~BatchPool();
	BatchPool(const BatchPool &) = delete;
	BatchPool &operator=(const BatchPool &) = delete;

	uint32_t slots() const { return slots_; }
	size_t bytesEach() const { return bytesEach_; }
	uint8_t *slot(uint32_t index) const { return start_ + index * stride_; }
	/** Which slot begins here; `slots()` for none. */
	uint32_t find(const void *start) const;

private:
	uint32_t slots_;
	size_t bytesEach_;
	size_t stride_;
	uint8_t *start_;
};

} // namespace weft
