/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded UDP flood for the bench and the end-to-end tests.
 *
 *   flood send ADDRESS PORT [--seconds S] [--packets N] [--size BYTES] [--flows N] [--gso BYTES] [--rate PPS]
 *   flood sink ADDRESS PORT [--seconds S]
 *
 * Every datagram begins with its own number (u64, little endian) and the flow's (u32), so that whoever sees two
 * halves of a path can tell whether they are one packet. Both print one line of JSON when they end: by time, by
 * count, or by SIGINT/SIGTERM. `sink` ends half a second after the last datagram at the latest when its time is over.
 *
 * `sink` looks again and again and never waits in the kernel: who waits is woken by the sender, at 2 us a time on a
 * virtual machine, and the slower the sender is, the more often. What costs a sender 5 % would seem to cost it 30 %.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, MAX_FLOWS = 16384, MAX_SIZE = 65507 };

static volatile sig_atomic_t interrupted;

struct options {
	double seconds;
	uint64_t packets;
	unsigned size;
	unsigned flows;
	unsigned gso;
	double rate;
};

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct addrinfo *resolve(const char *address, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found;
	int error = getaddrinfo(address, port, &hints, &found);
	if (error) {
		fprintf(stderr, "flood: %s port %s: %s\n", address, port, gai_strerror(error));
		exit(2);
	}
	return found;
}

static int send_flood(const struct addrinfo *to, const struct options *options)
{
	static struct mmsghdr messages[BATCH];
	static struct iovec vectors[BATCH];
	static int sockets[MAX_FLOWS];
	unsigned char *payloads = calloc(BATCH, options->size);
	if (!payloads)
		die("calloc");

	for (unsigned i = 0; i < options->flows; i++) {
		sockets[i] = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (sockets[i] < 0 || connect(sockets[i], to->ai_addr, to->ai_addrlen))
			die("connect");
		int gso = (int)options->gso;
		if (gso && setsockopt(sockets[i], SOL_UDP, UDP_SEGMENT, &gso, sizeof(gso)))
			die("UDP_SEGMENT");
	}
	for (int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){.iov_base = payloads + (size_t)i * options->size,
					    .iov_len = options->size};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
	}

	uint64_t sent = 0;
	uint64_t refused = 0;
	uint32_t flow = 0;
	double start = now();
	double end = start + options->seconds;
	double elapsed = 0;
	while (!interrupted && (!options->packets || sent < options->packets)) {
		unsigned count = BATCH;
		if (options->packets && options->packets - sent < count)
			count = (unsigned)(options->packets - sent);
		for (unsigned i = 0; i < count; i++) {
			uint64_t number = sent + i;
			memcpy(payloads + (size_t)i * options->size, &number, sizeof(number));
			memcpy(payloads + (size_t)i * options->size + sizeof(number), &flow, sizeof(flow));
		}
		int done = sendmmsg(sockets[flow], messages, count, 0);
		if (done < 0) {
			if (errno == EINTR)
				continue;
			if (errno != ECONNREFUSED && errno != ENOBUFS && errno != EAGAIN && errno != EPERM)
				die("sendmmsg");
			refused++;
			done = 0;
		}
		sent += (uint64_t)done;
		flow = (flow + 1) % options->flows;
		elapsed = now() - start;
		if (start + elapsed >= end)
			break;
		if (options->rate > 0) {
			double due = (double)sent / options->rate;
			if (due > elapsed)
				usleep((useconds_t)((due - elapsed) * 1e6));
		}
	}
	elapsed = now() - start;
	printf("{\"sent\":%llu,\"bytes\":%llu,\"refused\":%llu,\"seconds\":%.6f,\"perSecond\":%.0f}\n",
	       (unsigned long long)sent, (unsigned long long)(sent * options->size),
	       (unsigned long long)refused, elapsed, (double)sent / elapsed);
	return 0;
}

static int sink_flood(const struct addrinfo *at, const struct options *options)
{
	static struct mmsghdr messages[BATCH];
	static struct iovec vectors[BATCH];
	static unsigned char buffers[BATCH][2048];
	int fd = socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int buffer = 64 << 20;
	/* As long as its buffer takes a hundred times what comes meanwhile. */
	const struct timespec nap = {.tv_nsec = 500000};
	if (fd < 0 || bind(fd, at->ai_addr, at->ai_addrlen))
		die("bind");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	for (int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){.iov_base = buffers[i], .iov_len = sizeof(buffers[i])};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
	}
	printf("ready\n");
	fflush(stdout);

	uint64_t received = 0;
	uint64_t bytes = 0;
	double first = 0;
	double last = now();
	double end = now() + options->seconds;
	while (!interrupted) {
		int count = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
		double at_time = now();
		if (count > 0) {
			if (!received)
				first = at_time;
			last = at_time;
			received += (uint64_t)count;
			for (int i = 0; i < count; i++)
				bytes += messages[i].msg_len;
		} else if (errno != EAGAIN && errno != EINTR) {
			die("recvmmsg");
		} else {
			nanosleep(&nap, NULL);
		}
		if (at_time >= end && at_time - last >= 0.5)
			break;
		if (at_time >= end + 1)
			break;
	}
	double seconds = received ? last - first : 0;
	printf("{\"received\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"perSecond\":%.0f}\n",
	       (unsigned long long)received, (unsigned long long)bytes, seconds,
	       seconds > 0 ? (double)received / seconds : 0);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{"seconds", required_argument, NULL, 's'},
		{"packets", required_argument, NULL, 'p'},
		{"size", required_argument, NULL, 'b'},
		{"flows", required_argument, NULL, 'f'},
		{"gso", required_argument, NULL, 'g'},
		{"rate", required_argument, NULL, 'r'},
		{0},
	};
	struct options options = {.seconds = 5, .size = 22, .flows = 1};
	int option;
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 's':
			options.seconds = atof(optarg);
			break;
		case 'p':
			options.packets = strtoull(optarg, NULL, 10);
			break;
		case 'b':
			options.size = (unsigned)atoi(optarg);
			break;
		case 'f':
			options.flows = (unsigned)atoi(optarg);
			break;
		case 'g':
			options.gso = (unsigned)atoi(optarg);
			break;
		case 'r':
			options.rate = atof(optarg);
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 3 || options.size < 12 || options.size > MAX_SIZE || !options.flows ||
	    options.flows > MAX_FLOWS || options.seconds <= 0) {
		fprintf(stderr,
			"usage: flood send|sink ADDRESS PORT [--seconds S] [--packets N] [--size BYTES] "
			"[--flows N] [--gso BYTES] [--rate PPS]\n");
		return 2;
	}
	struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	struct addrinfo *address = resolve(argv[optind + 1], argv[optind + 2]);
	int sending = !strcmp(argv[optind], "send");
	return sending ? send_flood(address, &options) : sink_flood(address, &options);
}
