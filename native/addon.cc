/** The addon's front: what src/kernel/native.ts declares. */

#include "bpf_map.h"
#include "bpf_object.h"
#include "bpf_program.h"
#include "clocks.h"
#include "clsact_link.h"
#include "cpus.h"
#include "handle.h"
#include "layouts.h"
#include "netlink.h"
#include "netlink_monitor.h"
#include "netns.h"
#include "rcu.h"
#include "rings.h"
#include "tcx_link.h"
#include "tracing_link.h"
#include "transpose.h"

#include <algorithm>

namespace weft
{

namespace
{

/** clocks(): both clocks read together. */
Napi::Value clocks(const Napi::CallbackInfo &info)
{
	// The narrowest of a few brackets: the others were interrupted.
	uint64_t bestWidth = UINT64_MAX, monotonic = 0, realtime = 0;
	for (int attempt = 0; attempt < 5; attempt++) {
		uint64_t before = monotonicNs();
		uint64_t wall = realtimeNs();
		uint64_t width = monotonicNs() - before;
		if (width < bestWidth) {
			bestWidth = width;
			monotonic = before + width / 2;
			realtime = wall;
		}
	}
	Napi::Object result = Napi::Object::New(info.Env());
	result.Set("monotonicNs", Napi::BigInt::New(info.Env(), monotonic));
	result.Set("realtimeNs", Napi::BigInt::New(info.Env(), realtime));
	result.Set("errorNs", static_cast<double>(bestWidth));
	return result;
}

template <Napi::Value (*function)(const Napi::CallbackInfo &)>
Napi::Value guarded(const Napi::CallbackInfo &info)
{
	return guard(info.Env(), [&] { return function(info); });
}

template <Napi::Value (*function)(const Napi::CallbackInfo &)>
void add(Napi::Env env, Napi::Object exports, const char *name)
{
	exports.Set(name, Napi::Function::New<guarded<function>>(env, name));
}

Napi::Object initialize(Napi::Env env, Napi::Object exports)
{
	env.SetInstanceData(new Environment());
	BpfObject::define(env);
	BpfMap::define(env);
	BpfProgram::define(env);
	Netns::define(env);
	Netlink::define(env);
	NetlinkMonitor::define(env);
	TcxLink::define(env);
	ClsactLink::define(env);
	TracingLink::define(env);
	Rings::define(env);

	add<BpfObject::open>(env, exports, "openObject");
	add<Rings::create>(env, exports, "createRings");
	add<TcxLink::attach>(env, exports, "attachTcx");
	add<TcxLink::attachAll>(env, exports, "attachTcxAll");
	add<TcxLink::query>(env, exports, "queryTcx");
	add<ClsactLink::attach>(env, exports, "attachClsact");
	add<ClsactLink::removeStale>(env, exports, "removeStaleClsact");
	add<TracingLink::attach>(env, exports, "attachTracing");
	add<Netns::open>(env, exports, "openNetns");
	add<Netlink::open>(env, exports, "openNetlink");
	add<NetlinkMonitor::open>(env, exports, "monitorNetlink");
	add<btfLayouts>(env, exports, "btfLayouts");
	add<btfEnums>(env, exports, "btfEnums");
	add<kernelEnum>(env, exports, "kernelEnum");
	add<synchronizePrograms>(env, exports, "synchronizePrograms");
	add<clocks>(env, exports, "clocks");
	add<transpose>(env, exports, "transpose");
	std::vector<bool> online = onlineCpus();
	exports.Set("possibleCpus", online.size());
	exports.Set("onlineCpus", std::count(online.begin(), online.end(), true));
	return exports;
}

} // namespace

NODE_API_MODULE(weft, initialize)

} // namespace weft
