#include "clsact.h"

#include "failure.h"
#include "netlink_message.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>

namespace weft
{

namespace
{

uint32_t parentOf(const ClsactHook &hook)
{
	return TC_H_MAKE(TC_H_CLSACT, hook.egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
}

tcmsg filterOf(const ClsactHook &hook, uint32_t priority, uint32_t handle)
{
	tcmsg message = {};
	message.tcm_family = AF_UNSPEC;
	message.tcm_ifindex = static_cast<int>(hook.ifindex);
	message.tcm_parent = parentOf(hook);
	message.tcm_handle = handle;
	message.tcm_info = TC_H_MAKE(priority << 16, htons(ETH_P_ALL));
	return message;
}

tcmsg qdiscOf(uint32_t ifindex)
{
	tcmsg message = {};
	message.tcm_family = AF_UNSPEC;
	message.tcm_ifindex = static_cast<int>(ifindex);
	message.tcm_parent = TC_H_CLSACT;
	message.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	return message;
}

std::string text(const uint8_t *value, size_t length)
{
	const auto *start = reinterpret_cast<const char *>(value);
	return std::string(start, strnlen(start, length));
}

bool isGone(int error)
{
	return error == ENOENT || error == ENODEV || error == EINVAL;
}

} // namespace

Clsact::Clsact(int netns) : socket_(netns, NETLINK_ROUTE)
{
}

std::vector<uint32_t> Clsact::devices()
{
	ifinfomsg all = {};
	NetlinkMessage message(RTM_GETLINK, NLM_F_DUMP, all);
	std::vector<uint32_t> devices;
	forEachMessage<ifinfomsg>(socket_.request(message.data(), message.size()), RTM_NEWLINK,
				  [&](const ifinfomsg &link, const uint8_t *, size_t) {
					  devices.push_back(static_cast<uint32_t>(link.ifi_index));
				  });
	return devices;
}

std::vector<ClsactFilter> Clsact::filters(const ClsactHook &hook)
{
	tcmsg body = filterOf(hook, 0, 0);
	body.tcm_info = 0;
	NetlinkMessage message(RTM_GETTFILTER, NLM_F_DUMP, body);
	std::vector<ClsactFilter> filters;
	std::vector<uint8_t> answer;
	try {
		answer = socket_.request(message.data(), message.size());
	} catch (const Failure &failure) {
		if (isGone(failure.number()))
			return filters;
		throw;
	}
	forEachMessage<tcmsg>(
		answer, RTM_NEWTFILTER, [&](const tcmsg &found, const uint8_t *attributes, size_t length) {
			ClsactFilter filter = {TC_H_MAJ(found.tcm_info) >> 16,
					       static_cast<uint16_t>(TC_H_MIN(found.tcm_info)),
					       found.tcm_handle, "", ""};
			forEachAttribute(
				attributes, length, [&](uint16_t type, const uint8_t *value, size_t size) {
					if (type == TCA_KIND)
						filter.kind = text(value, size);
					if (type != TCA_OPTIONS || filter.kind != "bpf")
						return;
					forEachAttribute(
						value, size,
						[&](uint16_t option, const uint8_t *inner, size_t innerSize) {
							if (option == TCA_BPF_NAME)
								filter.name = text(inner, innerSize);
						});
				});
			filters.push_back(std::move(filter));
		});
	return filters;
}

std::string Clsact::qdisc(uint32_t ifindex)
{
	// A dump, although one is wanted: asking for one would be announced to everyone who listens for changes.
	tcmsg all = {};
	NetlinkMessage message(RTM_GETQDISC, NLM_F_DUMP, all);
	std::string kind;
	forEachMessage<tcmsg>(socket_.request(message.data(), message.size()), RTM_NEWQDISC,
			      [&](const tcmsg &found, const uint8_t *attributes, size_t length) {
				      if (found.tcm_ifindex != static_cast<int>(ifindex) ||
					  found.tcm_parent != TC_H_CLSACT)
					      return;
				      forEachAttribute(attributes, length,
						       [&](uint16_t type, const uint8_t *value, size_t size) {
							       if (type == TCA_KIND)
								       kind = text(value, size);
						       });
			      });
	return kind;
}

bool Clsact::createQdisc(uint32_t ifindex)
{
	NetlinkMessage message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, qdiscOf(ifindex));
	message.put(TCA_KIND, std::string("clsact"));
	try {
		socket_.request(message.data(), message.size());
		return true;
	} catch (const Failure &failure) {
		if (failure.number() == EEXIST)
			return false;
		throw Failure("create clsact qdisc on device " + std::to_string(ifindex), failure.number(),
			      failure.detail());
	}
}

void Clsact::removeQdisc(uint32_t ifindex)
{
	NetlinkMessage message(RTM_DELQDISC, 0, qdiscOf(ifindex));
	try {
		socket_.request(message.data(), message.size());
	} catch (const Failure &failure) {
		if (!isGone(failure.number()))
			throw Failure("remove clsact qdisc of device " + std::to_string(ifindex),
				      failure.number());
	}
}

void Clsact::add(const ClsactHook &hook, uint32_t priority, uint32_t handle, int program,
		 const std::string &name)
{
	change(NLM_F_CREATE | NLM_F_EXCL, hook, priority, handle, program, name);
}

void Clsact::replace(const ClsactHook &hook, uint32_t priority, uint32_t handle, int program,
		     const std::string &name)
{
	// Without NLM_F_CREATE: one that somebody removed is not put back.
	change(0, hook, priority, handle, program, name);
}

void Clsact::change(uint16_t flags, const ClsactHook &hook, uint32_t priority, uint32_t handle, int program,
		    const std::string &name)
{
	NetlinkMessage message(RTM_NEWTFILTER, flags, filterOf(hook, priority, handle));
	message.put(TCA_KIND, std::string("bpf"));
	message.nest(TCA_OPTIONS, [&] {
		message.put(TCA_BPF_FD, static_cast<uint32_t>(program));
		message.put(TCA_BPF_NAME, name);
		message.put(TCA_BPF_FLAGS, uint32_t{TCA_BPF_FLAG_ACT_DIRECT});
	});
	try {
		socket_.request(message.data(), message.size());
	} catch (const Failure &failure) {
		throw Failure(std::string(flags ? "attach" : "update") + " clsact filter on " +
				      (hook.egress ? "egress" : "ingress") + " of device " +
				      std::to_string(hook.ifindex),
			      failure.number(), failure.detail());
	}
}

void Clsact::remove(const ClsactHook &hook, uint32_t priority, uint32_t handle)
{
	NetlinkMessage message(RTM_DELTFILTER, 0, filterOf(hook, priority, handle));
	message.put(TCA_KIND, std::string("bpf"));
	try {
		socket_.request(message.data(), message.size());
	} catch (const Failure &failure) {
		if (!isGone(failure.number()))
			throw Failure("remove clsact filter of device " + std::to_string(hook.ifindex),
				      failure.number());
	}
}

} // namespace weft
