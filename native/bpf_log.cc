#include "bpf_log.h"

#include <bpf/libbpf.h>
#include <cstdarg>
#include <cstdio>
#include <memory>

namespace weft
{

namespace
{

constexpr size_t kTailBytes = 4096;

thread_local BpfLog *current = nullptr;

int print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (!current || level == LIBBPF_DEBUG)
		return 0;
	va_list copy;
	va_copy(copy, arguments);
	int length = vsnprintf(nullptr, 0, format, copy);
	va_end(copy);
	if (length <= 0)
		return 0;
	auto text = std::make_unique<char[]>(static_cast<size_t>(length) + 1);
	vsnprintf(text.get(), static_cast<size_t>(length) + 1, format, arguments);
	current->append(text.get(), static_cast<size_t>(length));
	return length;
}

} // namespace

BpfLog::BpfLog() : outer_(current)
{
	// The print function is the process's, the buffer this thread's: environments in several workers do not mix.
	static const libbpf_print_fn_t installed = libbpf_set_print(print);
	(void)installed;
	current = this;
}

BpfLog::~BpfLog()
{
	current = outer_;
}

void BpfLog::append(const char *text, size_t length)
{
	text_.append(text, length);
	if (text_.size() <= kTailBytes)
		return;
	text_.erase(0, text_.size() - kTailBytes);
	text_.erase(0, text_.find('\n') + 1);
}

} // namespace weft
