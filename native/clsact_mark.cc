#include "clsact_mark.h"

#include "failure.h"

#include <algorithm>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>

namespace weft
{

namespace
{

constexpr char kPrefix[] = "weft/";
constexpr char kQdisc[] = "+qdisc";

} // namespace

std::string ClsactMark::name() const
{
	return kPrefix + owner + (qdisc ? kQdisc : "");
}

bool ClsactMark::parse(const std::string &name, ClsactMark &mark)
{
	constexpr size_t prefix = sizeof(kPrefix) - 1, suffix = sizeof(kQdisc) - 1;
	if (name.compare(0, prefix, kPrefix) != 0)
		return false;
	mark.owner = name.substr(prefix);
	size_t end = mark.owner.size() - std::min(mark.owner.size(), suffix);
	mark.qdisc = mark.owner.compare(end, suffix, kQdisc) == 0;
	if (mark.qdisc)
		mark.owner.resize(end);
	return true;
}

Fd bindOwner(const std::string &owner)
{
	Fd socket(check("open proof of life", ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
	sockaddr_un address = {};
	address.sun_family = AF_UNIX;
	std::string name = kPrefix + owner;
	// The leading zero makes it abstract: known in this namespace only, gone with the socket.
	size_t length = std::min(name.size(), sizeof(address.sun_path) - 1);
	memcpy(address.sun_path + 1, name.data(), length);
	auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
	if (::bind(socket.get(), reinterpret_cast<sockaddr *>(&address), size) < 0) {
		if (errno == EADDRINUSE)
			return Fd();
		throw Failure("bind proof of life", errno);
	}
	return socket;
}

bool isOwnerAlive(const std::string &owner)
{
	return !bindOwner(owner);
}

void removeFilter(Clsact &clsact, const ClsactHook &hook, const ClsactFilter &filter, const ClsactMark &mark)
{
	clsact.remove(hook, filter.priority, filter.handle);
	if (!mark.qdisc)
		return;
	bool empty =
		clsact.filters({hook.ifindex, false}).empty() && clsact.filters({hook.ifindex, true}).empty();
	if (empty)
		clsact.removeQdisc(hook.ifindex);
}

} // namespace weft
