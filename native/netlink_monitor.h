#pragma once

#include "fd.h"
#include "handle.h"
#include "wakeup.h"

#include <deque>
#include <memory>
#include <mutex>
#include <thread>

namespace weft
{

/** Hears rtnetlink's multicast groups in a thread and hands the messages to JavaScript. */
class NetlinkMonitor : public Handle<NetlinkMonitor>
{
public:
	static constexpr const char *kName = "NetlinkMonitor";
	static std::vector<PropertyDescriptor> properties();
	static Napi::Value open(const Napi::CallbackInfo &info);

	explicit NetlinkMonitor(const Napi::CallbackInfo &info) : Handle(info) {}
	~NetlinkMonitor() override { stop(); }

private:
	/** One datagram; empty where some were lost. */
	struct Heard {
		std::vector<uint8_t> messages;
		int nsid;
	};

	Napi::Value close(const Napi::CallbackInfo &info);
	void stop();
	void listen();
	void enqueue(Heard heard);
	void deliver(Napi::Env env);
	static void onTeardown(void *self) { static_cast<NetlinkMonitor *>(self)->stop(); }

	Napi::FunctionReference onMessages_;
	std::unique_ptr<Wakeup> wakeup_;
	Fd socket_;
	Fd stopEvent_;
	std::thread thread_;

	std::mutex mutex_;
	std::deque<Heard> heard_; // under mutex_
	size_t heardBytes_ = 0;   // under mutex_
};

} // namespace weft
