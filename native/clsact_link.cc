#include "clsact_link.h"

#include "netns_scope.h"
#include "tc_attach.h"

#include <algorithm>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <set>

namespace weft
{

namespace
{

/** "weft" */
constexpr uint32_t kFirstHandle = 0x77656674;

/** Before all others, where it can be: at priority 1, unless that belongs to another kind or protocol. */
uint32_t freePriority(const std::vector<ClsactFilter> &filters)
{
	for (uint32_t priority = 1;; priority++) {
		bool shareable = std::all_of(filters.begin(), filters.end(), [=](const ClsactFilter &filter) {
			return filter.priority != priority ||
			       (filter.kind == "bpf" && filter.protocol == htons(ETH_P_ALL));
		});
		if (shareable)
			return priority;
	}
}

uint32_t freeHandle(const std::vector<ClsactFilter> &filters, uint32_t priority)
{
	for (uint32_t handle = kFirstHandle;; handle++) {
		bool free = std::none_of(filters.begin(), filters.end(), [=](const ClsactFilter &filter) {
			return filter.priority == priority && filter.handle == handle;
		});
		if (free)
			return handle;
	}
}

/** Makes sure that there is a clsact qdisc; whether it is weft's, by this process or another. */
bool ensureQdisc(Clsact &clsact, const ClsactHook &hook)
{
	std::string kind = clsact.qdisc(hook.ifindex);
	if (kind.empty() && clsact.createQdisc(hook.ifindex))
		return true;
	if (kind == "ingress" && hook.egress) {
		// Its one block would take the filter, and run it on ingress.
		throw Failure("attach clsact filter on egress of device " + std::to_string(hook.ifindex),
			      EBUSY, "the device has somebody else's ingress qdisc, which has no egress");
	}
	for (bool egress : {false, true}) {
		for (const ClsactFilter &filter : clsact.filters({hook.ifindex, egress})) {
			ClsactMark mark;
			if (ClsactMark::parse(filter.name, mark) && mark.qdisc)
				return true;
		}
	}
	return false;
}

/** At how many priorities filters that are not weft's run before one at this; each may end a packet's way. */
size_t foreignBefore(const std::vector<ClsactFilter> &filters, uint32_t priority)
{
	std::set<uint32_t> priorities;
	for (const ClsactFilter &filter : filters) {
		ClsactMark mark;
		if (filter.handle != 0 && filter.priority <= priority &&
		    !ClsactMark::parse(filter.name, mark))
			priorities.insert(filter.priority);
	}
	return priorities.size();
}

} // namespace

std::vector<ClsactLink::PropertyDescriptor> ClsactLink::properties()
{
	return {bind<&ClsactLink::update>("update"), bind<&ClsactLink::close>("close")};
}

Napi::Value ClsactLink::attach(const Napi::CallbackInfo &info)
{
	TcAttach where(info[0]);
	ClsactHook hook = {where.ifindex, where.egress};
	std::shared_ptr<ClsactOwner> owner = ClsactOwner::in(where.netns);
	Clsact &clsact = owner->clsact();
	ClsactMark mark = {owner->id(), ensureQdisc(clsact, hook)};
	std::vector<ClsactFilter> filters = clsact.filters(hook);
	ClsactFilter filter = {};
	filter.priority = freePriority(filters);
	filter.handle = freeHandle(filters, filter.priority);
	try {
		clsact.add(hook, filter.priority, filter.handle, where.program, mark.name());
	} catch (const Failure &) {
		removeFilter(clsact, hook, filter, mark); // Also the qdisc that was made for it.
		throw;
	}
	auto [object, self] = create(info.Env());
	self->owner_ = std::move(owner);
	self->hook_ = hook;
	self->filter_ = filter;
	self->mark_ = mark;
	constant(object, "behind",
		 Napi::Number::New(info.Env(), static_cast<double>(foreignBefore(filters, filter.priority))));
	return object;
}

Napi::Value ClsactLink::removeStale(const Napi::CallbackInfo &info)
{
	int netns = Netns::from(info[0]).fd();
	Clsact clsact(netns);
	NetnsScope scope(netns);
	uint32_t removed =
		removeFilters(clsact, [](const ClsactMark &mark) { return !isOwnerAlive(mark.owner); });
	return Napi::Number::New(info.Env(), removed);
}

ClsactLink::~ClsactLink()
{
	try {
		detach();
	} catch (const Failure &) {
		// Nobody to tell; the watchdog tries again when the process ends.
	}
}

void ClsactLink::detach()
{
	if (auto owner = std::exchange(owner_, nullptr))
		removeFilter(owner->clsact(), hook_, filter_, mark_);
}

Napi::Value ClsactLink::update(const Napi::CallbackInfo &info)
{
	if (!owner_)
		throw Failure("update clsact filter", EBADF);
	owner_->clsact().replace(hook_, filter_.priority, filter_.handle, BpfProgram::from(info[0]).fd(),
				 mark_.name());
	return info.Env().Undefined();
}

Napi::Value ClsactLink::close(const Napi::CallbackInfo &info)
{
	detach();
	return info.Env().Undefined();
}

} // namespace weft
