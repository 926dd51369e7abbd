#include "tcx_link.h"

#include "background.h"
#include "bpf_program.h"
#include "netns.h"
#include "netns_scope.h"
#include "tc_attach.h"

#include <linux/bpf.h>
#include <memory>
#include <optional>
#include <sys/syscall.h>

namespace weft
{

namespace
{

// linux/bpf.h of Debian 12 (Linux 6.1) has none of TCX yet; libbpf 1.1 neither. These are the kernel's since 6.6.
constexpr uint32_t kTcxIngress = 46;
constexpr uint32_t kTcxEgress = 47;
constexpr uint32_t kBefore = 1u << 3; // BPF_F_BEFORE without a relative: first of all

struct LinkCreate { // union bpf_attr, link_create with tcx
	uint32_t program;
	uint32_t ifindex;
	uint32_t attachType;
	uint32_t flags;
	uint32_t relative;
	uint32_t padding;
	uint64_t expectedRevision;
};

struct LinkUpdate { // union bpf_attr, link_update
	uint32_t link;
	uint32_t newProgram;
	uint32_t flags;
	uint32_t oldProgram;
};

struct Query { // union bpf_attr, query
	uint32_t ifindex;
	uint32_t attachType;
	uint32_t queryFlags;
	uint32_t attachFlags;
	uint64_t programs;
	uint32_t count;
	uint32_t padding;
	uint64_t programAttachFlags;
	uint64_t links;
	uint64_t linkAttachFlags;
	uint64_t revision;
};

template <class Attributes> int bpf(int command, Attributes &attributes)
{
	return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof(attributes)));
}

/** Where a link goes, and what came of it. */
struct Place {
	// The caller may close its handles before the pool's thread gets to it.
	explicit Place(const TcAttach &where)
	    : where(where), program(duplicate(where.program)), netns(duplicate(where.netns))
	{
	}

	void attach()
	{
		try {
			LinkCreate create = {};
			create.program = static_cast<uint32_t>(program.get());
			create.ifindex = where.ifindex;
			create.attachType = where.egress ? kTcxEgress : kTcxIngress;
			create.flags = kBefore;
			NetnsScope scope(netns.get());
			link = Fd(bpf(BPF_LINK_CREATE, create));
			if (!link)
				throw Failure("attach TCX program to " + where.describe(), errno);
		} catch (const Failure &refusal) {
			failure = refusal;
		}
	}

	TcAttach where;
	Fd program, netns, link;
	std::optional<Failure> failure;
};

} // namespace

std::vector<TcxLink::PropertyDescriptor> TcxLink::properties()
{
	return {bind<&TcxLink::update>("update"), bind<&TcxLink::close>("close")};
}

Napi::Value TcxLink::adopt(Napi::Env env, Fd link)
{
	auto [object, self] = create(env);
	self->fd_ = std::move(link);
	return object;
}

Napi::Value TcxLink::attach(const Napi::CallbackInfo &info)
{
	auto place = std::make_shared<Place>(TcAttach(info[0]));
	Background::Task task;
	task.keep = info[0].As<Napi::Object>();
	task.work = [=] {
		place->attach();
		if (place->failure)
			throw *place->failure;
	};
	task.finish = [=](Napi::Env env) { return adopt(env, std::move(place->link)); };
	return Background::run(info.Env(), "weft attach", std::move(task));
}

Napi::Value TcxLink::attachAll(const Napi::CallbackInfo &info)
{
	if (!info[0].IsArray())
		throw Napi::TypeError::New(info.Env(), "expected an array of TcAttach");
	auto given = info[0].As<Napi::Array>();
	auto places = std::make_shared<std::vector<Place>>();
	for (uint32_t index = 0; index < given.Length(); index++)
		places->emplace_back(TcAttach(given.Get(index)));
	Background::Task task;
	task.keep = given;
	task.work = [=] {
		for (Place &place : *places)
			place.attach();
	};
	task.finish = [=](Napi::Env env) -> Napi::Value {
		Napi::Array results = Napi::Array::New(env, places->size());
		for (uint32_t index = 0; index < places->size(); index++) {
			Place &place = (*places)[index];
			results.Set(index, place.failure ? nativeError(env, *place.failure).Value()
							 : adopt(env, std::move(place.link)));
		}
		return results;
	};
	return Background::run(info.Env(), "weft attach", std::move(task));
}

Napi::Value TcxLink::query(const Napi::CallbackInfo &info)
{
	Query query = {};
	query.ifindex = uintOf(info[0], "ifindex");
	query.attachType = boolOf(info[1], "egress") ? kTcxEgress : kTcxIngress;
	int netns = Netns::from(info[2]).fd();
	uint32_t ids[64] = {}; // BPF_MPROG_MAX
	query.programs = reinterpret_cast<uintptr_t>(ids);
	query.count = 64;
	{
		NetnsScope scope(netns);
		// ENOENT: a device that never had a TCX program.
		if (bpf(BPF_PROG_QUERY, query) < 0) {
			if (errno != ENOENT)
				throw Failure("query TCX programs of device " + std::to_string(query.ifindex),
					      errno);
			query.count = 0;
		}
	}
	Napi::Array result = Napi::Array::New(info.Env(), query.count);
	for (uint32_t index = 0; index < query.count; index++)
		result.Set(index, ids[index]);
	return result;
}

Napi::Value TcxLink::update(const Napi::CallbackInfo &info)
{
	if (!fd_)
		throw Failure("update TCX link", EBADF);
	LinkUpdate update = {};
	update.link = static_cast<uint32_t>(fd_.get());
	update.newProgram = static_cast<uint32_t>(BpfProgram::from(info[0]).fd());
	check("update TCX link", bpf(BPF_LINK_UPDATE, update));
	return info.Env().Undefined();
}

Napi::Value TcxLink::close(const Napi::CallbackInfo &info)
{
	fd_.close();
	return info.Env().Undefined();
}

} // namespace weft
