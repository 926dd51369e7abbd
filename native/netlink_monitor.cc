#include "netlink_monitor.h"

#include "netns.h"
#include "netns_scope.h"

#include <cstring>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

namespace weft
{

namespace
{

constexpr int kReceiveBuffer = 4 << 20;
/** Beyond this JavaScript is told that it missed something, and dumps again. */
constexpr size_t kQueueBytes = 16 << 20;
/** struct nlmsghdr and attributes of one notification; the kernel sends at most a page or two each. */
constexpr size_t kDatagramBytes = 64 * 1024;

Fd openSocket(int netns, const std::vector<uint32_t> &groups, bool allNamespaces)
{
	NetnsScope scope(netns);
	Fd socket(
		check("open netlink monitor", ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)));
	// FORCE needs CAP_NET_ADMIN, and without it the default buffer has to do: an overrun is told.
	(void)::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof(kReceiveBuffer));
	sockaddr_nl any = {};
	any.nl_family = AF_NETLINK;
	check("bind netlink monitor", ::bind(socket.get(), reinterpret_cast<sockaddr *>(&any), sizeof(any)));
	for (uint32_t group : groups)
		check("join netlink group",
		      ::setsockopt(socket.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)));
	int on = 1;
	if (allNamespaces)
		check("listen to all namespaces",
		      ::setsockopt(socket.get(), SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof(on)));
	return socket;
}

/** NETLINKA_… comes as a control message only from other namespaces; −1: the socket's own. */
int nsidOf(msghdr &message)
{
	for (cmsghdr *control = CMSG_FIRSTHDR(&message); control; control = CMSG_NXTHDR(&message, control)) {
		if (control->cmsg_level == SOL_NETLINK && control->cmsg_type == NETLINK_LISTEN_ALL_NSID) {
			int nsid;
			memcpy(&nsid, CMSG_DATA(control), sizeof(nsid));
			return nsid;
		}
	}
	return -1;
}

} // namespace

std::vector<NetlinkMonitor::PropertyDescriptor> NetlinkMonitor::properties()
{
	return {bind<&NetlinkMonitor::close>("close")};
}

Napi::Value NetlinkMonitor::open(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	int netns = Netns::from(info[0]).fd();
	if (!info[1].IsArray())
		throw Napi::TypeError::New(env, "groups must be an array");
	auto array = info[1].As<Napi::Array>();
	std::vector<uint32_t> groups;
	for (uint32_t index = 0; index < array.Length(); index++)
		groups.push_back(uintOf(array.Get(index), "group"));
	bool allNamespaces = boolOf(info[2], "allNamespaces");
	Napi::Function onMessages = functionOf(info[3], "onMessages");
	Fd socket = openSocket(netns, groups, allNamespaces);
	Fd stopEvent(check("open event", ::eventfd(0, EFD_CLOEXEC)));

	auto [object, monitor] = create(env);
	monitor->socket_ = std::move(socket);
	monitor->stopEvent_ = std::move(stopEvent);
	monitor->onMessages_ = Napi::Persistent(onMessages);
	monitor->wakeup_ = std::make_unique<Wakeup>(env, "weft netlink monitor",
						    [self = monitor](Napi::Env env) { self->deliver(env); });
	// After the Wakeup: teardown runs in reverse, and the thread must end before what it signals.
	napi_add_env_cleanup_hook(env, onTeardown, monitor);
	monitor->Ref(); // Listening keeps it alive, until close.
	monitor->thread_ = std::thread([self = monitor] { self->listen(); });
	return object;
}

Napi::Value NetlinkMonitor::close(const Napi::CallbackInfo &info)
{
	if (wakeup_) {
		stop();
		napi_remove_env_cleanup_hook(info.Env(), onTeardown, this);
		onMessages_.Reset();
		Unref();
	}
	return info.Env().Undefined();
}

void NetlinkMonitor::stop()
{
	if (!thread_.joinable())
		return;
	uint64_t one = 1;
	(void)!::write(stopEvent_.get(), &one, sizeof(one));
	thread_.join();
	wakeup_->close();
	wakeup_.reset();
	socket_.close();
	stopEvent_.close();
}

void NetlinkMonitor::listen()
{
	std::vector<uint8_t> buffer(kDatagramBytes);
	for (;;) {
		pollfd ready[] = {{socket_.get(), POLLIN, 0}, {stopEvent_.get(), POLLIN, 0}};
		if (::poll(ready, 2, -1) < 0 && errno != EINTR)
			return;
		if (ready[1].revents)
			return;
		sockaddr_nl sender = {};
		alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int)) * 4];
		iovec data = {buffer.data(), buffer.size()};
		msghdr message = {};
		message.msg_name = &sender;
		message.msg_namelen = sizeof(sender);
		message.msg_iov = &data;
		message.msg_iovlen = 1;
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		ssize_t received = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT);
		if (received < 0) {
			if (errno == ENOBUFS)
				enqueue({{}, -1});
			continue;
		}
		if (sender.nl_pid != 0)
			continue;
		if (message.msg_flags & MSG_TRUNC)
			enqueue({{}, -1});
		else
			enqueue({{buffer.data(), buffer.data() + received}, nsidOf(message)});
	}
}

void NetlinkMonitor::enqueue(Heard heard)
{
	{
		std::lock_guard lock(mutex_);
		if (heardBytes_ + heard.messages.size() > kQueueBytes) {
			heard_.clear();
			heardBytes_ = 0;
			heard = {{}, -1};
		}
		heardBytes_ += heard.messages.size();
		heard_.push_back(std::move(heard));
	}
	wakeup_->signal();
}

void NetlinkMonitor::deliver(Napi::Env env)
{
	std::deque<Heard> heard;
	{
		std::lock_guard lock(mutex_);
		heard.swap(heard_);
		heardBytes_ = 0;
	}
	for (const Heard &one : heard) {
		if (onMessages_.IsEmpty())
			return; // Closed by the callback before.
		Napi::HandleScope scope(env);
		Napi::Value messages = env.Null();
		if (!one.messages.empty())
			messages = copyToJs(env, one.messages.data(), one.messages.size());
		onMessages_.Call({messages, Napi::Number::New(env, one.nsid)});
	}
}

} // namespace weft
