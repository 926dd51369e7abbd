#include "cpus.h"

#include <bpf/libbpf.h>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace weft
{

std::vector<bool> onlineCpus()
{
	size_t possible = static_cast<size_t>(libbpf_num_possible_cpus());
	std::ifstream file("/sys/devices/system/cpu/online");
	std::string list;
	if (!std::getline(file, list))
		return std::vector<bool>(possible, true);
	return parseCpuList(list, possible);
}

std::vector<bool> parseCpuList(const std::string &list, size_t count)
{
	std::vector<bool> cpus(count);
	std::istringstream ranges(list);
	std::string range;
	while (std::getline(ranges, range, ',')) {
		size_t first = 0, last = 0;
		int fields = std::sscanf(range.c_str(), "%zu-%zu", &first, &last);
		if (fields < 1)
			continue;
		for (size_t cpu = first; cpu <= (fields == 2 ? last : first) && cpu < count; cpu++)
			cpus[cpu] = true;
	}
	return cpus;
}

} // namespace weft
