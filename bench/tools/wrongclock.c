/*
 * wrongclock - a wall clock that jumps, for one program: a library to be
 * preloaded.
 *
 * The program sees CLOCK_REALTIME, gettimeofday(2) and time(2) ahead by as many
 * seconds as the file that WRONGCLOCK names holds (a signed 64-bit integer in
 * the machine's order), at any moment; the file is mapped, so write it in
 * place.  Monotonic clocks are left alone, as by an operator or an NTP daemon
 * that sets the time.
 *
 * Build:  gcc -std=c11 -O2 -Wall -Wextra -shared -fPIC wrongclock.c \
 *             -o wrongclock.so
 * Use:    LD_PRELOAD=./wrongclock.so WRONGCLOCK=offset program
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static const volatile int64_t *offset;

__attribute__((constructor)) static void
begin(void)
{
	const char *name = getenv("WRONGCLOCK");
	int file = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);

	real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	if (file >= 0) {
		void *map = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, file, 0);

		if (map != MAP_FAILED)
			offset = map;
		close(file);
	}
	/* A test must not pass because the clock is right. */
	if (real_clock_gettime == NULL || offset == NULL)
		_exit(127);
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int r;

	/* Other libraries begin before this one. */
	if (real_clock_gettime == NULL)
		real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	r = real_clock_gettime(clock, now);
	if (r == 0 && offset != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += *offset;
	return (r);
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &t) != 0)
		return (-1);
	now->tv_sec = t.tv_sec;
	now->tv_usec = t.tv_nsec / 1000;
	return (0);
}

time_t
time(time_t *now)
{
	struct timespec t;

	if (clock_gettime(CLOCK_REALTIME, &t) != 0)
		return ((time_t)-1);
	if (now != NULL)
		*now = t.tv_sec;
	return (t.tv_sec);
}
