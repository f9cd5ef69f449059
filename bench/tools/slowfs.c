/*
 * slowfs - a FUSE file system that passes a directory through, slowly or not
 * at all, so that tests and benchmarks meet a REALLY slow and a REALLY hung
 * file system.
 *
 * Nothing is cached between the kernel and this daemon except pages that were
 * read: there is no writeback cache, so each write(2) is a request that its
 * caller waits for, and names and attributes are asked for anew each time.
 * Every call has a thread of its own (--threads), so that one that is held up
 * does not hold up others.
 *
 * What can be slowed down, from the start by options and at run time by lines
 * written to the FIFO --control (same words, without dashes):
 *
 *   --write-delay-ms N   each write takes N ms more
 *   --fsync-delay-ms N   each fsync takes N ms more
 *   --name-delay-ms N    each open, create, rename, link, unlink, ... as well
 *   --bytes-per-s N      all writes together pass at most N bytes/s; 0: no limit
 *   hang WHAT            calls of this kind do not return: all, write, fsync, name
 *   go                   they do again
 *
 * Who is inside a call that hangs cannot be killed either, as with a dead disk.
 * SIGUSR1 is "hang all" and SIGUSR2 is "go".  SIGSTOP of the daemon hangs it as
 * well.  SIGTERM and SIGINT let every call return, unmount and end the daemon
 * with status 0.  After SIGKILL the mount stays, dead, until umount -l.
 *
 * A throttled block device is ext4 on a loop device whose backing file lies
 * here (slow_disk_start in bench/lib.sh).
 *
 * Build:  gcc -std=c11 -O2 -Wall -Wextra slowfs.c -o slowfs \
 *             $(pkg-config --cflags --libs fuse3)
 * It prints "ready" once it is mounted, and stays in the foreground.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 312
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum kind { K_WRITE = 1, K_FSYNC = 2, K_NAME = 4, K_READ = 8, K_ALL = 15 };

/* What slows calls down; guarded by lock, changed is signalled on changes. */
static struct {
	uint64_t write_delay_ms, fsync_delay_ms, name_delay_ms, bytes_per_s;
	uint64_t free_ns;	/* when the throttled device is idle again */
	int hung;		/* kinds that do not return */
	bool ending;		/* nothing is held up any more */
} slow;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;

static int root;		/* the directory passed through */
static struct fuse *fuse;
static pthread_t main_thread;
static volatile bool loop_ended;
static const char *control_path;

static void
die(const char *what)
{
	fprintf(stderr, "slowfs: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* ---------------------------------------------------------- being slow */

/* Lock held.  The call of this kind waits until it may go on. */
static void
wait_while_hung(int kind)
{
	while ((slow.hung & kind) != 0 && !slow.ending)
		pthread_cond_wait(&changed, &lock);
}

/* Lock held.  Waits until a time, or until the daemon ends. */
static void
wait_until(uint64_t due)
{
	struct timespec ts = { .tv_sec = (time_t)(due / 1000000000ull),
	    .tv_nsec = (long)(due % 1000000000ull) };

	while (now_ns() < due && !slow.ending)
		pthread_cond_timedwait(&changed, &lock, &ts);
}

/* Called before the work of each call. */
static void
enter(int kind)
{
	pthread_mutex_lock(&lock);
	wait_while_hung(kind);
	if (kind == K_NAME && slow.name_delay_ms > 0)
		wait_until(now_ns() + slow.name_delay_ms * 1000000);
	pthread_mutex_unlock(&lock);
}

/* The device has to take this many bytes before the write may return. */
static void
throttle(uint64_t bytes)
{
	uint64_t now = now_ns(), due = now;

	pthread_mutex_lock(&lock);
	if (slow.bytes_per_s > 0) {
		if (slow.free_ns < now)
			slow.free_ns = now;
		slow.free_ns += bytes * 1000000000ull / slow.bytes_per_s;
		due = slow.free_ns;
	}
	due += slow.write_delay_ms * 1000000;
	/* In short steps: a limit that is lifted helps those that wait, too. */
	while (now < due && !slow.ending &&
	    (slow.bytes_per_s > 0 || slow.write_delay_ms > 0)) {
		wait_until(due < now + 100000000 ? due : now + 100000000);
		now = now_ns();
	}
	wait_while_hung(K_WRITE);
	pthread_mutex_unlock(&lock);
}

/* Lock held.  A line of the control FIFO, or an option and its value. */
static bool
set(const char *what, const char *value)
{
	uint64_t n = value != NULL ? strtoull(value, NULL, 10) : 0;

	if (strcmp(what, "go") == 0) {
		slow.hung = 0;
	} else if (value == NULL) {
		return false;
	} else if (strcmp(what, "hang") == 0) {
		slow.hung |= strcmp(value, "all") == 0 ? K_ALL :
		    strcmp(value, "write") == 0 ? K_WRITE :
		    strcmp(value, "fsync") == 0 ? K_FSYNC :
		    strcmp(value, "name") == 0 ? K_NAME : 0;
	} else if (strcmp(what, "write-delay-ms") == 0) {
		slow.write_delay_ms = n;
	} else if (strcmp(what, "fsync-delay-ms") == 0) {
		slow.fsync_delay_ms = n;
	} else if (strcmp(what, "name-delay-ms") == 0) {
		slow.name_delay_ms = n;
	} else if (strcmp(what, "bytes-per-s") == 0) {
		slow.bytes_per_s = n;
		slow.free_ns = 0;
	} else {
		return false;
	}
	return true;
}

static void
change(const char *what, const char *value)
{
	pthread_mutex_lock(&lock);
	if (!set(what, value))
		fprintf(stderr, "slowfs: not understood: %s\n", what);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* ---------------------------------------------------------- file system */

/* Paths begin with a slash; "." stands for the root itself. */
static const char *
rel(const char *path)
{
	return path[1] == '\0' ? "." : path + 1;
}

static int
result(int r)
{
	return r < 0 ? -errno : r;
}

static void *
fs_init(struct fuse_conn_info *conn, struct fuse_config *c)
{
	conn->want &= ~(unsigned)FUSE_CAP_WRITEBACK_CACHE;
	c->use_ino = 1;
	c->hard_remove = 1;
	c->nullpath_ok = 1;
	c->entry_timeout = c->attr_timeout = c->negative_timeout = 0;
	printf("ready\n");
	fflush(stdout);
	return NULL;
}

static int
fs_getattr(const char *path, struct stat *sb, struct fuse_file_info *fi)
{
	enter(K_READ);
	return result(fi != NULL ? fstat((int)fi->fh, sb) :
	    fstatat(root, rel(path), sb, AT_SYMLINK_NOFOLLOW));
}

static int
fs_readlink(const char *path, char *buf, size_t size)
{
	ssize_t n;

	enter(K_READ);
	n = readlinkat(root, rel(path), buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

static int
fs_mknod(const char *path, mode_t mode, dev_t dev)
{
	enter(K_NAME);
	return result(mknodat(root, rel(path), mode, dev));
}

static int
fs_mkdir(const char *path, mode_t mode)
{
	enter(K_NAME);
	return result(mkdirat(root, rel(path), mode));
}

static int
fs_unlink(const char *path)
{
	enter(K_NAME);
	return result(unlinkat(root, rel(path), 0));
}

static int
fs_rmdir(const char *path)
{
	enter(K_NAME);
	return result(unlinkat(root, rel(path), AT_REMOVEDIR));
}

static int
fs_symlink(const char *target, const char *path)
{
	enter(K_NAME);
	return result(symlinkat(target, root, rel(path)));
}

static int
fs_rename(const char *from, const char *to, unsigned flags)
{
	enter(K_NAME);
	return result(renameat2(root, rel(from), root, rel(to), flags));
}

static int
fs_link(const char *from, const char *to)
{
	enter(K_NAME);
	return result(linkat(root, rel(from), root, rel(to), 0));
}

static int
fs_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	enter(K_NAME);
	return result(fi != NULL ? fchmod((int)fi->fh, mode) :
	    fchmodat(root, rel(path), mode, 0));
}

static int
fs_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
	enter(K_NAME);
	return result(fi != NULL ? fchown((int)fi->fh, uid, gid) :
	    fchownat(root, rel(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int
fs_utimens(const char *path, const struct timespec ts[2],
    struct fuse_file_info *fi)
{
	enter(K_NAME);
	return result(fi != NULL ? futimens((int)fi->fh, ts) :
	    utimensat(root, rel(path), ts, AT_SYMLINK_NOFOLLOW));
}

static int
fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	int fd, r;

	enter(K_WRITE);
	if (fi != NULL)
		return result(ftruncate((int)fi->fh, size));
	fd = openat(root, rel(path), O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = result(ftruncate(fd, size));
	close(fd);
	return r;
}

/* The daemon's buffers are not aligned as O_DIRECT wants them. */
static int
open_file(const char *path, struct fuse_file_info *fi, int flags, mode_t mode)
{
	int fd;

	enter(K_NAME);
	fd = openat(root, rel(path), (fi->flags & ~O_DIRECT) | flags |
	    O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	return 0;
}

static int
fs_open(const char *path, struct fuse_file_info *fi)
{
	return open_file(path, fi, 0, 0);
}

static int
fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	return open_file(path, fi, O_CREAT, mode);
}

static int
fs_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return result(close((int)fi->fh));
}

static int
fs_read(const char *path, char *buf, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	(void)path;
	enter(K_READ);
	return result((int)pread((int)fi->fh, buf, size, off));
}

static int
fs_write(const char *path, const char *buf, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	int n;

	(void)path;
	enter(K_WRITE);
	n = result((int)pwrite((int)fi->fh, buf, size, off));
	if (n > 0)
		throttle((uint64_t)n);
	return n;
}

static int
fs_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
	(void)path;
	enter(K_FSYNC);
	pthread_mutex_lock(&lock);
	if (slow.fsync_delay_ms > 0)
		wait_until(now_ns() + slow.fsync_delay_ms * 1000000);
	wait_while_hung(K_FSYNC);
	pthread_mutex_unlock(&lock);
	return result(data_only ? fdatasync((int)fi->fh) : fsync((int)fi->fh));
}

static int
fs_fallocate(const char *path, int mode, off_t off, off_t len,
    struct fuse_file_info *fi)
{
	(void)path;
	enter(K_WRITE);
	return result(fallocate((int)fi->fh, mode, off, len));
}

static int
fs_statfs(const char *path, struct statvfs *sv)
{
	(void)path;
	enter(K_READ);
	return result(fstatvfs(root, sv));
}

static int
fs_opendir(const char *path, struct fuse_file_info *fi)
{
	DIR *dir;
	int fd;

	enter(K_READ);
	fd = openat(root, rel(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return -ENOMEM;
	}
	fi->fh = (uint64_t)(uintptr_t)dir;
	return 0;
}

/* All entries at once: the library keeps them and serves them in pieces. */
static int
fs_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off,
    struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	DIR *dir = (DIR *)(uintptr_t)fi->fh;
	struct dirent *e;

	(void)path, (void)off, (void)flags;
	enter(K_READ);
	rewinddir(dir);
	while ((e = readdir(dir)) != NULL) {
		struct stat sb = { .st_ino = e->d_ino,
		    .st_mode = (mode_t)DTTOIF(e->d_type) };

		if (fill(buf, e->d_name, &sb, 0, 0) != 0)
			return -ENOMEM;
	}
	return 0;
}

static int
fs_releasedir(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return result(closedir((DIR *)(uintptr_t)fi->fh));
}

static int
fs_fsyncdir(const char *path, int data_only, struct fuse_file_info *fi)
{
	struct fuse_file_info file = { .fh =
	    (uint64_t)dirfd((DIR *)(uintptr_t)fi->fh) };

	return fs_fsync(path, data_only, &file);
}

static const struct fuse_operations operations = {
	.init = fs_init, .getattr = fs_getattr, .readlink = fs_readlink,
	.mknod = fs_mknod, .mkdir = fs_mkdir, .unlink = fs_unlink,
	.rmdir = fs_rmdir, .symlink = fs_symlink, .rename = fs_rename,
	.link = fs_link, .chmod = fs_chmod, .chown = fs_chown,
	.utimens = fs_utimens, .truncate = fs_truncate, .open = fs_open,
	.create = fs_create, .release = fs_release, .read = fs_read,
	.write = fs_write, .fsync = fs_fsync, .fallocate = fs_fallocate,
	.statfs = fs_statfs, .opendir = fs_opendir, .readdir = fs_readdir,
	.releasedir = fs_releasedir, .fsyncdir = fs_fsyncdir,
};

/* -------------------------------------------------------------- control */

static void
nothing(int sig)
{
	(void)sig;
}

/*
 * Ends the loop.  It looks at its exit flag when a signal interrupts its wait,
 * which it may not have begun yet: so it is signalled until it has ended.
 */
static void
end(void)
{
	struct timespec ts = { .tv_nsec = 20000000 };

	pthread_mutex_lock(&lock);
	slow.ending = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	fuse_exit(fuse);
	while (!loop_ended) {
		pthread_kill(main_thread, SIGURG);
		nanosleep(&ts, NULL);
	}
}

static void *
take_signals(void *arg)
{
	sigset_t *signals = arg;
	int sig;

	for (;;) {
		if (sigwait(signals, &sig) != 0)
			continue;
		if (sig == SIGUSR1)
			change("hang", "all");
		else if (sig == SIGUSR2)
			change("go", NULL);
		else
			end();
	}
	return NULL;
}

static void *
take_control(void *arg)
{
	char line[256], *what, *value, *rest;
	/* Open for writing as well, so that it never comes to its end. */
	FILE *f = fopen(control_path, "r+");

	(void)arg;
	if (f == NULL)
		die(control_path);
	while (fgets(line, sizeof(line), f) != NULL) {
		what = strtok_r(line, " \t\n", &rest);
		value = strtok_r(NULL, " \t\n", &rest);
		if (what != NULL)
			change(what, value);
	}
	return NULL;
}

static void
usage(FILE *f)
{
	fprintf(f,
"usage: slowfs [options] DIRECTORY MOUNTPOINT\n"
"  --write-delay-ms N   added to each write\n"
"  --fsync-delay-ms N   added to each fsync\n"
"  --name-delay-ms N    added to each call on names: open, rename, ...\n"
"  --bytes-per-s N      limit of all writes together\n"
"  --control FIFO       made here; takes these words (without dashes) and\n"
"                       'hang all|write|fsync|name' and 'go' at run time\n"
"  --threads N          calls served at the same time (64); 1: a call that is\n"
"                       held up holds up all\n"
"SIGUSR1: hang all; SIGUSR2: go; SIGTERM: unmount and end\n");
}

int
main(int argc, char **argv)
{
	static const struct option lo[] = {
		{ "write-delay-ms", 1, NULL, 's' },
		{ "fsync-delay-ms", 1, NULL, 's' },
		{ "name-delay-ms", 1, NULL, 's' },
		{ "bytes-per-s", 1, NULL, 's' },
		{ "control", 1, NULL, 'c' },
		{ "threads", 1, NULL, 't' },
		{ "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	static char *library_args[] = { "slowfs", "-ofsname=slowfs",
	    "-odefault_permissions", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, library_args);
	struct fuse_loop_config *loop;
	struct sigaction wake = { .sa_handler = nothing };
	pthread_condattr_t attr;
	pthread_t thread;
	sigset_t signals;
	unsigned threads = 64;
	int ch, index, status;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attr);
	while ((ch = getopt_long(argc, argv, "", lo, &index)) != -1)
		switch (ch) {
		case 's': set(lo[index].name, optarg); break;
		case 'c': control_path = optarg; break;
		case 't': threads = (unsigned)atoi(optarg); break;
		case 'h': usage(stdout); return 0;
		default: usage(stderr); return 2;
		}
	if (argc - optind != 2 || threads == 0) {
		usage(stderr);
		return 2;
	}
	umask(0);
	root = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		die(argv[optind]);
	if (control_path != NULL && mkfifo(control_path, 0600) != 0)
		die(control_path);

	/* One thread takes the signals; all others inherit that they are blocked. */
	main_thread = pthread_self();
	sigaction(SIGURG, &wake, NULL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGUSR2);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	fuse = fuse_new(&args, &operations, sizeof(operations), NULL);
	if (fuse == NULL || fuse_mount(fuse, argv[optind + 1]) != 0)
		return 2;
	if (pthread_create(&thread, NULL, take_signals, &signals) != 0 ||
	    (control_path != NULL &&
	    pthread_create(&thread, NULL, take_control, NULL) != 0))
		die("pthread_create");

	if (threads == 1) {
		status = fuse_loop(fuse);
	} else {
		loop = fuse_loop_cfg_create();
		fuse_loop_cfg_set_max_threads(loop, threads);
		fuse_loop_cfg_set_idle_threads(loop, threads);
		status = fuse_loop_mt(fuse, loop);
		fuse_loop_cfg_destroy(loop);
	}
	loop_ended = true;
	fuse_unmount(fuse);
	fuse_destroy(fuse);
	if (control_path != NULL)
		unlink(control_path);
	return status < 0 ? 1 : 0;
}
