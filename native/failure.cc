#include "failure.h"

#include <cstring>

namespace weft
{

namespace
{

/** libbpf's own errors begin at 4000; its words about them are in the detail. */
int systemError(int number)
{
	constexpr int kLibbpfErrors = 4000;
	number = number < 0 ? -number : number;
	return number >= kLibbpfErrors ? ENOEXEC : number;
}

} // namespace

Failure::Failure(std::string operation, int number, std::string detail)
    : operation_(std::move(operation)), number_(systemError(number)), detail_(std::move(detail))
{
	message_ = operation_ + ": " + std::strerror(number_) + " (" + code() + ")";
}

std::string Failure::code() const
{
	const char *name = strerrorname_np(number_);
	return name ? name : std::to_string(number_);
}

} // namespace weft
