#pragma once

#include "bpf_program.h"
#include "netns.h"

namespace weft
{

/** TcAttach of src/kernel/native.ts: which program goes where. Descriptors are borrowed for the call. */
struct TcAttach {
	explicit TcAttach(Napi::Value value)
	{
		if (!value.IsObject())
			throw Napi::TypeError::New(value.Env(), "expected a TcAttach");
		Napi::Object given = value.As<Napi::Object>();
		program = BpfProgram::from(given.Get("program")).fd();
		ifindex = uintOf(given.Get("ifindex"), "ifindex");
		egress = boolOf(given.Get("egress"), "egress");
		netns = Netns::from(given.Get("netns")).fd();
	}

	std::string describe() const
	{
		return std::string(egress ? "egress" : "ingress") + " of device " + std::to_string(ifindex);
	}

	int program;
	uint32_t ifindex;
	bool egress;
	int netns;
};

} // namespace weft
