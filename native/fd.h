#pragma once

#include <unistd.h>
#include <utility>

namespace weft
{

/** Owns one file descriptor. */
class Fd
{
public:
	Fd() = default;
	explicit Fd(int fd) : fd_(fd) {}
	Fd(Fd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
	Fd &operator=(Fd &&other) noexcept
	{
		if (this != &other) {
			close();
			fd_ = std::exchange(other.fd_, -1);
		}
		return *this;
	}
	Fd(const Fd &) = delete;
	Fd &operator=(const Fd &) = delete;
	~Fd() { close(); }

	int get() const { return fd_; }
	explicit operator bool() const { return fd_ >= 0; }

	void close()
	{
		if (fd_ >= 0)
			::close(std::exchange(fd_, -1));
	}

private:
	int fd_ = -1;
};

/** Another descriptor of the same thing. */
Fd duplicate(int fd);

} // namespace weft
