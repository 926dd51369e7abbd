#pragma once

#include <string>
#include <vector>

namespace weft
{

/** Which of the possible CPUs are online, by number; all where the kernel does not say. */
std::vector<bool> onlineCpus();
/** A list as in /sys/devices/system/cpu: "0-3,8". Numbers from `count` on are ignored. */
std::vector<bool> parseCpuList(const std::string &list, size_t count);

} // namespace weft
