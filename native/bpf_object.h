#pragma once

#include "handle.h"

#include <memory>

struct bpf_object;
struct bpf_map;

namespace weft
{

/** An opened object file: knobs, then load. Its maps and programs leave it with descriptors of their own. */
class BpfObject : public Handle<BpfObject>
{
public:
	static constexpr const char *kName = "BpfObject";
	static std::vector<PropertyDescriptor> properties();
	static Napi::Value open(const Napi::CallbackInfo &info);

	explicit BpfObject(const Napi::CallbackInfo &info) : Handle(info) {}

private:
	Napi::Value setRodata(const Napi::CallbackInfo &info);
	Napi::Value reuseMap(const Napi::CallbackInfo &info);
	Napi::Value setMaxEntries(const Napi::CallbackInfo &info);
	Napi::Value setAutoload(const Napi::CallbackInfo &info);
	Napi::Value load(const Napi::CallbackInfo &info);
	Napi::Value loadInBackground(const Napi::CallbackInfo &info);
	Napi::Value mapNames(const Napi::CallbackInfo &info);
	Napi::Value map(const Napi::CallbackInfo &info);
	Napi::Value program(const Napi::CallbackInfo &info);
	Napi::Value close(const Napi::CallbackInfo &info);

	bpf_object *opened() const;
	bpf_object *notYetLoaded(const char *operation) const;
	bpf_object *loaded(const char *operation) const;
	bpf_map *findMap(const std::string &name) const;

	struct Closer {
		void operator()(bpf_object *object) const;
	};
	std::unique_ptr<bpf_object, Closer> object_;
	bool loaded_ = false;
	/** A thread of the pool works on the object: hands off. */
	bool busy_ = false;
};

} // namespace weft
