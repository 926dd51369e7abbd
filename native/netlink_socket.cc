#include "netlink_socket.h"

#include "failure.h"
#include "netns_scope.h"

#include <cstring>
#include <linux/netlink.h>
#include <sys/socket.h>

namespace weft
{

namespace
{

constexpr int kDumpAttempts = 20;

std::string nameOf(uint16_t type)
{
	return "netlink request " + std::to_string(type);
}

/** The words of an extended acknowledgement (NETLINK_EXT_ACK); empty where there are none. */
std::string extendedMessage(const nlmsghdr *header)
{
	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return "";
	const auto *error = static_cast<const nlmsgerr *>(NLMSG_DATA(header));
	size_t offset = NLMSG_HDRLEN + sizeof(*error);
	// Without CAPPED the kernel repeats the whole request before its attributes.
	if (!(header->nlmsg_flags & NLM_F_CAPPED))
		offset += NLMSG_ALIGN(error->msg.nlmsg_len) - sizeof(nlmsghdr);
	const auto *base = reinterpret_cast<const uint8_t *>(header);
	while (offset + sizeof(nlattr) <= header->nlmsg_len) {
		nlattr attribute;
		memcpy(&attribute, base + offset, sizeof(attribute));
		if (attribute.nla_len < sizeof(attribute) || offset + attribute.nla_len > header->nlmsg_len)
			break;
		if ((attribute.nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG) {
			const auto *text = reinterpret_cast<const char *>(base + offset + sizeof(attribute));
			return std::string(text, strnlen(text, attribute.nla_len - sizeof(attribute)));
		}
		offset += NLA_ALIGN(attribute.nla_len);
	}
	return "";
}

void enable(int socket, int option)
{
	int on = 1;
	// Kernels that do not know an option answer less strictly or with fewer words: good enough.
	(void)::setsockopt(socket, SOL_NETLINK, option, &on, sizeof(on));
}

} // namespace

NetlinkSocket::NetlinkSocket(int netns, int protocol) : buffer_(64 * 1024)
{
	NetnsScope scope(netns);
	socket_ = Fd(check("open netlink socket", ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)));
	sockaddr_nl any = {};
	any.nl_family = AF_NETLINK;
	check("bind netlink socket", ::bind(socket_.get(), reinterpret_cast<sockaddr *>(&any), sizeof(any)));
	enable(socket_.get(), NETLINK_EXT_ACK);
	enable(socket_.get(), NETLINK_CAP_ACK);
	enable(socket_.get(), NETLINK_GET_STRICT_CHK);
}

std::vector<uint8_t> NetlinkSocket::request(const void *message, size_t length)
{
	nlmsghdr header;
	if (length < sizeof(header))
		throw Failure("netlink request", EINVAL, "shorter than a header");
	memcpy(&header, message, sizeof(header));
	for (int attempt = 0; attempt < kDumpAttempts; attempt++) {
		bool interrupted = false;
		std::vector<uint8_t> answer = exchange(message, length, interrupted);
		if (!interrupted)
			return answer;
	}
	throw Failure(nameOf(header.nlmsg_type), EINTR, "what is listed changes faster than it can be read");
}

std::vector<uint8_t> NetlinkSocket::exchange(const void *message, size_t length, bool &interrupted)
{
	std::vector<uint8_t> out(static_cast<const uint8_t *>(message),
				 static_cast<const uint8_t *>(message) + length);
	auto *request = reinterpret_cast<nlmsghdr *>(out.data());
	request->nlmsg_len = static_cast<uint32_t>(length);
	request->nlmsg_seq = ++sequence_;
	request->nlmsg_pid = 0;
	// With NLM_F_ACK every answer has an end: NLMSG_DONE of a dump (which is not acknowledged), else NLMSG_ERROR.
	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	const std::string name = nameOf(request->nlmsg_type);
	sockaddr_nl kernel = {};
	kernel.nl_family = AF_NETLINK;
	ssize_t sent;
	do
		sent = ::sendto(socket_.get(), out.data(), out.size(), 0,
				reinterpret_cast<sockaddr *>(&kernel), sizeof(kernel));
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		throw Failure(name, errno);

	std::vector<uint8_t> answer;
	for (;;) {
		ssize_t received = receive();
		size_t rest = static_cast<size_t>(received);
		const uint8_t *at = buffer_.data();
		while (rest >= sizeof(nlmsghdr)) {
			const auto *header = reinterpret_cast<const nlmsghdr *>(at);
			if (header->nlmsg_len < sizeof(*header) || header->nlmsg_len > rest)
				break;
			size_t step = std::min<size_t>(NLMSG_ALIGN(header->nlmsg_len), rest);
			if (header->nlmsg_seq == sequence_) {
				interrupted |= (header->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
				if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE) {
					// Both begin with an int, 0 or a negative errno; DONE may lack it.
					int error = 0;
					if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(error)))
						memcpy(&error, NLMSG_DATA(header), sizeof(error));
					if (error < 0)
						throw Failure(name, error,
							      header->nlmsg_type == NLMSG_ERROR
								      ? extendedMessage(header)
								      : "");
					return answer;
				}
				if (header->nlmsg_type != NLMSG_NOOP)
					answer.insert(answer.end(), at, at + step);
			}
			at += step;
			rest -= step;
		}
	}
}

ssize_t NetlinkSocket::receive()
{
	for (;;) {
		// Peeking tells the size: answers of links with many attributes outgrow any fixed buffer.
		ssize_t size = ::recv(socket_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC);
		if (size < 0 && errno == EINTR)
			continue;
		check("receive from netlink", size);
		if (static_cast<size_t>(size) > buffer_.size())
			buffer_.resize(static_cast<size_t>(size));
		sockaddr_nl sender = {};
		socklen_t length = sizeof(sender);
		ssize_t received = ::recvfrom(socket_.get(), buffer_.data(), buffer_.size(), 0,
					      reinterpret_cast<sockaddr *>(&sender), &length);
		if (received < 0 && errno == EINTR)
			continue;
		check("receive from netlink", received);
		if (sender.nl_pid == 0)
			return received; // Only the kernel's word counts; other processes can send here too.
	}
}

} // namespace weft
