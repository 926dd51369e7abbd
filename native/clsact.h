#pragma once

#include "netlink_socket.h"

#include <string>
#include <vector>

namespace weft
{

/** One direction of a device's clsact qdisc. */
struct ClsactHook {
	uint32_t ifindex;
	bool egress;
};

/** A filter on a hook, whoever's. */
struct ClsactFilter {
	uint32_t priority;
	uint16_t protocol; // network order
	/** 0: the kernel's entry for the priority as a whole. */
	uint32_t handle;
	std::string kind;
	/** TCA_BPF_NAME; empty for other kinds. */
	std::string name;
};

/** tc filters and clsact qdiscs over rtnetlink, in one namespace. Touches only what it is told to. */
class Clsact
{
public:
	explicit Clsact(int netns);

	std::vector<uint32_t> devices();
	/** In the order in which they run. */
	std::vector<ClsactFilter> filters(const ClsactHook &hook);
	/** Kind of the qdisc at the device's ingress side: "clsact", "ingress" or "". */
	std::string qdisc(uint32_t ifindex);
	/** False when somebody else was quicker. */
	bool createQdisc(uint32_t ifindex);
	void removeQdisc(uint32_t ifindex);

	/** A new filter in direct-action mode; EEXIST when handle and priority are taken. */
	void add(const ClsactHook &hook, uint32_t priority, uint32_t handle, int program,
		 const std::string &name);
	/** Another program for a filter that is there; ENOENT when it is not. */
	void replace(const ClsactHook &hook, uint32_t priority, uint32_t handle, int program,
		     const std::string &name);
	/** Nothing happens when it is gone. */
	void remove(const ClsactHook &hook, uint32_t priority, uint32_t handle);

private:
	void change(uint16_t flags, const ClsactHook &hook, uint32_t priority, uint32_t handle, int program,
		    const std::string &name);

	NetlinkSocket socket_;
};

} // namespace weft
