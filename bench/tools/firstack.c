/*
 * firstack - milliseconds from exec of a netdump(4) collector to its answer to
 * the first herald.
 *
 * Starts the command, sends a herald every millisecond from CLIENT-ADDR and
 * CLIENT-PORT (where the collector sends its acks; see --client-port) to
 * ADDR:PORT, prints the time until the first ack as a number, then stops the
 * command with SIGTERM and waits for its end.
 *
 * Build:  gcc -std=c11 -O2 -Wall -Wextra -o firstack firstack.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HERALD_BYTES 24		/* be32 type, seqno; be64 offset; be32 length, aux2 */
#define PATIENCE_NS  30000000000ull

static pid_t child = -1;

static void
stop_child(int sig)
{
	if (child > 0)
		kill(child, SIGTERM);
	if (sig != 0)
		_exit(128 + sig);
}

static void
die(const char *what)
{
	fprintf(stderr, "firstack: %s: %s\n", what, strerror(errno));
	stop_child(0);
	exit(2);
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void
start(char **command)
{
	int null;

	child = fork();
	if (child < 0)
		die("fork");
	if (child > 0)
		return;
	/* Not into the pipe that takes the number. */
	null = open("/dev/null", O_RDWR);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execvp(command[0], command);
	_exit(127);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET }, me = to;
	uint8_t herald[HERALD_BYTES] = { 0, 0, 0, 1, 0, 0, 0, 1 };
	struct timespec tick = { .tv_nsec = 1000000 };
	struct pollfd p = { .events = POLLIN };
	uint64_t begin, next, now;
	uint32_t ack[2];
	int status;

	if (argc < 7 || strcmp(argv[5], "--") != 0 ||
	    inet_aton(argv[1], &to.sin_addr) == 0 ||
	    inet_aton(argv[3], &me.sin_addr) == 0) {
		fprintf(stderr, "usage: firstack ADDR PORT CLIENT-ADDR "
		    "CLIENT-PORT -- COMMAND...\n");
		return 2;
	}
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	me.sin_port = htons((uint16_t)atoi(argv[4]));
	/* The ack comes from the session's port: the socket takes it from any. */
	p.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p.fd < 0 || bind(p.fd, (struct sockaddr *)&me, sizeof(me)) != 0)
		die("bind");
	prctl(PR_SET_TIMERSLACK, 1000ul);
	signal(SIGINT, stop_child);
	signal(SIGTERM, stop_child);

	begin = next = now_ns();
	start(argv + 6);
	for (;;) {
		now = now_ns();
		if (now > begin + PATIENCE_NS) {
			errno = ETIMEDOUT;
			die("no ack");
		}
		if (now >= next) {
			sendto(p.fd, herald, sizeof(herald), 0,
			    (struct sockaddr *)&to, sizeof(to));
			next = now + 1000000;
			continue;
		}
		tick.tv_nsec = (long)(next - now);
		if (ppoll(&p, 1, &tick, NULL) > 0 &&
		    recv(p.fd, ack, sizeof(ack), 0) == 4 &&
		    be32toh(ack[0]) == 1)
			break;
		if (waitpid(child, &status, WNOHANG) == child) {
			child = -1;
			fprintf(stderr, "firstack: the command ended\n");
			return 2;
		}
	}
	printf("%.2f\n", (double)(now_ns() - begin) / 1e6);
	fflush(stdout);
	kill(child, SIGTERM);
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	return 0;
}
