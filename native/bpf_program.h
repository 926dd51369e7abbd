#pragma once

#include "fd.h"
#include "handle.h"

namespace weft
{

/** A loaded BPF program by a descriptor of its own. */
class BpfProgram : public Handle<BpfProgram>
{
public:
	static constexpr const char *kName = "BpfProgram";
	static std::vector<PropertyDescriptor> properties();
	static Napi::Object adopt(Napi::Env env, const std::string &name, Fd fd);

	explicit BpfProgram(const Napi::CallbackInfo &info) : Handle(info) {}

	int fd() const;

private:
	Napi::Value missed(const Napi::CallbackInfo &info);
	Napi::Value testRun(const Napi::CallbackInfo &info);
	Napi::Value close(const Napi::CallbackInfo &info);

	Fd fd_;
	std::string name_;
};

} // namespace weft
