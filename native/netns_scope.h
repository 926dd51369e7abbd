#pragma once

#include "fd.h"

namespace weft
{

/**
 * The calling thread is in another network namespace while this lives. Sockets opened and ifindexes named meanwhile
 * are that namespace's. Costs nothing, and needs no privilege, when the thread is there already.
 */
class NetnsScope
{
public:
	explicit NetnsScope(int netns);
	~NetnsScope();
	NetnsScope(const NetnsScope &) = delete;
	NetnsScope &operator=(const NetnsScope &) = delete;

private:
	Fd home_;
};

} // namespace weft
