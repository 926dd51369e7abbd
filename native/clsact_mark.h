#pragma once

#include "clsact.h"
#include "fd.h"

#include <string>

namespace weft
{

/**
 * How a filter says whose it is, in its name: "weft/<owner>", with "+qdisc" when the qdisc is weft's too. An owner is a
 * random number; it is alive as long as the abstract unix socket of that name is bound in the same network namespace,
 * which pid namespaces cannot hide and no crash leaves behind.
 */
struct ClsactMark {
	std::string owner;
	bool qdisc;

	std::string name() const;
	/** False for a filter that is not weft's. */
	static bool parse(const std::string &name, ClsactMark &mark);
};

/** Binds an owner's socket in the caller's network namespace; nothing when it is bound already. */
Fd bindOwner(const std::string &owner);
/** Whether an owner's socket is bound in the caller's network namespace. */
bool isOwnerAlive(const std::string &owner);

/** Removes an owner's filter; the qdisc too, when it is weft's and nothing is left on it. */
void removeFilter(Clsact &clsact, const ClsactHook &hook, const ClsactFilter &filter, const ClsactMark &mark);

/** Removes all filters in the caller's namespace that `isDoomed` says; how many. */
template <class Predicate> uint32_t removeFilters(Clsact &clsact, Predicate isDoomed)
{
	uint32_t removed = 0;
	for (uint32_t ifindex : clsact.devices()) {
		for (bool egress : {false, true}) {
			ClsactHook hook = {ifindex, egress};
			for (const ClsactFilter &filter : clsact.filters(hook)) {
				ClsactMark mark;
				if (!ClsactMark::parse(filter.name, mark) || !isDoomed(mark))
					continue;
				removeFilter(clsact, hook, filter, mark);
				removed++;
			}
		}
	}
	return removed;
}

} // namespace weft
