#include "layouts.h"

#include "bpf_log.h"
#include "handle.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <memory>

namespace weft
{

namespace
{

struct CloseObject {
	void operator()(bpf_object *object) const { bpf_object__close(object); }
};

struct CloseBtf {
	void operator()(btf *btf) const { btf__free(btf); }
};

/** Opens the object only to let libbpf find and check its BTF. */
class ObjectBtf
{
public:
	explicit ObjectBtf(Bytes elf)
	{
		BpfLog log;
		object_.reset(bpf_object__open_mem(elf.start, elf.length, nullptr));
		if (!object_)
			throw Failure("read BTF", errno, log.tail());
		btf_ = bpf_object__btf(object_.get());
		if (!btf_)
			throw Failure("read BTF", ENOENT, "the object has no BTF: compile with -g");
	}

	const btf *get() const { return btf_; }

private:
	std::unique_ptr<bpf_object, CloseObject> object_;
	const btf *btf_ = nullptr;
};

const btf_type *resolve(const btf *btf, uint32_t id)
{
	const btf_type *type = btf__type_by_id(btf, id);
	while (btf_is_mod(type) || btf_is_typedef(type))
		type = btf__type_by_id(btf, type->type);
	return type;
}

/** Adds members at `base`; nested structs and unions as `outer.inner`, anonymous ones as if they were not there. */
void addMembers(Napi::Object members, const btf *btf, const btf_type *type, const std::string &prefix,
		uint32_t base)
{
	for (uint32_t index = 0; index < btf_vlen(type); index++) {
		const btf_member &member = btf_members(type)[index];
		if (btf_member_bitfield_size(type, index))
			continue; // A bit field has no byte offset; records do without them.
		uint32_t offset = base + btf_member_bit_offset(type, index) / 8;
		std::string name = btf__name_by_offset(btf, member.name_off);
		if (!name.empty()) {
			Napi::Object place = Napi::Object::New(members.Env());
			place.Set("offset", offset);
			place.Set("size", static_cast<double>(btf__resolve_size(btf, member.type)));
			members.Set(prefix + name, place);
		}
		const btf_type *inner = resolve(btf, member.type);
		if (btf_is_composite(inner))
			addMembers(members, btf, inner, name.empty() ? prefix : prefix + name + ".", offset);
	}
}

Napi::Object valuesOf(Napi::Env env, const btf *btf, const btf_type *type)
{
	Napi::Object values = Napi::Object::New(env);
	for (uint32_t index = 0; index < btf_vlen(type); index++) {
		const struct btf_enum &value = ::btf_enum(type)[index];
		values.Set(btf__name_by_offset(btf, value.name_off), value.val);
	}
	return values;
}

} // namespace

Napi::Value btfLayouts(const Napi::CallbackInfo &info)
{
	ObjectBtf object(bytesOf(info[0], "elf"));
	const btf *btf = object.get();
	Napi::Object layouts = Napi::Object::New(info.Env());
	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		const btf_type *type = btf__type_by_id(btf, id);
		std::string name = btf__name_by_offset(btf, type->name_off);
		if (!btf_is_composite(type) || name.empty())
			continue;
		Napi::Object layout = Napi::Object::New(info.Env());
		Napi::Object members = Napi::Object::New(info.Env());
		addMembers(members, btf, type, "", 0);
		layout.Set("size", type->size);
		layout.Set("members", members);
		layouts.Set(name, layout);
	}
	return layouts;
}

Napi::Value btfEnums(const Napi::CallbackInfo &info)
{
	ObjectBtf object(bytesOf(info[0], "elf"));
	const btf *btf = object.get();
	Napi::Object enums = Napi::Object::New(info.Env());
	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		const btf_type *type = btf__type_by_id(btf, id);
		std::string name = btf__name_by_offset(btf, type->name_off);
		if (btf_is_enum(type) && !name.empty())
			enums.Set(name, valuesOf(info.Env(), btf, type));
	}
	return enums;
}

Napi::Value kernelEnum(const Napi::CallbackInfo &info)
{
	std::string name = stringOf(info[0], "name");
	std::unique_ptr<btf, CloseBtf> kernel(btf__load_vmlinux_btf());
	if (!kernel)
		throw Failure("read the kernel's BTF", errno);
	int32_t id = btf__find_by_name_kind(kernel.get(), name.c_str(), BTF_KIND_ENUM);
	if (id < 0)
		return info.Env().Null();
	return valuesOf(info.Env(), kernel.get(), btf__type_by_id(kernel.get(), static_cast<uint32_t>(id)));
}

} // namespace weft
