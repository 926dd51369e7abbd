#include "bpf_program.h"

#include <bpf/bpf.h>
#include <cstring>

namespace weft
{

std::vector<BpfProgram::PropertyDescriptor> BpfProgram::properties()
{
	return {bind<&BpfProgram::missed>("missed"), bind<&BpfProgram::testRun>("testRun"),
		bind<&BpfProgram::close>("close")};
}

Napi::Object BpfProgram::adopt(Napi::Env env, const std::string &name, Fd fd)
{
	struct bpf_prog_info facts = {};
	uint32_t length = sizeof(facts);
	if (int error = bpf_obj_get_info_by_fd(fd.get(), &facts, &length))
		throw Failure("read facts of program " + name, error);
	auto [object, program] = create(env);
	program->fd_ = std::move(fd);
	program->name_ = name;
	constant(object, "name", Napi::String::New(env, name));
	constant(object, "id", Napi::Number::New(env, facts.id));
	return object;
}

int BpfProgram::fd() const
{
	if (!fd_)
		throw Failure("use program " + name_, EBADF);
	return fd_.get();
}

Napi::Value BpfProgram::missed(const Napi::CallbackInfo &info)
{
	struct bpf_prog_info facts = {};
	uint32_t length = sizeof(facts);
	if (int error = bpf_obj_get_info_by_fd(fd(), &facts, &length))
		throw Failure("read facts of program " + name_, error);
	return Napi::Number::New(info.Env(), static_cast<double>(facts.recursion_misses));
}

Napi::Value BpfProgram::testRun(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	int program = fd();
	Bytes packet = bytesOf(info[0], "packet");
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, options);
	options.repeat = 1;
	// The program may push headers: tc's largest growth is far below this.
	std::vector<uint8_t> out(packet.length + 256);
	options.data_in = packet.start;
	options.data_size_in = static_cast<uint32_t>(packet.length);
	options.data_out = out.data();
	options.data_size_out = static_cast<uint32_t>(out.size());
	if (info[1].IsObject()) {
		Napi::Object given = info[1].As<Napi::Object>();
		if (Napi::Value repeat = given.Get("repeat"); !repeat.IsUndefined())
			options.repeat = static_cast<int>(uintOf(repeat, "repeat"));
		if (Napi::Value context = given.Get("context"); !context.IsUndefined()) {
			Bytes raw = bytesOf(context, "context");
			options.ctx_in = raw.start;
			options.ctx_size_in = static_cast<uint32_t>(raw.length);
		}
	}
	if (int error = bpf_prog_test_run_opts(program, &options))
		throw Failure("test run of program " + name_, error);
	Napi::Object result = Napi::Object::New(env);
	result.Set("returned", static_cast<int32_t>(options.retval));
	result.Set("durationNs", options.duration);
	result.Set("packet", copyToJs(env, out.data(), options.data_size_out));
	return result;
}

Napi::Value BpfProgram::close(const Napi::CallbackInfo &info)
{
	fd_.close();
	return info.Env().Undefined();
}

} // namespace weft
