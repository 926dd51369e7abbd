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

Napi::Value clocks(const Napi::CallbackInfo &info)
{
	// The narrowest of a few brackets: the others were interrupted.
	uint64_t bestWidth = UINT64_MAX, monotonic = 0, realtime = 0;
	for (int attempt = 0; attempt < 5; attempt++) {
		uint64_t before = read(CLOCK_MONOTONIC);
		uint64_t wall = read(CLOCK_REALTIME);
		uint64_t width = read(CLOCK_MONOTONIC) - before;
		if (width < bestWidth) {
			bestWidth = width;
			monotonic = before + width / 2;
			realtime = wall;
		}
	}
	Napi::Object result = Napi::Object::New(info.Env());
	result.Set("monotonicNs", Napi::BigInt::New(info.Env(), monotonic));
	result.Set("realtimeNs", Napi::BigInt::New(info.Env(), realtime));
	result.Set("errorNs", static_cast<double>(bestWidth));
	return result;
}

} // namespace weft
