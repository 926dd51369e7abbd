#include "cpus.h"
#include "failure.h"
#include "record_ring.h"
#include "ring_maps.h"

#include <bpf/bpf.h>
#include <sys/mman.h>

namespace weft
{

namespace
{

/** Of a CPU that is possible but not there: should it come up, its losses are counted like any other's. */
constexpr uint32_t kFewest = 32;

/** An array that user space can map. */
Fd createArray(const char *name, size_t valueSize, size_t entries)
{
	DECLARE_LIBBPF_OPTS(bpf_map_create_opts, options);
	options.map_flags = BPF_F_MMAPABLE;
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, 4, static_cast<uint32_t>(valueSize),
				 static_cast<uint32_t>(entries), &options);
	if (map < 0)
		throw Failure("create ring of " + std::to_string(valueSize * entries) + " bytes", map);
	return Fd(map);
}

/** Of each possible CPU, a power of two. */
std::vector<uint32_t> recordsOf(const RingSizes &sizes)
{
	uint32_t most = kFewest;
	while (size_t{most} * 2 * sizes.recordSize <= sizes.bytesPerRing)
		most *= 2;
	std::vector<uint32_t> counts;
	for (bool online : onlineCpus())
		counts.push_back(online ? most : kFewest);
	return counts;
}

class RecordRings : public RingMaps
{
public:
	explicit RecordRings(const RingSizes &sizes) : recordSize_(sizes.recordSize)
	{
		if (recordSize_ % 8 != 0)
			throw Failure("create ring", EINVAL, "records must be of whole 8 bytes");
		std::vector<uint32_t> counts = recordsOf(sizes);
		uint32_t records = 0;
		for (uint32_t count : counts)
			records += count;
		rings_ = createArray("rings", sizeof(weft_ring), counts.size());
		records_ = createArray("records", recordSize_, records);
		cpus_ = static_cast<uint32_t>(counts.size());
		memory_ = std::make_shared<const RecordMemory>(RecordMemory{
			Mapping("rings", rings_.get(), sizeof(weft_ring) * cpus_, PROT_READ | PROT_WRITE),
			Mapping("records", records_.get(), size_t{recordSize_} * records, PROT_READ),
		});
		auto *ring = reinterpret_cast<weft_ring *>(memory_->rings.start());
		uint32_t first = 0;
		for (uint32_t count : counts) {
			ring->first = first;
			ring->mask = count - 1;
			first += count;
			ring++;
		}
	}

	std::vector<Named> maps() const override
	{
		std::vector<Named> maps;
		maps.push_back({"rings", duplicate(rings_.get())});
		maps.push_back({"records", duplicate(records_.get())});
		return maps;
	}

	std::unique_ptr<Merge> consumer() const override
	{
		std::vector<RecordRing> rings;
		for (uint32_t cpu = 0; cpu < cpus_; cpu++)
			rings.emplace_back(memory_, cpu, recordSize_);
		return std::make_unique<RingMerge<RecordRing>>(std::move(rings), recordSize_);
	}

private:
	Fd rings_;
	Fd records_;
	std::shared_ptr<const RecordMemory> memory_;
	uint32_t cpus_ = 0;
	uint32_t recordSize_;
};

} // namespace

std::unique_ptr<RingMaps> makeRecordRings(const RingSizes &sizes)
{
	return std::make_unique<RecordRings>(sizes);
}

} // namespace weft
