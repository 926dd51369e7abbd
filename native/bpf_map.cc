#include "bpf_map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cstring>

namespace weft
{

namespace
{

bool isPerCpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

} // namespace

std::vector<BpfMap::PropertyDescriptor> BpfMap::properties()
{
	return {
		bind<&BpfMap::lookup>("lookup"),           bind<&BpfMap::update>("update"),
		bind<&BpfMap::remove>("delete"),           bind<&BpfMap::keys>("keys"),
		bind<&BpfMap::updateInner>("updateInner"), bind<&BpfMap::close>("close"),
	};
}

Napi::Object BpfMap::adopt(Napi::Env env, const std::string &name, Fd fd)
{
	struct bpf_map_info facts = {};
	uint32_t length = sizeof(facts);
	if (int error = bpf_obj_get_info_by_fd(fd.get(), &facts, &length))
		throw Failure("read facts of map " + name, error);
	auto [object, map] = create(env);
	map->fd_ = std::move(fd);
	map->name_ = name;
	map->keySize_ = facts.key_size;
	map->maxEntries_ = facts.max_entries;
	map->transferSize_ = facts.value_size;
	if (isPerCpu(facts.type)) {
		size_t each = (facts.value_size + 7u) & ~size_t{7};
		map->transferSize_ = each * static_cast<size_t>(libbpf_num_possible_cpus());
	}
	constant(object, "name", Napi::String::New(env, name));
	constant(object, "keySize", Napi::Number::New(env, facts.key_size));
	constant(object, "valueSize", Napi::Number::New(env, facts.value_size));
	constant(object, "maxEntries", Napi::Number::New(env, facts.max_entries));
	return object;
}

int BpfMap::fd() const
{
	if (!fd_)
		throw Failure("use map " + name_, EBADF);
	return fd_.get();
}

Bytes BpfMap::keyOf(Napi::Value value) const
{
	Bytes key = bytesOf(value, "key");
	if (key.length != keySize_)
		throw Failure("use map " + name_, EINVAL,
			      "key has " + std::to_string(key.length) + " bytes, not " +
				      std::to_string(keySize_));
	return key;
}

Napi::Value BpfMap::lookup(const Napi::CallbackInfo &info)
{
	int map = fd();
	Bytes key = keyOf(info[0]);
	Napi::Uint8Array value = Napi::Uint8Array::New(info.Env(), transferSize_);
	if (int error = bpf_map_lookup_elem(map, key.start, value.Data())) {
		if (error == -ENOENT)
			return info.Env().Null();
		throw Failure("look up in map " + name_, error);
	}
	return value;
}

Napi::Value BpfMap::update(const Napi::CallbackInfo &info)
{
	int map = fd();
	Bytes key = keyOf(info[0]);
	Bytes value = bytesOf(info[1], "value");
	if (value.length != transferSize_)
		throw Failure("update map " + name_, EINVAL,
			      "value has " + std::to_string(value.length) + " bytes, not " +
				      std::to_string(transferSize_));
	if (int error = bpf_map_update_elem(map, key.start, value.start, BPF_ANY))
		throw Failure("update map " + name_, error);
	return info.Env().Undefined();
}

Napi::Value BpfMap::remove(const Napi::CallbackInfo &info)
{
	int map = fd();
	int error = bpf_map_delete_elem(map, keyOf(info[0]).start);
	if (error && error != -ENOENT)
		throw Failure("delete from map " + name_, error);
	return Napi::Boolean::New(info.Env(), error == 0);
}

Napi::Value BpfMap::keys(const Napi::CallbackInfo &info)
{
	int map = fd();
	std::vector<uint8_t> all;
	std::vector<uint8_t> key(keySize_);
	const void *previous = nullptr;
	// When `previous` is deleted meanwhile the kernel starts again: the bound ends what would go round for ever.
	for (uint32_t found = 0; found < maxEntries_; found++) {
		int error = bpf_map_get_next_key(map, previous, key.data());
		if (error == -ENOENT)
			break;
		if (error)
			throw Failure("list keys of map " + name_, error);
		all.insert(all.end(), key.begin(), key.end());
		previous = all.data() + all.size() - keySize_;
	}
	return copyToJs(info.Env(), all.data(), all.size());
}

Napi::Value BpfMap::updateInner(const Napi::CallbackInfo &info)
{
	int map = fd();
	int inner = BpfMap::from(info[1]).fd();
	if (int error = bpf_map_update_elem(map, keyOf(info[0]).start, &inner, BPF_ANY))
		throw Failure("update map of maps " + name_, error);
	return info.Env().Undefined();
}

Napi::Value BpfMap::close(const Napi::CallbackInfo &info)
{
	fd_.close();
	return info.Env().Undefined();
}

} // namespace weft
