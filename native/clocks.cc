#include "clocks.h"

#include <ctime>

namespace weft
{

namespace
{

uint64_t read(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

} // namespace

uint64_t monotonicNs()
{
	return read(CLOCK_MONOTONIC);
}

uint64_t realtimeNs()
{
	return read(CLOCK_REALTIME);
}

} // namespace weft
