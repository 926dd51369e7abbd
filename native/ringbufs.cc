#include "cpus.h"
#include "failure.h"
#include "ring.h"
#include "ring_maps.h"

#include <bpf/bpf.h>

namespace weft
{

namespace
{

constexpr const char *kName = "rings";

Fd createRing(size_t bytes)
{
	int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ring", 0, 0, static_cast<uint32_t>(bytes), nullptr);
	if (ring < 0)
		throw Failure("create ring of " + std::to_string(bytes) + " bytes", ring);
	return Fd(ring);
}

/**
 * All in one call where the kernel can (Linux 6.0): it waits for a grace period after each call, 12 ms and more, in
 * case that a program still reads what was there before (maybe_wait_bpf_programs).
 */
void fill(int outer, const std::vector<int> &rings)
{
	std::vector<uint32_t> cpus(rings.size());
	for (uint32_t cpu = 0; cpu < rings.size(); cpu++)
		cpus[cpu] = cpu;
	auto count = static_cast<uint32_t>(rings.size());
	DECLARE_LIBBPF_OPTS(bpf_map_batch_opts, options);
	if (!bpf_map_update_batch(outer, cpus.data(), rings.data(), &count, &options))
		return;
	for (uint32_t cpu : cpus) {
		if (int error = bpf_map_update_elem(outer, &cpu, &rings[cpu], BPF_ANY))
			throw Failure("put ring into map of rings", error);
	}
}

class Ringbufs : public RingMaps
{
public:
	explicit Ringbufs(const RingSizes &sizes) : recordSize_(sizes.recordSize)
	{
		// A CPU that is possible but not there (virtual machines have hundreds): should it come up, its losses are
		// counted like any other's.
		std::vector<int> descriptors;
		for (bool online : onlineCpus()) {
			size_t bytes = online ? sizes.bytesPerRing : pageSize();
			rings_.push_back({createRing(bytes), bytes});
			descriptors.push_back(rings_.back().map.get());
		}
		DECLARE_LIBBPF_OPTS(bpf_map_create_opts, options);
		options.inner_map_fd = static_cast<uint32_t>(descriptors[0]);
		outer_ = Fd(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, kName, 4, 4,
					   static_cast<uint32_t>(rings_.size()), &options));
		if (!outer_)
			throw Failure("create map of rings", errno);
		fill(outer_.get(), descriptors);
	}

	std::vector<Named> maps() const override
	{
		std::vector<Named> maps;
		maps.push_back({kName, duplicate(outer_.get())});
		return maps;
	}

	std::unique_ptr<Merge> consumer() const override
	{
		std::vector<Ring> rings;
		for (const Sized &ring : rings_)
			rings.emplace_back(ring.map.get(), ring.bytes);
		return std::make_unique<RingMerge<Ring>>(std::move(rings), recordSize_);
	}

private:
	struct Sized {
		Fd map;
		size_t bytes;
	};
	std::vector<Sized> rings_;
	Fd outer_;
	uint32_t recordSize_;
};

} // namespace

std::unique_ptr<RingMaps> makeRingbufs(const RingSizes &sizes)
{
	return std::make_unique<Ringbufs>(sizes);
}

} // namespace weft
