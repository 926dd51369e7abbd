#pragma once

#include <napi.h>

namespace weft
{

/**
 * synchronizePrograms(): when the promise is resolved, every BPF program that was running when it was called has
 * ended. Programs run inside RCU read-side sections, so one grace period is enough.
 */
Napi::Value synchronizePrograms(const Napi::CallbackInfo &info);

} // namespace weft
