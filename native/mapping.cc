#include "mapping.h"

#include "failure.h"

#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace weft
{

Mapping::Mapping(const char *what, int fd, size_t bytes, int protection, size_t offset) : bytes_(bytes)
{
	void *start = ::mmap(nullptr, bytes, protection, MAP_SHARED, fd, static_cast<off_t>(offset));
	if (start == MAP_FAILED)
		throw Failure(std::string("map ") + what, errno);
	start_ = static_cast<uint8_t *>(start);
}

Mapping::Mapping(Mapping &&other) noexcept
    : start_(std::exchange(other.start_, nullptr)), bytes_(std::exchange(other.bytes_, 0))
{
}

Mapping::~Mapping()
{
	if (start_)
		::munmap(start_, bytes_);
}

size_t pageSize()
{
	return static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace weft
