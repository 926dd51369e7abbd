#pragma once

#include <napi.h>

namespace weft
{

/** transpose(records, recordSize, first, count, columns, moves, row, baseNs): members of records into columns. */
Napi::Value transpose(const Napi::CallbackInfo &info);

} // namespace weft
