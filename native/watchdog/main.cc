/**
 * weft-watchdog OWNER: waits until its standard input ends, then removes OWNER's clsact filters from the network
 * namespace it was started in. Says nothing: there is nobody left to read it.
 */

#include "../clsact_mark.h"
#include "../failure.h"

#include <csignal>
#include <fcntl.h>
#include <unistd.h>

namespace
{

void waitForEnd()
{
	char byte;
	for (;;) {
		ssize_t count = ::read(STDIN_FILENO, &byte, 1);
		if (count == 0 || (count < 0 && errno != EINTR))
			return;
	}
}

} // namespace

int main(int count, char **arguments)
{
	if (count != 2)
		return 2;
	// A supervisor that ends a service signals the whole group; this one ends by itself, a moment after the rest.
	std::signal(SIGTERM, SIG_IGN);
	std::signal(SIGHUP, SIG_IGN);
	pid_t child = ::fork();
	if (child != 0)
		return child < 0 ? 1 : 0;
	waitForEnd();
	try {
		weft::Fd here(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
		weft::Clsact clsact(here.get());
		weft::removeFilters(clsact,
				    [&](const weft::ClsactMark &mark) { return mark.owner == arguments[1]; });
	} catch (const weft::Failure &) {
		return 1;
	}
	return 0;
}
