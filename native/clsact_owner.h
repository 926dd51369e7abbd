#pragma once

#include "clsact_mark.h"

#include <memory>
#include <string>

namespace weft
{

/**
 * This process as owner of filters in one namespace: the socket that proves it alive, and the watchdog that removes the
 * filters when it is not. Shared by all links there; gone with the last of them.
 */
class ClsactOwner
{
public:
	static std::shared_ptr<ClsactOwner> in(int netns);
	~ClsactOwner() = default;

	const std::string &id() const { return id_; }
	Clsact &clsact() { return clsact_; }

private:
	explicit ClsactOwner(int netns);

	std::string id_;
	Clsact clsact_;
	Fd proof_;
	/** The watchdog reads its other end. */
	Fd lifeline_;
};

} // namespace weft
