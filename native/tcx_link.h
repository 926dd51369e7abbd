#pragma once

#include "fd.h"
#include "handle.h"

namespace weft
{

/** A TCX link: the hook is gone when the descriptor is, so a killed process leaves none. */
class TcxLink : public Handle<TcxLink>
{
public:
	static constexpr const char *kName = "TcxLink";
	static std::vector<PropertyDescriptor> properties();
	static Napi::Value attach(const Napi::CallbackInfo &info);
	/** attachTcxAll(places): one after the other, for the kernel holds its RTNL lock for each. */
	static Napi::Value attachAll(const Napi::CallbackInfo &info);
	/** queryTcx(ifindex, egress, netns): ids of the programs on a hook, first to last. */
	static Napi::Value query(const Napi::CallbackInfo &info);

	explicit TcxLink(const Napi::CallbackInfo &info) : Handle(info) {}

private:
	static Napi::Value adopt(Napi::Env env, Fd link);
	Napi::Value update(const Napi::CallbackInfo &info);
	Napi::Value close(const Napi::CallbackInfo &info);

	Fd fd_;
};

} // namespace weft
