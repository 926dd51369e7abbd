#pragma once

#include "fd.h"
#include "handle.h"

namespace weft
{

/** A BPF map by a descriptor of its own. */
class BpfMap : public Handle<BpfMap>
{
public:
	static constexpr const char *kName = "BpfMap";
	static std::vector<PropertyDescriptor> properties();
	static Napi::Object adopt(Napi::Env env, const std::string &name, Fd fd);

	explicit BpfMap(const Napi::CallbackInfo &info) : Handle(info) {}

	int fd() const;

private:
	Napi::Value lookup(const Napi::CallbackInfo &info);
	Napi::Value update(const Napi::CallbackInfo &info);
	Napi::Value remove(const Napi::CallbackInfo &info);
	Napi::Value keys(const Napi::CallbackInfo &info);
	Napi::Value updateInner(const Napi::CallbackInfo &info);
	Napi::Value close(const Napi::CallbackInfo &info);
	Bytes keyOf(Napi::Value value) const;

	Fd fd_;
	std::string name_;
	uint32_t keySize_ = 0;
	/** What the bpf system call copies: for per-CPU maps all CPUs' values, each rounded up to 8 bytes. */
	size_t transferSize_ = 0;
	uint32_t maxEntries_ = 0;
};

} // namespace weft
