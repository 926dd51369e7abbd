#include "clsact_owner.h"

#include "failure.h"
#include "netns_scope.h"
#include "watchdog.h"

#include <map>
#include <sys/random.h>
#include <sys/stat.h>

namespace weft
{

namespace
{

using Identity = std::pair<dev_t, ino_t>;

/**
 * Of this thread, and so of one JavaScript environment: its socket is no other thread's. While a namespace is owned its
 * inode cannot be reused.
 */
thread_local std::map<Identity, std::weak_ptr<ClsactOwner>> owners;

std::string randomId()
{
	uint64_t number = 0;
	if (::getrandom(&number, sizeof(number), 0) != sizeof(number))
		throw Failure("draw random number", errno);
	char text[17];
	snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(number));
	return text;
}

} // namespace

std::shared_ptr<ClsactOwner> ClsactOwner::in(int netns)
{
	struct stat status;
	check("stat network namespace", ::fstat(netns, &status));
	std::weak_ptr<ClsactOwner> &known = owners[{status.st_dev, status.st_ino}];
	std::shared_ptr<ClsactOwner> owner = known.lock();
	if (!owner) {
		owner.reset(new ClsactOwner(netns));
		known = owner;
	}
	return owner;
}

ClsactOwner::ClsactOwner(int netns) : id_(randomId()), clsact_(netns)
{
	NetnsScope scope(netns);
	proof_ = bindOwner(id_);
	lifeline_ = startWatchdog(id_);
	// What a weft that was killed together with its watchdog has left.
	removeFilters(clsact_, [](const ClsactMark &mark) { return !isOwnerAlive(mark.owner); });
}

} // namespace weft
