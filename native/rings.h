#pragma once

#include "handle.h"
#include "ring_drain.h"
#include "ring_maps.h"
#include "wakeup.h"

#include <optional>

namespace weft
{

/** A ring per CPU, and the thread that drains them into batches. */
class Rings : public Handle<Rings>
{
public:
	static constexpr const char *kName = "Rings";
	static std::vector<PropertyDescriptor> properties();
	static Napi::Value create(const Napi::CallbackInfo &info);

	explicit Rings(const Napi::CallbackInfo &info) : Handle(info) {}
	~Rings() override { halt(); }

private:
	Napi::Value drain(const Napi::CallbackInfo &info);
	Napi::Value release(const Napi::CallbackInfo &info);
	Napi::Value stop(const Napi::CallbackInfo &info);
	Napi::Value close(const Napi::CallbackInfo &info);

	void deliver(Napi::Env env);
	Napi::Object batchOf(Napi::Env env, const ReadyBatch &batch);
	/** The slot's ArrayBuffer, made at its first use and then always the same. */
	Napi::ArrayBuffer bufferOf(Napi::Env env, uint32_t slot);
	/** Ends thread and wake-up; callable at teardown, when nothing of JavaScript may be touched. */
	void halt();
	/** Undoes what drain did, after halt. */
	void settle(Napi::Env env);
	static void onTeardown(void *self) { static_cast<Rings *>(self)->halt(); }

	RingDrain::Options options_{};
	/** Nothing once they are closed. */
	std::unique_ptr<RingMaps> rings_;

	std::unique_ptr<RingDrain> drain_;
	std::unique_ptr<Wakeup> wakeup_;
	Napi::FunctionReference onBatch_;
	std::vector<Napi::Reference<Napi::ArrayBuffer>> buffers_;
	std::vector<bool> out_;
	std::optional<Napi::Promise::Deferred> stopped_;
	bool draining_ = false;
};

} // namespace weft
