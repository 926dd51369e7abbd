#include "fd.h"

#include "failure.h"

#include <fcntl.h>

namespace weft
{

Fd duplicate(int fd)
{
	return Fd(check("duplicate descriptor", ::fcntl(fd, F_DUPFD_CLOEXEC, 3)));
}

} // namespace weft
