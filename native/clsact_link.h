#pragma once

#include "clsact_owner.h"
#include "handle.h"

namespace weft
{

/** A filter of weft's on a clsact qdisc. Removed when closed or collected; by the watchdog when the process dies. */
class ClsactLink : public Handle<ClsactLink>
{
public:
	static constexpr const char *kName = "ClsactLink";
	static std::vector<PropertyDescriptor> properties();
	static Napi::Value attach(const Napi::CallbackInfo &info);
	/** removeStaleClsact(netns): filters whose owner is dead; how many. */
	static Napi::Value removeStale(const Napi::CallbackInfo &info);

	explicit ClsactLink(const Napi::CallbackInfo &info) : Handle(info) {}
	~ClsactLink() override;

private:
	Napi::Value update(const Napi::CallbackInfo &info);
	Napi::Value close(const Napi::CallbackInfo &info);
	void detach();

	std::shared_ptr<ClsactOwner> owner_;
	ClsactHook hook_ = {};
	ClsactFilter filter_ = {};
	ClsactMark mark_ = {};
};

} // namespace weft
