#include "netlink.h"

#include "netns.h"

#include <linux/netlink.h>

namespace weft
{

std::vector<Netlink::PropertyDescriptor> Netlink::properties()
{
	return {bind<&Netlink::request>("request"), bind<&Netlink::close>("close")};
}

Napi::Value Netlink::open(const Napi::CallbackInfo &info)
{
	int netns = Netns::from(info[0]).fd();
	int protocol = info[1].IsUndefined() ? NETLINK_ROUTE : static_cast<int>(uintOf(info[1], "protocol"));
	NetlinkSocket socket(netns, protocol);
	auto [object, self] = create(info.Env());
	self->socket_ = std::move(socket);
	return object;
}

Napi::Value Netlink::request(const Napi::CallbackInfo &info)
{
	if (!socket_)
		throw Failure("use netlink socket", EBADF);
	Bytes message = bytesOf(info[0], "message");
	std::vector<uint8_t> answer = socket_.request(message.start, message.length);
	return copyToJs(info.Env(), answer.data(), answer.size());
}

Napi::Value Netlink::close(const Napi::CallbackInfo &info)
{
	socket_.close();
	return info.Env().Undefined();
}

} // namespace weft
