/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live OBJECT DEVICE PACKETS BURST PAUSE_MS: the Ethernet frame on standard input again and again, as if DEVICE of this
 * namespace had received it, each with its number (live.bpf.c), in bursts on all CPUs at once, as fast as this machine
 * can and before everybody else. The fastest there is: frames of BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES go the
 * way of a NIC's, without a system call each. DEVICE is a veth that is up, with gro on: its queues have to be there.
 * Prints a line of JSON: what was sent, and how fast within the bursts.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CPUS = 64 };

static unsigned char frame[2048];
static size_t length;
static int program;
static struct xdp_md context;
static int share;
static pthread_barrier_t start, end;

static void die(const char *what)
{
	fprintf(stderr, "live: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One CPU's share of every burst. */
static void *burst(void *cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (;;) {
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = (__u32)length,
			    .ctx_in = &context, .ctx_size_in = sizeof(context), .batch_size = 256,
			    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
		pthread_barrier_wait(&start);
		options.repeat = share;
		if (bpf_prog_test_run_opts(program, &options))
			die("send");
		pthread_barrier_wait(&end);
	}
	return NULL;
}

int main(int count, char **words)
{
	if (count != 6)
		return 2;
	int packets = atoi(words[3]), most = atoi(words[4]);
	useconds_t pause = (useconds_t)atoi(words[5]) * 1000;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (cpus > MOST_CPUS)
		cpus = MOST_CPUS;
	length = fread(frame, 1, sizeof(frame), stdin);
	struct bpf_object *object = bpf_object__open_file(words[1], NULL);
	__u32 senders = (__u32)cpus;
	if (!object ||
	    bpf_map__set_initial_value(bpf_object__find_map_by_name(object, ".rodata"), &senders, sizeof(senders)) ||
	    bpf_object__load(object))
		die("load");
	program = bpf_program__fd(bpf_object__find_program_by_name(object, "number"));
	context = (struct xdp_md){.data_end = (__u32)length, .ingress_ifindex = if_nametoindex(words[2])};
	if (!context.ingress_ifindex)
		die(words[2]);

	/*
	 * Who watches may wait for the pause: a burst is over in a tenth of a second, and the rings hold it. Where that is
	 * refused the burst takes longer.
	 */
	struct sched_param first = {.sched_priority = 1};
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		perror("live: not before others");
	pthread_barrier_init(&start, NULL, (unsigned)cpus + 1);
	pthread_barrier_init(&end, NULL, (unsigned)cpus + 1);
	for (long cpu = 0; cpu < cpus; cpu++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, burst, (void *)cpu))
			die("pthread_create");
	}

	double sending = 0, fastest = 0;
	int sent = 0;
	while (sent < packets) {
		share = (int)((packets - sent < most ? packets - sent : most) / cpus);
		if (share == 0)
			break;
		double begun = now();
		pthread_barrier_wait(&start);
		pthread_barrier_wait(&end);
		double took = now() - begun;
		if (share * cpus / took > fastest)
			fastest = share * cpus / took;
		sending += took;
		sent += share * (int)cpus;
		usleep(pause);
	}
	printf("{\"sent\":%d,\"seconds\":%.6f,\"perSecond\":%.0f,\"fastest\":%.0f}\n", sent, sending, sent / sending,
	       fastest);
	return 0;
}
