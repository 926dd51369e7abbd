#include "tracing_link.h"

#include "bpf_program.h"

#include <bpf/bpf.h>

namespace weft
{

std::vector<TracingLink::PropertyDescriptor> TracingLink::properties()
{
	return {bind<&TracingLink::close>("close")};
}

Napi::Value TracingLink::attach(const Napi::CallbackInfo &info)
{
	// Which tracepoint was settled at load, by the program's attach_btf_id.
	int link = bpf_raw_tracepoint_open(nullptr, BpfProgram::from(info[0]).fd());
	if (link < 0)
		throw Failure("attach to tracepoint", link);
	Fd fd(link);
	auto [object, self] = create(info.Env());
	self->fd_ = std::move(fd);
	return object;
}

Napi::Value TracingLink::close(const Napi::CallbackInfo &info)
{
	fd_.close();
	return info.Env().Undefined();
}

} // namespace weft
