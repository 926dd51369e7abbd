#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <linux/rtnetlink.h>
#include <string>
#include <vector>

namespace weft
{

/** One rtnetlink request being built: header, the family's own struct, attributes. */
class NetlinkMessage
{
public:
	template <class Body> NetlinkMessage(uint16_t type, uint16_t flags, const Body &body)
	{
		nlmsghdr header = {};
		header.nlmsg_type = type;
		header.nlmsg_flags = flags;
		append(&header, sizeof(header));
		append(&body, sizeof(body));
	}

	void put(uint16_t type, const void *value, size_t length)
	{
		rtattr attribute = {static_cast<uint16_t>(RTA_LENGTH(length)), type};
		append(&attribute, sizeof(attribute));
		append(value, length);
	}
	void put(uint16_t type, uint32_t value) { put(type, &value, sizeof(value)); }
	void put(uint16_t type, const std::string &text) { put(type, text.c_str(), text.size() + 1); }

	/** What `content` puts lies inside an attribute of this type. */
	void nest(uint16_t type, const std::function<void()> &content)
	{
		size_t start = bytes_.size();
		put(type, nullptr, 0);
		content();
		auto length = static_cast<uint16_t>(bytes_.size() - start);
		memcpy(bytes_.data() + start, &length, sizeof(length));
	}

	const uint8_t *data() const { return bytes_.data(); }
	size_t size() const { return bytes_.size(); }

private:
	void append(const void *start, size_t length)
	{
		const auto *bytes = static_cast<const uint8_t *>(start);
		bytes_.insert(bytes_.end(), bytes, bytes + length);
		bytes_.resize((bytes_.size() + 3) & ~size_t{3});
	}

	std::vector<uint8_t> bytes_;
};

/** Calls `visit` with each attribute's type, value and length; stops at the first that does not fit. */
inline void forEachAttribute(const uint8_t *at, size_t rest,
			     const std::function<void(uint16_t, const uint8_t *, size_t)> &visit)
{
	while (rest >= sizeof(rtattr)) {
		rtattr attribute;
		memcpy(&attribute, at, sizeof(attribute));
		if (attribute.rta_len < sizeof(attribute) || attribute.rta_len > rest)
			return;
		visit(attribute.rta_type & NLA_TYPE_MASK, at + sizeof(attribute),
		      attribute.rta_len - sizeof(attribute));
		size_t step = RTA_ALIGN(attribute.rta_len);
		if (step > rest)
			return;
		at += step;
		rest -= step;
	}
}

/** Calls `visit` with each message of an answer that has this type and at least a Body. */
template <class Body>
void forEachMessage(const std::vector<uint8_t> &answer, uint16_t type,
		    const std::function<void(const Body &, const uint8_t *attributes, size_t length)> &visit)
{
	size_t at = 0;
	while (at + sizeof(nlmsghdr) <= answer.size()) {
		nlmsghdr header;
		memcpy(&header, answer.data() + at, sizeof(header));
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > answer.size() - at)
			return;
		constexpr size_t kFixed = NLMSG_SPACE(sizeof(Body));
		if (header.nlmsg_type == type && header.nlmsg_len >= kFixed) {
			Body body;
			memcpy(&body, answer.data() + at + NLMSG_HDRLEN, sizeof(body));
			visit(body, answer.data() + at + kFixed, header.nlmsg_len - kFixed);
		}
		at += NLMSG_ALIGN(header.nlmsg_len);
	}
}

} // namespace weft
