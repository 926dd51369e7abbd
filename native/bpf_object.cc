#include "bpf_object.h"

#include "background.h"
#include "bpf_log.h"
#include "bpf_map.h"
#include "bpf_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cstring>

namespace weft
{

namespace
{

void loadObject(bpf_object *object)
{
	BpfLog log;
	// On failure libbpf loads again with the verifier's log on, and prints it.
	if (int error = bpf_object__load(object))
		throw Failure("load BPF object", error, log.tail());
}

} // namespace

void BpfObject::Closer::operator()(bpf_object *object) const
{
	bpf_object__close(object);
}

std::vector<BpfObject::PropertyDescriptor> BpfObject::properties()
{
	return {
		bind<&BpfObject::setRodata>("setRodata"),
		bind<&BpfObject::reuseMap>("reuseMap"),
		bind<&BpfObject::setMaxEntries>("setMaxEntries"),
		bind<&BpfObject::setAutoload>("setAutoload"),
		bind<&BpfObject::load>("load"),
		bind<&BpfObject::loadInBackground>("loadInBackground"),
		bind<&BpfObject::mapNames>("mapNames"),
		bind<&BpfObject::map>("map"),
		bind<&BpfObject::program>("program"),
		bind<&BpfObject::close>("close"),
	};
}

Napi::Value BpfObject::open(const Napi::CallbackInfo &info)
{
	Bytes elf = bytesOf(info[0], "elf");
	BpfLog log;
	DECLARE_LIBBPF_OPTS(bpf_object_open_opts, options);
	options.object_name = "weft";
	std::unique_ptr<bpf_object, Closer> opened(bpf_object__open_mem(elf.start, elf.length, &options));
	if (!opened)
		throw Failure("open BPF object", errno, log.tail());
	auto [object, self] = create(info.Env());
	self->object_ = std::move(opened);
	return object;
}

bpf_object *BpfObject::opened() const
{
	if (!object_)
		throw Failure("use BPF object", EBADF);
	if (busy_)
		throw Failure("use BPF object", EBUSY, "it is being loaded");
	return object_.get();
}

bpf_object *BpfObject::notYetLoaded(const char *operation) const
{
	bpf_object *object = opened();
	if (loaded_)
		throw Failure(operation, EBUSY, "the object is loaded already");
	return object;
}

bpf_object *BpfObject::loaded(const char *operation) const
{
	bpf_object *object = opened();
	if (!loaded_)
		throw Failure(operation, EINVAL, "the object is not loaded");
	return object;
}

bpf_map *BpfObject::findMap(const std::string &name) const
{
	bpf_map *map = bpf_object__find_map_by_name(opened(), name.c_str());
	if (!map)
		throw Failure("find map " + name, ENOENT);
	return map;
}

Napi::Value BpfObject::setRodata(const Napi::CallbackInfo &info)
{
	bpf_object *object = notYetLoaded("set read-only data");
	uint32_t offset = uintOf(info[0], "offset");
	Bytes bytes = bytesOf(info[1], "bytes");
	struct bpf_map *map;
	bpf_object__for_each_map(map, object)
	{
		// Named <object>.rodata; .rodata.str1.1 and the like are the compiler's.
		const char *suffix = strrchr(bpf_map__name(map), '.');
		if (!suffix || strcmp(suffix, ".rodata") != 0)
			continue;
		size_t size = 0;
		const void *initial = bpf_map__initial_value(map, &size);
		if (!initial || offset + bytes.length > size)
			throw Failure("set read-only data", ERANGE,
				      ".rodata has " + std::to_string(size) + " bytes");
		// libbpf takes the section as a whole only.
		const auto *start = static_cast<const uint8_t *>(initial);
		std::vector<uint8_t> content(start, start + size);
		memcpy(content.data() + offset, bytes.start, bytes.length);
		if (int error = bpf_map__set_initial_value(map, content.data(), size))
			throw Failure("set read-only data", error);
		return info.Env().Undefined();
	}
	throw Failure("set read-only data", ENOENT, "the object has no .rodata");
}

Napi::Value BpfObject::reuseMap(const Napi::CallbackInfo &info)
{
	notYetLoaded("reuse map");
	std::string name = stringOf(info[0], "name");
	BpfLog log;
	if (int error = bpf_map__reuse_fd(findMap(name), BpfMap::from(info[1]).fd()))
		throw Failure("reuse map " + name, error, log.tail());
	return info.Env().Undefined();
}

Napi::Value BpfObject::setMaxEntries(const Napi::CallbackInfo &info)
{
	notYetLoaded("set map's size");
	std::string name = stringOf(info[0], "name");
	if (int error = bpf_map__set_max_entries(findMap(name), uintOf(info[1], "entries")))
		throw Failure("set size of map " + name, error);
	return info.Env().Undefined();
}

Napi::Value BpfObject::setAutoload(const Napi::CallbackInfo &info)
{
	bpf_object *object = notYetLoaded("choose programs");
	std::string name = stringOf(info[0], "program");
	bpf_program *program = bpf_object__find_program_by_name(object, name.c_str());
	if (!program)
		throw Failure("find program " + name, ENOENT);
	if (int error = bpf_program__set_autoload(program, boolOf(info[1], "load")))
		throw Failure("choose program " + name, error);
	return info.Env().Undefined();
}

Napi::Value BpfObject::load(const Napi::CallbackInfo &info)
{
	loadObject(notYetLoaded("load BPF object"));
	loaded_ = true;
	return info.Env().Undefined();
}

Napi::Value BpfObject::loadInBackground(const Napi::CallbackInfo &info)
{
	bpf_object *object = notYetLoaded("load BPF object");
	busy_ = true;
	Background::Task task;
	task.keep = info.This().As<Napi::Object>();
	task.work = [object] { loadObject(object); };
	task.after = [this] { busy_ = false; };
	task.finish = [this](Napi::Env env) {
		loaded_ = true;
		return env.Undefined();
	};
	return Background::run(info.Env(), "weft load", std::move(task));
}

Napi::Value BpfObject::mapNames(const Napi::CallbackInfo &info)
{
	Napi::Array names = Napi::Array::New(info.Env());
	struct bpf_map *map;
	bpf_object__for_each_map(map, opened())
	{
		if (!bpf_map__is_internal(map))
			names.Set(names.Length(), bpf_map__name(map));
	}
	return names;
}

Napi::Value BpfObject::map(const Napi::CallbackInfo &info)
{
	loaded("take map");
	std::string name = stringOf(info[0], "name");
	return BpfMap::adopt(info.Env(), name, duplicate(bpf_map__fd(findMap(name))));
}

Napi::Value BpfObject::program(const Napi::CallbackInfo &info)
{
	bpf_object *object = loaded("take program");
	std::string name = stringOf(info[0], "name");
	bpf_program *program = bpf_object__find_program_by_name(object, name.c_str());
	if (!program || bpf_program__fd(program) < 0)
		throw Failure("find loaded program " + name, ENOENT);
	return BpfProgram::adopt(info.Env(), name, duplicate(bpf_program__fd(program)));
}

Napi::Value BpfObject::close(const Napi::CallbackInfo &info)
{
	if (busy_)
		throw Failure("close BPF object", EBUSY, "it is being loaded");
	object_.reset();
	return info.Env().Undefined();
}

} // namespace weft
