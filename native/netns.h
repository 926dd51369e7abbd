#pragma once

#include "fd.h"
#include "handle.h"

namespace weft
{

/** A network namespace held open by a descriptor. While it is open the namespace lives on. */
class Netns : public Handle<Netns>
{
public:
	static constexpr const char *kName = "Netns";
	static std::vector<PropertyDescriptor> properties();
	/** By path, or the caller's own for null. */
	static Napi::Value open(const Napi::CallbackInfo &info);

	explicit Netns(const Napi::CallbackInfo &info) : Handle(info) {}

	/** Throws EBADF once closed. */
	int fd() const;

private:
	/** A file that shows the namespace of whoever reads it: /proc/sys/net and the like. */
	Napi::Value readFile(const Napi::CallbackInfo &info);
	Napi::Value close(const Napi::CallbackInfo &info);

	Fd fd_;
};

} // namespace weft
