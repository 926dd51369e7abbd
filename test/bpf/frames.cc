/**
 * frames KIND DEVICE: puts frames from standard input onto a device, for what BPF_PROG_TEST_RUN refuses.
 *   packet  AF_PACKET, as if the host sent them
 *   tun     a TUN device without packet information: as if they came in, without a link header
 *   tap     a TAP device with IFF_NAPI_FRAGS: each piece but the first lies outside the skb's linear part
 * A frame is: u16 pieces, as often u16 size, then the bytes; host order.
 */
#include <arpa/inet.h>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

static int fail(const char *what)
{
	std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
	return 1;
}

static int openPacket(const char *device)
{
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	struct sockaddr_ll address = {};
	address.sll_family = AF_PACKET;
	address.sll_ifindex = static_cast<int>(if_nametoindex(device));
	if (fd < 0 || bind(fd, reinterpret_cast<struct sockaddr *>(&address), sizeof(address)))
		return -1;
	return fd;
}

static int openTun(const char *device, short flags)
{
	int fd = open("/dev/net/tun", O_RDWR);
	struct ifreq request = {};
	std::strncpy(request.ifr_name, device, IFNAMSIZ - 1);
	request.ifr_flags = static_cast<short>(flags | IFF_NO_PI);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request))
		return -1;
	return fd;
}

int main(int count, char **words)
{
	std::string kind = count == 3 ? words[1] : "";
	int fd = kind == "packet" ? openPacket(words[2])
		 : kind == "tun"  ? openTun(words[2], IFF_TUN)
		 : kind == "tap"  ? openTun(words[2], IFF_TAP | IFF_NAPI | IFF_NAPI_FRAGS)
				  : -1;
	if (fd < 0)
		return fail("open");
	usleep(50000); // until the device has its carrier
	for (uint16_t pieces; std::fread(&pieces, sizeof(pieces), 1, stdin) == 1;) {
		std::vector<uint16_t> sizes(pieces);
		if (std::fread(sizes.data(), 2, pieces, stdin) != pieces)
			return fail("read sizes");
		std::vector<std::vector<char>> parts;
		std::vector<struct iovec> vector;
		for (uint16_t size : sizes) {
			parts.emplace_back(size);
			if (std::fread(parts.back().data(), 1, size, stdin) != size)
				return fail("read bytes");
		}
		for (auto &part : parts)
			vector.push_back({part.data(), part.size()});
		if (writev(fd, vector.data(), static_cast<int>(vector.size())) < 0)
			return fail("write frame");
	}
	usleep(50000); // until NAPI has had its turn
	return 0;
}
