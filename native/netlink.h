#pragma once

#include "handle.h"
#include "netlink_socket.h"

namespace weft
{

/** A netlink socket inside a namespace, for requests. */
class Netlink : public Handle<Netlink>
{
public:
	static constexpr const char *kName = "Netlink";
	static std::vector<PropertyDescriptor> properties();
	static Napi::Value open(const Napi::CallbackInfo &info);

	explicit Netlink(const Napi::CallbackInfo &info) : Handle(info) {}

private:
	Napi::Value request(const Napi::CallbackInfo &info);
	Napi::Value close(const Napi::CallbackInfo &info);

	NetlinkSocket socket_;
};

} // namespace weft
