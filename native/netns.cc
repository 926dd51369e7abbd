#include "netns.h"

#include "netns_scope.h"

#include <fcntl.h>
#include <optional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace weft
{

namespace
{

/** Kernels before 5.14 have none. */
std::optional<uint64_t> readCookie(int netns)
{
	NetnsScope scope(netns);
	Fd socket(check("open socket in network namespace", ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);
	if (::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) < 0)
		return std::nullopt;
	return cookie;
}

} // namespace

std::vector<Netns::PropertyDescriptor> Netns::properties()
{
	return {bind<&Netns::readFile>("readFile"), bind<&Netns::close>("close")};
}

Napi::Value Netns::open(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	std::string path = info[0].IsNull() ? "/proc/thread-self/ns/net" : stringOf(info[0], "path");
	Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
	if (!fd)
		throw Failure("open network namespace " + path, errno);
	struct statfs filesystem;
	struct stat status;
	check("stat network namespace", ::fstatfs(fd.get(), &filesystem));
	check("stat network namespace", ::fstat(fd.get(), &status));
	if (filesystem.f_type != NSFS_MAGIC)
		throw Failure("open network namespace " + path, EINVAL, "not a namespace file");
	std::optional<uint64_t> cookie = readCookie(fd.get());

	auto [object, netns] = create(env);
	netns->fd_ = std::move(fd);
	std::string identity = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
	constant(object, "cookie", Napi::String::New(env, cookie ? std::to_string(*cookie) : identity));
	constant(object, "hasCookie", Napi::Boolean::New(env, cookie.has_value()));
	constant(object, "inode", Napi::Number::New(env, static_cast<double>(status.st_ino)));
	constant(object, "device", Napi::Number::New(env, static_cast<double>(status.st_dev)));
	return object;
}

int Netns::fd() const
{
	if (!fd_)
		throw Failure("use network namespace", EBADF);
	return fd_.get();
}

Napi::Value Netns::readFile(const Napi::CallbackInfo &info)
{
	std::string path = stringOf(info[0], "path");
	char bytes[4096]; // A sysctl's value.
	ssize_t length;
	{
		NetnsScope scope(fd());
		Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
		length = file ? ::read(file.get(), bytes, sizeof(bytes)) : -1;
		if (length < 0)
			throw Failure("read " + path, errno);
	}
	return Napi::String::New(info.Env(), bytes, static_cast<size_t>(length));
}

Napi::Value Netns::close(const Napi::CallbackInfo &info)
{
	fd_.close();
	return info.Env().Undefined();
}

} // namespace weft
