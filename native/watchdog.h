#pragma once

#include "fd.h"

#include <string>

namespace weft
{

/**
 * Starts the process that removes an owner's clsact filters from the caller's network namespace once the descriptor
 * returned here is closed, be it by kill -9.
 */
Fd startWatchdog(const std::string &owner);

} // namespace weft
