/*
 * nodefs - a FUSE file system that shows a directory as one node of several
 * sees it on a network file system, so that tests can kill a node and find
 * what the others would.
 *
 * DIRECTORY is the server's store; each node has a daemon and a mount of its
 * own over it.
 *
 * - Data: what is written is seen through this mount at once, in the store
 *   (and so by the other nodes) after an fsync or fdatasync of the file.
 *   After SIGKILL of the daemon, what had not been synced is gone.
 *   --close-flush: closing a file that may be written does so as well, as NFS
 *   has it.
 *   --writeback P: P percent of the 4 KiB pieces of each write go to the store
 *   at once, whatever became of the pieces before: then the file in the store
 *   is longer than what was synced, and has holes.
 * - Names, lengths that truncate sets, modes and times are in the store when
 *   the call returns; create, link, symlink, mkdir and rename are atomic there.
 * - Reads show the store and, over it, what this node has not synced; neither
 *   pages nor names nor attributes are cached in between.
 * - Locks (flock, open file description) are this node's own.
 *   --shared-locks: they hold against other nodes, as on NFSv4.
 *
 *   --volatile-names P  SIGUSR1 ends the daemon as SIGKILL does, and P percent
 *                       of the names that were made through this mount (create,
 *                       mkdir, link, symlink, rename) and whose directory was
 *                       not synced since are gone; a renamed file has its old
 *                       name then.  Network file systems do better.
 *   --seed N            of what --writeback and --volatile-names choose (1)
 *   --sync-us N         each fsync takes N us more, as the server's device
 *   --call-us N         each call but a write takes N us more, as the way to a
 *                       server and back
 *
 * SIGTERM and SIGINT put everything into the store, unmount and end the
 * daemon.  After SIGKILL the mount stays, dead, until umount -l.
 *
 * Build:  gcc -std=c11 -O2 -Wall -Wextra nodefs.c -o nodefs \
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
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PIECE 4096
#define BUCKETS 1024
#define THREADS 64

/* Bytes that were written and are not known to be in the store. */
struct extent {
	struct extent *next;		/* written later */
	off_t off;
	size_t len;
	char data[];
};

/* A file that is open or has extents. */
struct file {
	struct file *next;		/* of the same bucket */
	dev_t dev;
	ino_t ino;
	int fd;				/* the store's; writes what is synced */
	unsigned handles;
	struct extent *extents, **end;
};

struct handle {
	int fd;
	bool append, sync, writes;	/* O_APPEND, O_DSYNC, not O_RDONLY */
	struct file *file;		/* NULL: a directory */
};

/* A name that was made and whose directory was not synced since. */
struct fresh {
	struct fresh *next;		/* made earlier */
	ino_t ino;
	char *former;			/* before a rename, or NULL */
	char path[];
};

static struct {
	unsigned writeback, sync_us, call_us, volatile_names;
	bool close_flush, shared_locks;
} cfg;

/* The files and all of their extents; the latest name first. */
static struct file *buckets[BUCKETS];
static struct fresh *fresh_names;
static uint64_t rng = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int root;			/* the store */

static void
die(const char *what)
{
	fprintf(stderr, "nodefs: %s: %s\n", what, strerror(errno));
	exit(2);
}

static int
result(int r)
{
	return r < 0 ? -errno : r;
}

/* Paths begin with a slash; "." stands for the root itself. */
static const char *
rel(const char *path)
{
	return path[1] == '\0' ? "." : path + 1;
}

static struct handle *
handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

static uint64_t
random_below(uint64_t bound)
{
	uint64_t z = (rng += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % bound;
}

/* ------------------------------------------- what is not synced; lock held */

static struct file **
bucket_of(dev_t dev, ino_t ino)
{
	return &buckets[(dev * 31 + ino) % BUCKETS];
}

static struct file *
find(dev_t dev, ino_t ino)
{
	struct file *f = *bucket_of(dev, ino);

	while (f != NULL && (f->ino != ino || f->dev != dev))
		f = f->next;
	return f;
}

static void
drop_extents(struct file *f)
{
	struct extent *e;

	while ((e = f->extents) != NULL) {
		f->extents = e->next;
		free(e);
	}
	f->end = &f->extents;
}

/* The whole of data is written, or the error is told. */
static int
store(const struct file *f, const char *data, size_t len, off_t off)
{
	ssize_t n;

	for (; len > 0; data += n, len -= (size_t)n, off += n)
		if ((n = pwrite(f->fd, data, len, off)) < 0)
			return -errno;
	return 0;
}

static int
sync_file(struct file *f)
{
	int error;

	for (struct extent *e = f->extents; e != NULL; e = e->next)
		if ((error = store(f, e->data, e->len, e->off)) != 0)
			return error;
	drop_extents(f);
	return 0;
}

static off_t
size_of(const struct file *f, off_t stored)
{
	for (const struct extent *e = f->extents; e != NULL; e = e->next)
		if (e->off + (off_t)e->len > stored)
			stored = e->off + (off_t)e->len;
	return stored;
}

static void
cut(struct file *f, off_t size)
{
	struct extent **at = &f->extents, *e;

	while ((e = *at) != NULL) {
		if (e->off >= size) {
			*at = e->next;
			free(e);
			continue;
		}
		if (e->off + (off_t)e->len > size)
			e->len = (size_t)(size - e->off);
		at = &e->next;
	}
	f->end = at;
}

/* Forgotten when nobody has it open and it is the same in the store. */
static void
let_go(struct file *f)
{
	struct file **at = bucket_of(f->dev, f->ino);
	struct stat sb;

	if (f->handles > 0 || (f->extents != NULL &&
	    fstat(f->fd, &sb) == 0 && sb.st_nlink > 0))
		return;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	drop_extents(f);
	close(f->fd);
	free(f);
}

static void
travel(void)
{
	if (cfg.call_us > 0)
		usleep(cfg.call_us);
}

/* Takes fd over, also when it fails. */
static int
new_handle(int fd, struct fuse_file_info *fi)
{
	struct handle *h = calloc(1, sizeof(*h));
	struct stat sb;
	char path[64];

	if (h == NULL || fstat(fd, &sb) != 0)
		abort();
	h->fd = fd;
	h->append = (fi->flags & O_APPEND) != 0;
	h->writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	h->sync = (fi->flags & O_DSYNC) != 0;
	fi->fh = (uint64_t)(uintptr_t)h;
	fi->direct_io = 1;
	if (!S_ISREG(sb.st_mode))
		return 0;
	pthread_mutex_lock(&lock);
	h->file = find(sb.st_dev, sb.st_ino);
	if (h->file == NULL) {
		struct file **at = bucket_of(sb.st_dev, sb.st_ino);

		h->file = calloc(1, sizeof(*h->file));
		if (h->file == NULL)
			abort();
		h->file->dev = sb.st_dev;
		h->file->ino = sb.st_ino;
		h->file->end = &h->file->extents;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		h->file->fd = open(path, O_RDWR | O_CLOEXEC);
		h->file->next = *at;
		*at = h->file;
	}
	h->file->handles++;
	if ((fi->flags & O_TRUNC) != 0)
		drop_extents(h->file);
	pthread_mutex_unlock(&lock);
	if (h->file->fd < 0)
		die(path);
	return 0;
}

/* ------------------------------------------- names that are not synced */

/* Called with what making the name returned; lock held since before. */
static int
made(int r, const char *former, const char *path)
{
	struct fresh *n;
	struct stat sb;

	if (r == 0 && cfg.volatile_names > 0 &&
	    fstatat(root, rel(path), &sb, AT_SYMLINK_NOFOLLOW) == 0) {
		n = calloc(1, sizeof(*n) + strlen(path) + 1);
		if (n == NULL || (former != NULL &&
		    (n->former = strdup(former)) == NULL))
			abort();
		n->ino = sb.st_ino;
		strcpy(n->path, path);
		n->next = fresh_names;
		fresh_names = n;
	}
	return r;
}

static bool
is_in(const char *path, const struct stat *directory)
{
	char *parent = strdup(path), *slash;
	struct stat sb;
	bool is;

	if (parent == NULL)
		abort();
	slash = strrchr(parent, '/');
	slash[slash == parent] = '\0';
	is = fstatat(root, rel(parent), &sb, 0) == 0 &&
	    sb.st_ino == directory->st_ino && sb.st_dev == directory->st_dev;
	free(parent);
	return is;
}

static void
sync_names(int fd)
{
	struct fresh **at = &fresh_names, *n;
	struct stat sb;

	if (fstat(fd, &sb) != 0)
		return;
	while ((n = *at) != NULL) {
		if (!is_in(n->path, &sb)) {
			at = &n->next;
			continue;
		}
		*at = n->next;
		free(n->former);
		free(n);
	}
}

/* The node dies. */
static void *
die_when_told(void *arg)
{
	sigset_t *signals = arg;
	struct stat sb;
	int sig;

	while (sigwait(signals, &sig) != 0)
		continue;
	pthread_mutex_lock(&lock);
	for (struct fresh *n = fresh_names; n != NULL; n = n->next) {
		if (random_below(100) >= cfg.volatile_names ||
		    fstatat(root, rel(n->path), &sb, AT_SYMLINK_NOFOLLOW) != 0 ||
		    sb.st_ino != n->ino)
			continue;
		if (n->former != NULL)
			renameat2(root, rel(n->path), root, rel(n->former), RENAME_NOREPLACE);
		else
			unlinkat(root, rel(n->path), S_ISDIR(sb.st_mode) ? AT_REMOVEDIR : 0);
	}
	kill(getpid(), SIGKILL);
	return NULL;
}

/* ---------------------------------------------------------- file system */

static void *
fs_init(struct fuse_conn_info *conn, struct fuse_config *c)
{
	conn->want &= ~(unsigned)FUSE_CAP_WRITEBACK_CACHE;
	if (!cfg.shared_locks)
		conn->want &= ~(unsigned)(FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS);
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
	struct file *f;
	int r;

	travel();
	/* Not between a sync and what it took from the extents. */
	pthread_mutex_lock(&lock);
	r = result(fi != NULL ? fstat(handle_of(fi)->fd, sb) :
	    fstatat(root, rel(path), sb, AT_SYMLINK_NOFOLLOW));
	if (r == 0 && (f = find(sb->st_dev, sb->st_ino)) != NULL)
		sb->st_size = size_of(f, sb->st_size);
	pthread_mutex_unlock(&lock);
	return r;
}

static int
fs_readlink(const char *path, char *buf, size_t size)
{
	ssize_t n = readlinkat(root, rel(path), buf, size - 1);

	travel();
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

static int
fs_mknod(const char *path, mode_t mode, dev_t dev)
{
	int r;

	pthread_mutex_lock(&lock);
	r = made(result(mknodat(root, rel(path), mode, dev)), NULL, path);
	pthread_mutex_unlock(&lock);
	return r;
}

static int
fs_mkdir(const char *path, mode_t mode)
{
	int r;

	travel();
	pthread_mutex_lock(&lock);
	r = made(result(mkdirat(root, rel(path), mode)), NULL, path);
	pthread_mutex_unlock(&lock);
	return r;
}

static int
fs_unlink(const char *path)
{
	struct stat sb;
	struct file *f;
	int r;

	travel();
	pthread_mutex_lock(&lock);
	r = fstatat(root, rel(path), &sb, AT_SYMLINK_NOFOLLOW);
	f = r == 0 ? find(sb.st_dev, sb.st_ino) : NULL;
	r = result(unlinkat(root, rel(path), 0));
	if (r == 0 && f != NULL)
		let_go(f);
	pthread_mutex_unlock(&lock);
	return r;
}

static int
fs_rmdir(const char *path)
{
	travel();
	return result(unlinkat(root, rel(path), AT_REMOVEDIR));
}

static int
fs_symlink(const char *target, const char *path)
{
	int r;

	travel();
	pthread_mutex_lock(&lock);
	r = made(result(symlinkat(target, root, rel(path))), NULL, path);
	pthread_mutex_unlock(&lock);
	return r;
}

static int
fs_rename(const char *from, const char *to, unsigned flags)
{
	int r;

	travel();
	pthread_mutex_lock(&lock);
	r = made(result(renameat2(root, rel(from), root, rel(to), flags)), from, to);
	pthread_mutex_unlock(&lock);
	return r;
}

static int
fs_link(const char *from, const char *to)
{
	int r;

	travel();
	pthread_mutex_lock(&lock);
	r = made(result(linkat(root, rel(from), root, rel(to), 0)), NULL, to);
	pthread_mutex_unlock(&lock);
	return r;
}

static int
fs_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	travel();
	return result(fi != NULL ? fchmod(handle_of(fi)->fd, mode) :
	    fchmodat(root, rel(path), mode, 0));
}

static int
fs_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
	return result(fi != NULL ? fchown(handle_of(fi)->fd, uid, gid) :
	    fchownat(root, rel(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int
fs_utimens(const char *path, const struct timespec ts[2],
    struct fuse_file_info *fi)
{
	return result(fi != NULL ? futimens(handle_of(fi)->fd, ts) :
	    utimensat(root, rel(path), ts, AT_SYMLINK_NOFOLLOW));
}

static int
fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	struct stat sb;
	struct file *f;
	int r, fd = fi != NULL ? handle_of(fi)->fd :
	    openat(root, rel(path), O_WRONLY | O_CLOEXEC);

	travel();
	if (fd < 0)
		return -errno;
	pthread_mutex_lock(&lock);
	r = result(ftruncate(fd, size));
	if (r == 0 && fstat(fd, &sb) == 0 &&
	    (f = find(sb.st_dev, sb.st_ino)) != NULL)
		cut(f, size);
	pthread_mutex_unlock(&lock);
	if (fi == NULL)
		close(fd);
	return r;
}

/* Appending is done here: the store does not know how long the file is. */
static int
open_file(const char *path, struct fuse_file_info *fi, int flags)
{
	int fd = openat(root, rel(path), (fi->flags & ~(O_DIRECT | O_APPEND | O_CREAT |
	    O_EXCL)) | flags | O_CLOEXEC);

	return fd < 0 ? -errno : new_handle(fd, fi);
}

static int
fs_open(const char *path, struct fuse_file_info *fi)
{
	travel();
	return open_file(path, fi, 0);
}

static int
fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	int r, error;

	travel();
	/* A name that was there already is not made. */
	pthread_mutex_lock(&lock);
	r = openat(root, rel(path), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);
	error = errno;
	if (r >= 0) {
		close(r);
		made(0, NULL, path);
	}
	pthread_mutex_unlock(&lock);
	if (r < 0 && (error != EEXIST || (fi->flags & O_EXCL) != 0))
		return -error;
	return open_file(path, fi, 0);
}

static int
fs_release(const char *path, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	(void)path;
	close(h->fd);
	if (h->file != NULL) {
		pthread_mutex_lock(&lock);
		h->file->handles--;
		let_go(h->file);
		pthread_mutex_unlock(&lock);
	}
	free(h);
	return 0;
}

static int
fs_read(const char *path, char *buf, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	off_t end = off + (off_t)size;
	struct stat sb;
	ssize_t n;

	travel();
	(void)path;
	pthread_mutex_lock(&lock);
	n = pread(h->fd, buf, size, off);
	if (n < 0 || h->file == NULL || h->file->extents == NULL ||
	    fstat(h->fd, &sb) != 0) {
		pthread_mutex_unlock(&lock);
		return result((int)n);
	}
	sb.st_size = size_of(h->file, sb.st_size);
	if (end > sb.st_size)
		end = sb.st_size;
	if (off + n < end) {
		memset(buf + n, 0, (size_t)(end - off - n));
		n = end - off;
	}
	for (const struct extent *e = h->file->extents; e != NULL; e = e->next) {
		off_t from = e->off > off ? e->off : off;
		off_t to = e->off + (off_t)e->len;

		if (to > off + n)
			to = off + n;
		if (from < to)
			memcpy(buf + (from - off), e->data + (from - e->off),
			    (size_t)(to - from));
	}
	pthread_mutex_unlock(&lock);
	return (int)n;
}

static int
fs_write(const char *path, const char *buf, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct extent *e = malloc(sizeof(*e) + size);
	struct stat sb;
	int error = 0;

	(void)path;
	if (e == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&lock);
	if (h->append && fstat(h->fd, &sb) == 0)
		off = size_of(h->file, sb.st_size);
	*e = (struct extent){ .off = off, .len = size };
	memcpy(e->data, buf, size);
	*h->file->end = e;
	h->file->end = &e->next;
	for (size_t at = 0, len; at < size && error == 0; at += len) {
		len = PIECE - (size_t)(off + (off_t)at) % PIECE;
		if (len > size - at)
			len = size - at;
		if (cfg.writeback > 0 && random_below(100) < cfg.writeback)
			error = store(h->file, buf + at, len, off + (off_t)at);
	}
	if (h->sync && error == 0)
		error = sync_file(h->file);
	pthread_mutex_unlock(&lock);
	return error != 0 ? error : (int)size;
}

static int
fs_flush(const char *path, struct fuse_file_info *fi)
{
	int r;

	(void)path;
	if (!cfg.close_flush || !handle_of(fi)->writes || handle_of(fi)->file == NULL)
		return 0;
	pthread_mutex_lock(&lock);
	r = sync_file(handle_of(fi)->file);
	pthread_mutex_unlock(&lock);
	return r;
}

static int
fs_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
	int r = 0;

	travel();
	(void)path, (void)data_only;
	if (cfg.sync_us > 0)
		usleep(cfg.sync_us);
	pthread_mutex_lock(&lock);
	if (handle_of(fi)->file != NULL)
		r = sync_file(handle_of(fi)->file);
	else
		sync_names(handle_of(fi)->fd);
	pthread_mutex_unlock(&lock);
	return r;
}

static int
fs_fallocate(const char *path, int mode, off_t off, off_t len,
    struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	int r = 0;

	(void)path;
	pthread_mutex_lock(&lock);
	/* What takes bytes away must not be undone by those written before. */
	if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0)
		r = sync_file(h->file);
	if (r == 0)
		r = result(fallocate(h->file->fd, mode, off, len));
	pthread_mutex_unlock(&lock);
	return r;
}

static int
fs_flock(const char *path, struct fuse_file_info *fi, int operation)
{
	(void)path;
	return result(flock(handle_of(fi)->fd, operation));
}

static int
fs_lock(const char *path, struct fuse_file_info *fi, int command,
    struct flock *range)
{
	(void)path;
	range->l_pid = 0;
	return result(fcntl(handle_of(fi)->fd, command == F_GETLK ? F_OFD_GETLK :
	    command == F_SETLK ? F_OFD_SETLK : F_OFD_SETLKW, range));
}

static int
fs_statfs(const char *path, struct statvfs *sv)
{
	(void)path;
	return result(fstatvfs(root, sv));
}

static int
fs_opendir(const char *path, struct fuse_file_info *fi)
{
	travel();
	return open_file(path, fi, O_DIRECTORY);
}

/* All entries at once: the library keeps them and serves them in pieces. */
static int
fs_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off,
    struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	/* With a position of its own: a readdir of the handle would share one. */
	int fd = openat(handle_of(fi)->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	(void)path, (void)off, (void)flags;
	if (dir == NULL)
		return -errno;
	while (r == 0 && (e = readdir(dir)) != NULL) {
		struct stat sb = { .st_ino = e->d_ino,
		    .st_mode = (mode_t)DTTOIF(e->d_type) };

		if (fill(buf, e->d_name, &sb, 0, 0) != 0)
			r = -ENOMEM;
	}
	closedir(dir);
	return r;
}

static struct fuse_operations operations = {
	.init = fs_init, .getattr = fs_getattr, .readlink = fs_readlink,
	.mknod = fs_mknod, .mkdir = fs_mkdir, .unlink = fs_unlink,
	.rmdir = fs_rmdir, .symlink = fs_symlink, .rename = fs_rename,
	.link = fs_link, .chmod = fs_chmod, .chown = fs_chown,
	.utimens = fs_utimens, .truncate = fs_truncate, .open = fs_open,
	.create = fs_create, .release = fs_release, .read = fs_read,
	.write = fs_write, .flush = fs_flush, .fsync = fs_fsync,
	.fallocate = fs_fallocate, .statfs = fs_statfs, .opendir = fs_opendir,
	.readdir = fs_readdir, .releasedir = fs_release, .fsyncdir = fs_fsync,
};

/* ----------------------------------------------------------------- main */

static void
usage(FILE *f)
{
	fprintf(f,
"usage: nodefs [options] DIRECTORY MOUNTPOINT\n"
"  --close-flush     close puts data into the store, too\n"
"  --writeback P     percent of what is written that gets there at once (0)\n"
"  --volatile-names P  percent of the names made and not synced that SIGUSR1\n"
"                    takes back when it ends the daemon as SIGKILL does (0)\n"
"  --seed N          of what all these are (1)\n"
"  --sync-us N       each fsync takes N us more (0)\n"
"  --call-us N       each call but a write takes N us more (0)\n"
"  --shared-locks    locks hold against the other nodes\n"
"SIGTERM: sync, unmount and end\n");
}

int
main(int argc, char **argv)
{
	static const struct option lo[] = {
		{ "close-flush", 0, NULL, 'f' },
		{ "writeback", 1, NULL, 'w' },
		{ "volatile-names", 1, NULL, 'n' },
		{ "seed", 1, NULL, 's' },
		{ "sync-us", 1, NULL, 'u' },
		{ "call-us", 1, NULL, 'c' },
		{ "shared-locks", 0, NULL, 'l' },
		{ "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	static char *library_args[] = { "nodefs", "-ofsname=nodefs",
	    "-odefault_permissions", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, library_args);
	struct fuse_loop_config *loop;
	struct fuse *fuse;
	pthread_t thread;
	sigset_t signals;
	int ch, status;

	while ((ch = getopt_long(argc, argv, "", lo, NULL)) != -1)
		switch (ch) {
		case 'f': cfg.close_flush = true; break;
		case 'w': cfg.writeback = (unsigned)atoi(optarg); break;
		case 'n': cfg.volatile_names = (unsigned)atoi(optarg); break;
		case 's': rng = strtoull(optarg, NULL, 0); break;
		case 'c': cfg.call_us = (unsigned)atoi(optarg); break;
		case 'u': cfg.sync_us = (unsigned)atoi(optarg); break;
		case 'l': cfg.shared_locks = true; break;
		case 'h': usage(stdout); return 0;
		default: usage(stderr); return 2;
		}
	if (argc - optind != 2) {
		usage(stderr);
		return 2;
	}
	umask(0);
	root = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		die(argv[optind]);
	if (cfg.shared_locks) {
		operations.flock = fs_flock;
		operations.lock = fs_lock;
	}
	/* One thread takes it; all others inherit that it is blocked. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (pthread_create(&thread, NULL, die_when_told, &signals) != 0)
		die("pthread_create");
	fuse = fuse_new(&args, &operations, sizeof(operations), NULL);
	if (fuse == NULL || fuse_mount(fuse, argv[optind + 1]) != 0 ||
	    fuse_set_signal_handlers(fuse_get_session(fuse)) != 0)
		return 2;
	loop = fuse_loop_cfg_create();
	fuse_loop_cfg_set_max_threads(loop, THREADS);
	fuse_loop_cfg_set_idle_threads(loop, THREADS);
	status = fuse_loop_mt(fuse, loop);
	fuse_loop_cfg_destroy(loop);
	for (unsigned b = 0; b < BUCKETS; b++)
		for (struct file *f = buckets[b]; f != NULL; f = f->next)
			if (sync_file(f) != 0)
				status = -1;
	fuse_remove_signal_handlers(fuse_get_session(fuse));
	fuse_unmount(fuse);
	fuse_destroy(fuse);
	return status < 0 ? 1 : 0;
}
