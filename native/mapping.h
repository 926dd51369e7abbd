#pragma once

#include <cstddef>
#include <cstdint>

namespace weft
{

/** Memory shared with a descriptor, until it goes. */
class Mapping
{
public:
	/** `offset`: a multiple of a page. Throws a Failure that names `what`. */
	Mapping(const char *what, int fd, size_t bytes, int protection, size_t offset = 0);
	Mapping(Mapping &&other) noexcept;
	Mapping(const Mapping &) = delete;
	Mapping &operator=(const Mapping &) = delete;
	~Mapping();

	uint8_t *start() const { return start_; }

private:
	uint8_t *start_;
	size_t bytes_;
};

size_t pageSize();

} // namespace weft
