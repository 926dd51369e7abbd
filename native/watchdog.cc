#include "watchdog.h"

#include "failure.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weft
{

namespace
{

/** It lies beside the addon. */
std::string programPath()
{
	Dl_info addon;
	if (!::dladdr(reinterpret_cast<void *>(&startWatchdog), &addon))
		throw Failure("find watchdog", ENOENT);
	std::string path = addon.dli_fname;
	return path.substr(0, path.rfind('/') + 1) + "weft-watchdog";
}

/** Redirections and attributes of one spawn. */
struct Spawn {
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;

	explicit Spawn(int standardInput)
	{
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_adddup2(&actions, standardInput, STDIN_FILENO);
		posix_spawnattr_init(&attributes);
		// Its own session: Ctrl-C and hang-ups of the terminal are for weft, whose end it is there to see.
		posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	}
	~Spawn()
	{
		posix_spawn_file_actions_destroy(&actions);
		posix_spawnattr_destroy(&attributes);
	}
	Spawn(const Spawn &) = delete;
	Spawn &operator=(const Spawn &) = delete;
};

} // namespace

Fd startWatchdog(const std::string &owner)
{
	int ends[2];
	check("open watchdog's pipe", ::pipe2(ends, O_CLOEXEC));
	Fd read(ends[0]), write(ends[1]);
	Spawn spawn(read.get());
	std::string path = programPath();
	char *arguments[] = {path.data(), const_cast<char *>(owner.c_str()), nullptr};
	char *environment[] = {nullptr};
	pid_t child;
	if (int error = ::posix_spawn(&child, path.c_str(), &spawn.actions, &spawn.attributes, arguments,
				      environment))
		throw Failure("start watchdog " + path, error);
	// The child forks and ends at once; what stays is nobody's child here and leaves no zombie.
	int status = 0;
	while (::waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (status != 0)
		throw Failure("start watchdog " + path, ECHILD);
	return write;
}

} // namespace weft
