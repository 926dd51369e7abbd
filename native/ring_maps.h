#pragma once

#include "fd.h"
#include "ring_merge.h"

#include <memory>
#include <vector>

namespace weft
{

/** The maps that the programs of all CPUs write their records into, and whoever reads them. */
class RingMaps
{
public:
	virtual ~RingMaps() = default;

	struct Named {
		/** What the programs call it: libbpf renames a map that is reused to what the kernel calls it. */
		const char *name;
		Fd map;
	};
	/** Another descriptor of each. */
	virtual std::vector<Named> maps() const = 0;
	/** Goes on where the last one stopped; one at a time. */
	virtual std::unique_ptr<Merge> consumer() const = 0;
};

struct RingSizes {
	/** Of each CPU, a power of two. CPUs that are possible but not there get as little as there is. */
	size_t bytesPerRing;
	uint32_t recordSize;
};

/** Ring buffers inside an array of maps, for programs that may be interrupted by themselves. Throws Failure. */
std::unique_ptr<RingMaps> makeRingbufs(const RingSizes &sizes);
/** The rings of bpf/ring.h, for programs that nothing interrupts on their CPU. Throws Failure. */
std::unique_ptr<RingMaps> makeRecordRings(const RingSizes &sizes);

} // namespace weft
