#include "rcu.h"

#include "background.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weft
{

namespace
{

void waitForGracePeriod()
{
	// Is synchronize_rcu(), see kernel/sched/membarrier.c; refused on kernels with nohz_full.
	if (::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0) == 0)
		return;
	constexpr useconds_t kLongestProgramUs = 50'000;
	::usleep(kLongestProgramUs);
}

} // namespace

Napi::Value synchronizePrograms(const Napi::CallbackInfo &info)
{
	Background::Task task;
	task.keep = Napi::Object::New(info.Env());
	task.work = waitForGracePeriod;
	task.finish = [](Napi::Env env) { return env.Undefined(); };
	return Background::run(info.Env(), "weft grace period", std::move(task));
}

} // namespace weft
