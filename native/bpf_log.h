#pragma once

#include <string>

namespace weft
{

/** Collects what libbpf prints on this thread while it lives: warnings, and the verifier's log with them. */
class BpfLog
{
public:
	BpfLog();
	~BpfLog();
	BpfLog(const BpfLog &) = delete;
	BpfLog &operator=(const BpfLog &) = delete;

	/** The last lines, at most 4 KiB. */
	std::string tail() const { return text_; }
	void append(const char *text, size_t length);

private:
	BpfLog *outer_;
	std::string text_;
};

} // namespace weft
