#pragma once

#include <cerrno>
#include <exception>
#include <string>

namespace weft
{

/** The one exception of the addon: what was tried, and the errno it ended with. Becomes a NativeError. */
class Failure : public std::exception
{
public:
	Failure(std::string operation, int number, std::string detail = "");

	const char *what() const noexcept override { return message_.c_str(); }
	const std::string &operation() const { return operation_; }
	int number() const { return number_; }
	/** "EPERM", or the bare number where C knows no name. */
	std::string code() const;
	/** Last lines of the verifier, of libbpf, or the kernel's extended acknowledgement; may be empty. */
	const std::string &detail() const { return detail_; }

private:
	std::string operation_;
	int number_;
	std::string detail_;
	std::string message_;
};

/** Throws with the present errno when a system call said so. */
template <class Result> Result check(const char *operation, Result result)
{
	if (result < 0)
		throw Failure(operation, errno);
	return result;
}

} // namespace weft
