#pragma once

#include <functional>
#include <memory>
#include <napi.h>

namespace weft
{

/**
 * Lets another thread have a function called on the JavaScript thread. Signals that come before it ran are one: what
 * there is to do lies in the caller's own queue. The event loop lives as long as this is open.
 */
class Wakeup
{
public:
	Wakeup(Napi::Env env, const char *name, std::function<void(Napi::Env)> onWake);
	~Wakeup() { close(); }
	Wakeup(const Wakeup &) = delete;
	Wakeup &operator=(const Wakeup &) = delete;

	/** From any thread, before close. */
	void signal() { (void)function_.NonBlockingCall(); }
	/** On the JavaScript thread, once no other thread signals any more; onWake is not called again. */
	void close();

private:
	struct Context {
		std::function<void(Napi::Env)> onWake;
	};
	static void callJs(Napi::Env env, Napi::Function, Context *context, void *);

	using Function = Napi::TypedThreadSafeFunction<Context, void, &Wakeup::callJs>;
	Function function_;
	Context *context_;
};

} // namespace weft
