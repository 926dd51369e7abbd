#include "netns_scope.h"

#include "failure.h"

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

namespace weft
{

NetnsScope::NetnsScope(int netns)
{
	Fd home(check("open own network namespace",
		      ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)));
	struct stat here, there;
	check("stat own network namespace", ::fstat(home.get(), &here));
	check("stat network namespace", ::fstat(netns, &there));
	if (here.st_ino == there.st_ino && here.st_dev == there.st_dev)
		return;
	check("setns into network namespace", ::setns(netns, CLONE_NEWNET));
	home_ = std::move(home);
}

NetnsScope::~NetnsScope()
{
	if (home_ && ::setns(home_.get(), CLONE_NEWNET) < 0) {
		// Going on in a foreign namespace would send this thread's next socket to the wrong place.
		std::perror("weft: setns back to own network namespace");
		std::abort();
	}
}

} // namespace weft
