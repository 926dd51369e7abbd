#pragma once

#include "fd.h"
#include "handle.h"

namespace weft
{

/** A program on its kernel tracepoint (SEC "tp_btf/…"): gone when the descriptor is. */
class TracingLink : public Handle<TracingLink>
{
public:
	static constexpr const char *kName = "TracingLink";
	static std::vector<PropertyDescriptor> properties();
	static Napi::Value attach(const Napi::CallbackInfo &info);

	explicit TracingLink(const Napi::CallbackInfo &info) : Handle(info) {}

private:
	Napi::Value close(const Napi::CallbackInfo &info);

	Fd fd_;
};

} // namespace weft
