#pragma once

#include <cstdint>

namespace weft
{

/** CLOCK_MONOTONIC, ns: the clock of bpf_ktime_get_ns. */
uint64_t monotonicNs();
/** CLOCK_REALTIME, ns. */
uint64_t realtimeNs();

} // namespace weft
