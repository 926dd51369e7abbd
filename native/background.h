#pragma once

#include "handle.h"

#include <functional>
#include <optional>

namespace weft
{

/** Runs work on a thread of libuv's pool and settles a promise with what came of it. */
class Background : public Napi::AsyncWorker
{
public:
	struct Task {
		/** What is not collected meanwhile. */
		Napi::Object keep;
		/** On the pool's thread; a Failure rejects the promise with a NativeError. */
		std::function<void()> work;
		/** On the JavaScript thread, after success: the promise's value. */
		std::function<Napi::Value(Napi::Env)> finish;
		/** On the JavaScript thread, before the promise is settled either way. */
		std::function<void()> after = [] {};
	};

	static Napi::Promise run(Napi::Env env, const char *name, Task task)
	{
		auto *worker = new Background(env, name, std::move(task));
		Napi::Promise promise = worker->deferred_.Promise();
		worker->Queue(); // It deletes itself when it is done.
		return promise;
	}

protected:
	void Execute() override
	{
		try {
			work_();
		} catch (const Failure &failure) {
			failure_ = failure;
		}
	}

	void OnOK() override
	{
		after_();
		try {
			if (failure_)
				throw *failure_;
			deferred_.Resolve(finish_(Env()));
		} catch (const Failure &failure) {
			deferred_.Reject(nativeError(Env(), failure).Value());
		}
	}

private:
	Background(Napi::Env env, const char *name, Task task)
	    : AsyncWorker(env, name), keep_(Napi::Persistent(task.keep)), work_(std::move(task.work)),
	      finish_(std::move(task.finish)), after_(std::move(task.after)), deferred_(env)
	{
	}

	Napi::ObjectReference keep_;
	std::function<void()> work_;
	std::function<Napi::Value(Napi::Env)> finish_;
	std::function<void()> after_;
	std::optional<Failure> failure_;
	Napi::Promise::Deferred deferred_;
};

} // namespace weft
