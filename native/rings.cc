#include "rings.h"

#include "bpf_map.h"

namespace weft
{

namespace
{

/** Of one CPU, at the most that was ever measured. */
constexpr uint32_t kRecordsPerSecond = 2'000'000;

uint32_t positive(Napi::Object options, const char *name)
{
	uint32_t value = uintOf(options.Get(name), name);
	if (value == 0)
		throw Napi::RangeError::New(options.Env(), std::string(name) + " must be at least 1");
	return value;
}

} // namespace

std::vector<Rings::PropertyDescriptor> Rings::properties()
{
	return {bind<&Rings::drain>("drain"), bind<&Rings::release>("release"), bind<&Rings::stop>("stop"),
		bind<&Rings::close>("close")};
}

Napi::Value Rings::create(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	if (!info[0].IsObject())
		throw Napi::TypeError::New(env, "options must be an object");
	Napi::Object given = info[0].As<Napi::Object>();
	RingDrain::Options options = {};
	options.recordSize = positive(given, "recordSize");
	options.batchRecords = positive(given, "batchRecords");
	options.credits = positive(given, "credits");
	options.intervalMs = positive(given, "intervalMs");
	options.bytesPerRing = positive(given, "bytesPerRing");
	options.recordsPerSecond =
		given.Has("recordsPerSecond") ? positive(given, "recordsPerSecond") : kRecordsPerSecond;
	if (options.recordSize < 8)
		throw Napi::RangeError::New(env, "recordSize must hold a time of 8 bytes");

	const RingSizes sizes = {options.bytesPerRing, options.recordSize};
	const std::string kind = stringOf(given.Get("kind"), "kind");
	if (kind != "ringbuf" && kind != "records")
		throw Napi::RangeError::New(env, "kind must be \"ringbuf\" or \"records\"");
	std::unique_ptr<RingMaps> rings = kind == "records" ? makeRecordRings(sizes) : makeRingbufs(sizes);
	std::vector<RingMaps::Named> made = rings->maps();
	Napi::Array maps = Napi::Array::New(env, made.size());
	for (uint32_t index = 0; index < made.size(); index++)
		maps.Set(index, BpfMap::adopt(env, made[index].name, std::move(made[index].map)));

	auto [object, self] = Handle::create(env);
	constant(object, "maps", maps);
	self->options_ = options;
	self->rings_ = std::move(rings);
	return object;
}

Napi::Value Rings::drain(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	Napi::Function onBatch = functionOf(info[0], "onBatch");
	if (!rings_)
		throw Failure("drain rings", EBADF);
	if (draining_)
		throw Failure("drain rings", EBUSY, "they are being drained already");
	std::unique_ptr<Merge> merge = rings_->consumer();

	wakeup_ = std::make_unique<Wakeup>(env, "weft rings", [this](Napi::Env env) { deliver(env); });
	drain_ = std::make_unique<RingDrain>(std::move(merge), options_, [this] { wakeup_->signal(); });
	onBatch_ = Napi::Persistent(onBatch);
	buffers_.clear();
	buffers_.resize(options_.credits);
	out_.assign(options_.credits, false);
	draining_ = true;
	Ref(); // The thread calls back: alive until it has ended.
	// After the Wakeup: teardown runs in reverse, and the thread must end before what it signals.
	napi_add_env_cleanup_hook(env, onTeardown, this);
	return env.Undefined();
}

void Rings::deliver(Napi::Env env)
{
	for (const ReadyBatch &batch : drain_->take()) {
		Napi::HandleScope scope(env);
		out_[batch.slot] = true;
		onBatch_.Call({batchOf(env, batch)});
		if (!draining_)
			return; // Closed by the callback.
		if (batch.last) {
			halt();
			auto stopped = std::exchange(stopped_, std::nullopt);
			settle(env);
			if (stopped)
				stopped->Resolve(env.Undefined());
			return;
		}
	}
}

Napi::Object Rings::batchOf(Napi::Env env, const ReadyBatch &batch)
{
	Napi::Object object = Napi::Object::New(env);
	object.Set("buffer", bufferOf(env, batch.slot));
	object.Set("records", batch.records);
	object.Set("watermarkNs", Napi::BigInt::New(env, batch.watermarkNs));
	object.Set("drained", Napi::BigInt::New(env, batch.drained));
	return object;
}

Napi::ArrayBuffer Rings::bufferOf(Napi::Env env, uint32_t slot)
{
	if (!buffers_[slot].IsEmpty())
		return buffers_[slot].Value();
	// The buffer shares the pool: whoever keeps a view of it past close reads old bytes, not freed memory.
	auto shared = std::make_unique<std::shared_ptr<BatchPool>>(drain_->pool());
	Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(
		env, (*shared)->slot(slot), (*shared)->bytesEach(),
		[](Napi::Env, void *, std::shared_ptr<BatchPool> *pool) { delete pool; }, shared.get());
	shared.release(); // The finalizer's now. (A worker that is being terminated gets no buffer, but an exception.)
	buffers_[slot] = Napi::Persistent(buffer);
	return buffer;
}

Napi::Value Rings::release(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	if (!info[0].IsObject() || !info[0].As<Napi::Object>().Get("buffer").IsArrayBuffer())
		throw Napi::TypeError::New(env, "expected a RawBatch");
	if (!drain_)
		return env.Undefined(); // After stop or close nobody waits for it.
	auto buffer = info[0].As<Napi::Object>().Get("buffer").As<Napi::ArrayBuffer>();
	uint32_t slot = drain_->pool()->find(buffer.Data());
	if (slot == options_.credits || !out_[slot])
		throw Failure("release batch", EINVAL, "it is not out");
	out_[slot] = false;
	drain_->release(slot);
	return env.Undefined();
}

Napi::Value Rings::stop(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	if (!draining_) {
		auto done = Napi::Promise::Deferred::New(env);
		done.Resolve(env.Undefined());
		return done.Promise();
	}
	if (!stopped_)
		stopped_ = Napi::Promise::Deferred::New(env);
	drain_->finish();
	return stopped_->Promise();
}

Napi::Value Rings::close(const Napi::CallbackInfo &info)
{
	if (draining_) {
		halt();
		auto stopped = std::exchange(stopped_, std::nullopt);
		settle(info.Env());
		if (stopped)
			stopped->Reject(
				nativeError(info.Env(), Failure("stop rings", ECANCELED, "they were closed"))
					.Value());
	}
	rings_.reset();
	return info.Env().Undefined();
}

void Rings::halt()
{
	drain_.reset();
	wakeup_.reset();
}

void Rings::settle(Napi::Env env)
{
	napi_remove_env_cleanup_hook(env, onTeardown, this);
	draining_ = false;
	onBatch_.Reset();
	buffers_.clear();
	Unref();
}

} // namespace weft
