#include "wakeup.h"

namespace weft
{

Wakeup::Wakeup(Napi::Env env, const char *name, std::function<void(Napi::Env)> onWake)
    : context_(new Context{std::move(onWake)})
{
	// A queue of one: a second signal finds it full, and that is right, for the first has not been served yet.
	function_ = Function::New(env, name, 1, 1, context_,
				  [](Napi::Env, void *, Context *context) { delete context; });
}

void Wakeup::close()
{
	if (!context_)
		return;
	context_->onWake = nullptr; // Deleted by the finalizer above.
	context_ = nullptr;
	function_.Release();
}

void Wakeup::callJs(Napi::Env env, Napi::Function, Context *context, void *)
{
	// Without env the loop is being torn down and only empties its queue.
	if (env == nullptr || !context->onWake)
		return;
	auto onWake = context->onWake; // It may close the Wakeup.
	try {
		onWake(env);
	} catch (const Napi::Error &error) {
		// What JavaScript threw is uncaught, as from any other callback; Node 20 itself would swallow it. When the
		// environment is ending there is no exception and nobody to tell.
		if (!error.IsEmpty())
			(void)napi_fatal_exception(env, error.Value());
	}
}

} // namespace weft
