#pragma once

#include <cstdint>
#include <napi.h>

namespace weft
{

/** CLOCK_MONOTONIC, ns: the clock of bpf_ktime_get_ns. */
uint64_t monotonicNs();
/** clocks(): both clocks read together. */
Napi::Value clocks(const Napi::CallbackInfo &info);

} // namespace weft
