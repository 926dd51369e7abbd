#pragma once

#include "fd.h"

#include <cstdint>
#include <sys/types.h>
#include <vector>

namespace weft
{

/** A netlink socket inside a namespace: one request, its whole answer. */
class NetlinkSocket
{
public:
	NetlinkSocket() = default;
	/** `groups`: multicast groups to hear (RTNLGRP_*). */
	NetlinkSocket(int netns, int protocol);

	/**
	 * Sends one whole struct nlmsghdr; sequence, NLM_F_REQUEST and NLM_F_ACK are filled in. Returns the messages
	 * of the answer without NLMSG_DONE. A dump that the kernel says was interrupted by a change is repeated.
	 */
	std::vector<uint8_t> request(const void *message, size_t length);

	int fd() const { return socket_.get(); }
	explicit operator bool() const { return static_cast<bool>(socket_); }
	void close() { socket_.close(); }

private:
	std::vector<uint8_t> exchange(const void *message, size_t length, bool &interrupted);
	ssize_t receive();

	Fd socket_;
	uint32_t sequence_ = 0;
	std::vector<uint8_t> buffer_;
};

} // namespace weft
