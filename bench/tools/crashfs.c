/*
 * crashfs - a FUSE file system in memory that can do what a disk, a quota and
 * a crash of the machine do, so that tests meet these under the built program.
 *
 * It keeps what is in the "page cache" apart from what is on the "device":
 *
 * - Data: a write is on the device once an fsync of its file has returned.
 *   Until then each sector of it may be there or not, whatever became of its
 *   neighbours, of earlier writes and of later ones; so may the file's size.
 *   What was never on the device may read as zeros or as something else.
 * - Names: create, rename, link, symlink, unlink, mkdir and rmdir are on the
 *   device once an fsync of their directory has returned; fsync of the file
 *   itself does nothing for its names.  Until then each may have happened or
 *   not, independent of the others; a rename is one change of both names.
 *   (Renames into another directory are refused with EXDEV.)
 * - An fsync that fails loses what it was to put on the device for good: the
 *   page cache shows it, no later fsync puts it there.  So does Linux.
 * - Modes, owners and times are always on the device.
 *
 * What is lost follows from the seed and the order of the calls before.
 *
 * Lines on standard input; each is answered by "ok" or "error: ..." when it
 * has taken effect.  WHAT is read, write, fsync or name.
 *
 *   fail WHAT ERRNO [after N] [once]
 *                       calls of this kind fail: from now on, or after N more
 *                       have passed (write: after N more bytes, as on a disk
 *                       that fills up); "once": only the first one
 *   short-writes [N]    a write takes N (1000) bytes at most
 *   read-only           the same as fail write EROFS and fail name EROFS
 *   delay MS            each call that changes something takes MS ms more
 *   hang WHAT|all       calls do not return
 *   go                  none of the above any more
 *   crash SEED [after N]
 *                       the machine crashes: now, or in place of the N-th call
 *                       from now on that changes or syncs something.  Prints
 *                       "crashed" and answers every call with EIO ...  A
 *                       machine that is down does not crash again.
 *   up                  ... until the machine is up again.  It shows what was
 *                       on the device; what was opened before stays dead.
 *   count               answers "ok N": the calls so far that changed or
 *                       synced something
 *
 * End of input, SIGTERM and SIGINT let every call return, unmount and end the
 * daemon, and what was in it is gone.
 *
 * Build:  gcc -std=c11 -O2 -Wall -Wextra crashfs.c -o crashfs \
 *             $(pkg-config --cflags --libs fuse3)
 * It prints "ready" once it is mounted, and stays in the foreground.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <linux/falloc.h>
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

#define MAX_FILE_BYTES (1ull << 30)
#define THREADS 64

enum kind { K_READ, K_WRITE, K_FSYNC, K_NAME, KINDS };

/* A write, or a new size where data is NULL, that is not on the device. */
struct change {
	struct change *next;
	uint64_t seq, off, len, size;	/* size: of the file afterwards */
	bool lost;			/* its fsync has failed */
	char *data;
};

struct inode;

/* One or two names that change together and are not on the device. */
struct renaming {
	struct renaming *next;
	uint64_t seq;
	bool lost;
	struct { char *name; struct inode *inode; } to[2];	/* NULL: removed */
};

struct entry {
	struct entry *next;
	struct inode *inode;
	char name[];
};

struct content {
	char *bytes;
	uint64_t size, room;		/* zeros from size to room */
};

struct inode {
	struct inode *next;		/* all there are */
	struct stat sb;
	char *target;			/* symbolic link */
	struct content seen, device;	/* file */
	struct change *changes, **changes_end;
	struct entry *names, *device_names;	/* directory */
	struct renaming *renamings, **renamings_end;
	bool reached;
};

struct handle {
	struct inode *inode;
	uint64_t boot;			/* another one now: dead */
};

static struct {
	int error;
	uint64_t left;			/* passes before the first failure */
	bool once;
} faults[KINDS];

/* All of the model; guarded by lock, changed is signalled on changes. */
static struct inode *root, *inodes;
static uint64_t last_ino, last_seq, calls, boot, delay_ms, short_bytes, rng;
static uint64_t crash_seed, crash_left;
static bool crash_armed, down, ending;
static unsigned hung;			/* kinds, as bits */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;

static struct fuse *fuse;
static pthread_t main_thread;
static volatile bool loop_ended;

static void *
allocate(size_t bytes)
{
	void *p = calloc(1, bytes > 0 ? bytes : 1);

	if (p == NULL)
		abort();
	return p;
}

static char *
copy_of(const char *text)
{
	return strcpy(allocate(strlen(text) + 1), text);
}

static uint64_t
random_below(uint64_t bound)
{
	uint64_t z = (rng += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % bound;
}

/* ------------------------------------------------------------- contents */

static void
resize(struct content *c, uint64_t size)
{
	if (size > c->room) {
		uint64_t room = size + size / 2 + 4096;

		c->bytes = realloc(c->bytes, room);
		if (c->bytes == NULL)
			abort();
		memset(c->bytes + c->room, 0, room - c->room);
		c->room = room;
	}
	if (size < c->size)
		memset(c->bytes + size, 0, c->size - size);
	c->size = size;
}

/* What a change does to the bytes from..to; the size is left alone. */
static void
apply(struct content *c, const struct change *change, uint64_t from, uint64_t to)
{
	if (change->data == NULL) {
		if (from < change->size)
			from = change->size;
		if (from < to)
			memset(c->bytes + from, 0, to - from);
		return;
	}
	if (from < change->off)
		from = change->off;
	if (to > change->off + change->len)
		to = change->off + change->len;
	if (from < to)
		memcpy(c->bytes + from, change->data + (from - change->off), to - from);
}

static void
free_changes(struct inode *i)
{
	struct change *c;

	while ((c = i->changes) != NULL) {
		i->changes = c->next;
		free(c->data);
		free(c);
	}
	i->changes_end = &i->changes;
}

/* Takes over data.  The file has this size afterwards. */
static void
add_change(struct inode *i, char *data, uint64_t off, uint64_t len, uint64_t size)
{
	struct change *c = allocate(sizeof(*c));

	c->seq = ++last_seq;
	c->off = off;
	c->len = len;
	c->size = size;
	c->data = data;
	*i->changes_end = c;
	i->changes_end = &c->next;
	resize(&i->seen, size);
	apply(&i->seen, c, 0, i->seen.size);
	clock_gettime(CLOCK_REALTIME, &i->sb.st_mtim);
	i->sb.st_ctim = i->sb.st_mtim;
}

static void
sync_data(struct inode *i)
{
	struct change **link = &i->changes, *c;

	/* What failed once stays behind, in its place among later changes. */
	while ((c = *link) != NULL) {
		if (c->lost) {
			link = &c->next;
			continue;
		}
		resize(&i->device, c->size);
		apply(&i->device, c, 0, i->device.size);
		*link = c->next;
		free(c->data);
		free(c);
	}
	i->changes_end = link;
}

/* ---------------------------------------------------------------- names */

static struct inode *
new_inode(mode_t mode, dev_t dev)
{
	struct inode *i = allocate(sizeof(*i));
	struct fuse_context *caller = fuse_get_context();

	i->sb.st_ino = ++last_ino;
	i->sb.st_mode = mode;
	i->sb.st_rdev = dev;
	i->sb.st_uid = caller != NULL ? caller->uid : getuid();
	i->sb.st_gid = caller != NULL ? caller->gid : getgid();
	i->sb.st_blksize = 4096;
	clock_gettime(CLOCK_REALTIME, &i->sb.st_mtim);
	i->sb.st_atim = i->sb.st_ctim = i->sb.st_mtim;
	i->changes_end = &i->changes;
	i->renamings_end = &i->renamings;
	i->next = inodes;
	inodes = i;
	return i;
}

static struct entry **
find(struct entry **names, const char *name)
{
	while (*names != NULL && strcmp((*names)->name, name) != 0)
		names = &(*names)->next;
	return names;
}

static void
point(struct entry **names, const char *name, struct inode *inode)
{
	struct entry **at = find(names, name), *e = *at;

	if (inode == NULL) {
		if (e != NULL) {
			*at = e->next;
			free(e);
		}
	} else if (e != NULL) {
		e->inode = inode;
	} else {
		e = allocate(sizeof(*e) + strlen(name) + 1);
		e->inode = inode;
		strcpy(e->name, name);
		*at = e;
	}
}

/* The second name may be NULL. */
static void
add_renaming(struct inode *dir, const char *name, struct inode *inode,
    const char *second, struct inode *second_inode)
{
	struct renaming *r = allocate(sizeof(*r));

	r->seq = ++last_seq;
	r->to[0].name = copy_of(name);
	r->to[0].inode = inode;
	point(&dir->names, name, inode);
	if (second != NULL) {
		r->to[1].name = copy_of(second);
		r->to[1].inode = second_inode;
		point(&dir->names, second, second_inode);
	}
	*dir->renamings_end = r;
	dir->renamings_end = &r->next;
	clock_gettime(CLOCK_REALTIME, &dir->sb.st_mtim);
	dir->sb.st_ctim = dir->sb.st_mtim;
}

static void
put_on_device(struct inode *dir, struct renaming *r)
{
	for (int n = 0; n < 2 && r->to[n].name != NULL; n++)
		point(&dir->device_names, r->to[n].name, r->to[n].inode);
}

static void
free_renaming(struct renaming *r)
{
	free(r->to[0].name);
	free(r->to[1].name);
	free(r);
}

static void
sync_names(struct inode *dir)
{
	struct renaming **link = &dir->renamings, *r;

	while ((r = *link) != NULL) {
		if (r->lost) {
			link = &r->next;
			continue;
		}
		put_on_device(dir, r);
		*link = r->next;
		free_renaming(r);
	}
	dir->renamings_end = link;
}

static void
lose_pending(struct inode *i)
{
	for (struct change *c = i->changes; c != NULL; c = c->next)
		c->lost = true;
	for (struct renaming *r = i->renamings; r != NULL; r = r->next)
		r->lost = true;
}

/* Removes the name's directory part from path, which is copied into buf. */
static struct inode *
walk(const char *path, char *buf, size_t room, const char **last)
{
	struct inode *dir = root;
	struct entry *e;
	char *part, *rest;

	if (strlen(path) >= room)
		return NULL;
	strcpy(buf, path + 1);
	part = buf;
	while ((rest = strchr(part, '/')) != NULL) {
		*rest = '\0';
		e = *find(&dir->names, part);
		if (e == NULL || !S_ISDIR(e->inode->sb.st_mode))
			return NULL;
		dir = e->inode;
		part = rest + 1;
	}
	*last = part;
	return dir;
}

static struct inode *
look_up(const char *path)
{
	char buf[4096];
	const char *last;
	struct inode *dir = walk(path, buf, sizeof(buf), &last);
	struct entry *e;

	if (dir == NULL || *last == '\0')
		return dir;
	e = *find(&dir->names, last);
	return e == NULL ? NULL : e->inode;
}

/* ---------------------------------------------------------------- crash */

/* Which of the changes numbered 0..n-1 survive: those below the result. */
static uint64_t
survivors(int mode, uint64_t n, unsigned percent, uint64_t common)
{
	switch (mode) {
	case 0: return 0;
	case 1: return n;
	case 2: return random_below(n + 1);
	case 3: return random_below(100) < percent ? n : 0;
	default: return common;
	}
}

static void
crash_data(struct inode *i)
{
	int mode = (int)random_below(5);
	uint64_t unit = random_below(2) == 0 ? 512 : 4096;
	unsigned percent = (unsigned)(5 + random_below(91));
	uint64_t n = 0, number, common, size, end, sized;
	struct change *c;

	for (c = i->changes; c != NULL; c = c->next)
		n++;
	if (n == 0)
		return;
	common = random_below(n + 1);
	size = i->device.size;
	end = size;
	sized = survivors(mode, n, percent, common);
	for (c = i->changes, number = 0; c != NULL; c = c->next, number++) {
		if (!c->lost && number < sized)
			size = c->size;
		if (c->size > end)
			end = c->size;
	}
	uint64_t known = i->device.size;

	resize(&i->device, end);
	for (uint64_t from = 0; from < end; from += unit) {
		uint64_t to = from + unit < end ? from + unit : end;
		uint64_t kept = survivors(mode, n, percent, common);
		bool touched = false;

		for (c = i->changes, number = 0; c != NULL && number < kept; c = c->next, number++)
			if (!c->lost && (c->data == NULL || (c->off < to && c->off + c->len > from))) {
				apply(&i->device, c, from, to);
				touched = true;
			}
		/* Blocks that the file got and nothing was written to. */
		if (!touched && from >= known && random_below(8) == 0)
			for (uint64_t at = from; at < to; at++)
				i->device.bytes[at] = (char)random_below(256);
	}
	resize(&i->device, size);
}

static void
crash_names(struct inode *dir, int mode, unsigned percent, uint64_t cut)
{
	for (struct renaming *r = dir->renamings; r != NULL; r = r->next)
		if (!r->lost && (mode == 0 ? false : mode == 1 ? true :
		    mode == 2 ? r->seq < cut : random_below(100) < percent))
			put_on_device(dir, r);
}

static void
reach(struct inode *i)
{
	if (i->reached)
		return;
	i->reached = true;
	for (struct entry *e = i->device_names; e != NULL; e = e->next)
		reach(e->inode);
}

static void
free_names(struct entry **names)
{
	struct entry *e;

	while ((e = *names) != NULL) {
		*names = e->next;
		free(e);
	}
}

/* Forgets the page cache. */
static void
fall_back(struct inode *i)
{
	struct renaming *r;

	free_changes(i);
	resize(&i->seen, 0);
	if (i->device.size > 0) {
		resize(&i->seen, i->device.size);
		memcpy(i->seen.bytes, i->device.bytes, i->device.size);
	}
	while ((r = i->renamings) != NULL) {
		i->renamings = r->next;
		free_renaming(r);
	}
	i->renamings_end = &i->renamings;
	free_names(&i->names);
	for (struct entry *e = i->device_names; e != NULL; e = e->next)
		point(&i->names, e->name, e->inode);
}

static void
free_inode(struct inode *i)
{
	struct renaming *r;

	free_changes(i);
	while ((r = i->renamings) != NULL) {
		i->renamings = r->next;
		free_renaming(r);
	}
	free_names(&i->names);
	free_names(&i->device_names);
	free(i->seen.bytes);
	free(i->device.bytes);
	free(i->target);
	free(i);
}

static void
crash(uint64_t seed)
{
	int mode;
	unsigned percent;
	uint64_t first = UINT64_MAX, cut;
	struct inode *i, **link;

	rng = seed * 0x2545f4914f6cdd1d + 1;
	mode = (int)random_below(6);
	percent = (unsigned)(5 + random_below(91));
	for (i = inodes; i != NULL; i = i->next)
		if (i->renamings != NULL && i->renamings->seq < first)
			first = i->renamings->seq;
	/* As with a journal: what happened before some moment is there. */
	cut = first >= last_seq ? first : first + random_below(last_seq - first + 2);
	for (i = inodes; i != NULL; i = i->next) {
		crash_names(i, mode, percent, cut);
		crash_data(i);
		i->reached = false;
	}
	reach(root);
	for (link = &inodes; (i = *link) != NULL;) {
		if (i->reached) {
			fall_back(i);
			link = &i->next;
		} else {
			*link = i->next;
			free_inode(i);
		}
	}
	boot++;
	down = true;
	crash_armed = false;
	pthread_cond_broadcast(&changed);
	printf("crashed\n");
	fflush(stdout);
}

/* --------------------------------------------------------------- faults */

/*
 * Every call begins with this and, when the result is 0, ends with leave; in
 * between it has the lock.
 */
static int
enter(enum kind kind, const struct handle *h)
{
	struct timespec due;
	int error = 0;

	pthread_mutex_lock(&lock);
	if (kind != K_READ && delay_ms > 0) {
		clock_gettime(CLOCK_MONOTONIC, &due);
		due.tv_sec += (time_t)(delay_ms / 1000);
		due.tv_nsec += (long)(delay_ms % 1000) * 1000000;
		if (due.tv_nsec >= 1000000000) {
			due.tv_sec++;
			due.tv_nsec -= 1000000000;
		}
		while (!ending && delay_ms > 0 &&
		    pthread_cond_timedwait(&changed, &lock, &due) == 0)
			;
	}
	while (!ending && !down && (hung & 1u << kind) != 0)
		pthread_cond_wait(&changed, &lock);
	if (!down && kind != K_READ) {
		calls++;
		if (crash_armed && --crash_left == 0)
			crash(crash_seed);
	}
	if (down || (h != NULL && h->boot != boot)) {
		error = EIO;
	} else if (faults[kind].error != 0 && kind != K_WRITE) {
		if (faults[kind].left > 0) {
			faults[kind].left--;
		} else {
			error = faults[kind].error;
			if (kind == K_FSYNC && h != NULL)
				lose_pending(h->inode);
			if (faults[kind].once)
				faults[kind].error = 0;
		}
	}
	if (error != 0)
		pthread_mutex_unlock(&lock);
	return -error;
}

static int
leave(int result)
{
	pthread_mutex_unlock(&lock);
	return result;
}

/* How many of so many bytes may be written, or an error; lock held. */
static int64_t
allowed(uint64_t bytes)
{
	int error = faults[K_WRITE].error;

	if (error != 0 && faults[K_WRITE].left < bytes) {
		bytes = faults[K_WRITE].left;
		if (bytes == 0) {
			if (faults[K_WRITE].once)
				faults[K_WRITE].error = 0;
			return -error;
		}
	}
	if (short_bytes > 0 && bytes > short_bytes)
		bytes = short_bytes;
	if (error != 0)
		faults[K_WRITE].left -= bytes;
	return (int64_t)bytes;
}

/* ---------------------------------------------------------- file system */

static struct handle *
handle_of(struct fuse_file_info *fi)
{
	return fi == NULL ? NULL : (struct handle *)(uintptr_t)fi->fh;
}

static void
open_handle(struct fuse_file_info *fi, struct inode *i)
{
	struct handle *h = allocate(sizeof(*h));

	h->inode = i;
	h->boot = boot;
	fi->fh = (uint64_t)(uintptr_t)h;
	/* The kernel keeps no pages, which a crash would have to take from it. */
	fi->direct_io = 1;
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

/* The inode that a call is about; lock held. */
static struct inode *
subject(const char *path, struct fuse_file_info *fi)
{
	return fi != NULL ? handle_of(fi)->inode : look_up(path);
}

static unsigned
links_to(const struct inode *wanted)
{
	unsigned n = 0;

	for (const struct inode *i = inodes; i != NULL; i = i->next)
		for (const struct entry *e = i->names; e != NULL; e = e->next)
			n += e->inode == wanted;
	return n;
}

static int
fs_getattr(const char *path, struct stat *sb, struct fuse_file_info *fi)
{
	struct inode *i;
	int r = enter(K_READ, handle_of(fi));

	/* The mount point itself can always be looked at, and so be unmounted. */
	if (r == -EIO && fi == NULL && strcmp(path, "/") == 0) {
		*sb = root->sb;
		sb->st_nlink = 2;
		return 0;
	}
	if (r != 0)
		return r;
	i = subject(path, fi);
	if (i == NULL)
		return leave(-ENOENT);
	*sb = i->sb;
	sb->st_size = i->target != NULL ? (off_t)strlen(i->target) : (off_t)i->seen.size;
	sb->st_blocks = (sb->st_size + 511) / 512;
	sb->st_nlink = S_ISDIR(sb->st_mode) ? 2 : links_to(i);
	return leave(0);
}

static int
fs_readlink(const char *path, char *buf, size_t size)
{
	struct inode *i;
	int r = enter(K_READ, NULL);

	if (r != 0)
		return r;
	i = look_up(path);
	if (i == NULL || i->target == NULL)
		return leave(i == NULL ? -ENOENT : -EINVAL);
	snprintf(buf, size, "%s", i->target);
	return leave(0);
}

/* Lock held. */
static int
make(const char *path, mode_t mode, dev_t dev, const char *target, struct inode **made)
{
	char buf[4096];
	const char *last;
	struct inode *dir = walk(path, buf, sizeof(buf), &last), *i;

	if (dir == NULL)
		return -ENOENT;
	if (*find(&dir->names, last) != NULL)
		return -EEXIST;
	i = new_inode(mode, dev);
	i->target = target != NULL ? copy_of(target) : NULL;
	add_renaming(dir, last, i, NULL, NULL);
	if (made != NULL)
		*made = i;
	return 0;
}

static int
fs_mknod(const char *path, mode_t mode, dev_t dev)
{
	int r = enter(K_NAME, NULL);

	return r != 0 ? r : leave(make(path, mode, dev, NULL, NULL));
}

static int
fs_mkdir(const char *path, mode_t mode)
{
	int r = enter(K_NAME, NULL);

	return r != 0 ? r : leave(make(path, mode | S_IFDIR, 0, NULL, NULL));
}

static int
fs_symlink(const char *target, const char *path)
{
	int r = enter(K_NAME, NULL);

	return r != 0 ? r : leave(make(path, 0777 | S_IFLNK, 0, target, NULL));
}

static int
take_away(const char *path, bool directory)
{
	char buf[4096];
	const char *last;
	struct inode *dir = walk(path, buf, sizeof(buf), &last);
	struct entry *e = dir == NULL ? NULL : *find(&dir->names, last);

	if (e == NULL)
		return -ENOENT;
	if (S_ISDIR(e->inode->sb.st_mode) != directory)
		return directory ? -ENOTDIR : -EISDIR;
	if (e->inode->names != NULL)
		return -ENOTEMPTY;
	add_renaming(dir, last, NULL, NULL, NULL);
	return 0;
}

static int
fs_unlink(const char *path)
{
	int r = enter(K_NAME, NULL);

	return r != 0 ? r : leave(take_away(path, false));
}

static int
fs_rmdir(const char *path)
{
	int r = enter(K_NAME, NULL);

	return r != 0 ? r : leave(take_away(path, true));
}

static int
fs_rename(const char *from, const char *to, unsigned flags)
{
	char from_buf[4096], to_buf[4096];
	const char *old, *new;
	struct inode *dir;
	struct entry *e, *there;
	int r = enter(K_NAME, NULL);

	if (r != 0)
		return r;
	dir = walk(from, from_buf, sizeof(from_buf), &old);
	if (dir == NULL)
		return leave(-ENOENT);
	if (walk(to, to_buf, sizeof(to_buf), &new) != dir)
		return leave(-EXDEV);
	if ((flags & ~(unsigned)RENAME_NOREPLACE) != 0)
		return leave(-EINVAL);
	e = *find(&dir->names, old);
	there = *find(&dir->names, new);
	if (e == NULL)
		return leave(-ENOENT);
	if (there != NULL && (flags & RENAME_NOREPLACE) != 0)
		return leave(-EEXIST);
	if (there != NULL && S_ISDIR(there->inode->sb.st_mode))
		return leave(-EISDIR);
	if (there == NULL || there->inode != e->inode)
		add_renaming(dir, new, e->inode, old, NULL);
	return leave(0);
}

static int
fs_link(const char *from, const char *to)
{
	char buf[4096];
	const char *last;
	struct inode *i, *dir;
	int r = enter(K_NAME, NULL);

	if (r != 0)
		return r;
	i = look_up(from);
	dir = walk(to, buf, sizeof(buf), &last);
	if (i == NULL || dir == NULL)
		return leave(-ENOENT);
	if (*find(&dir->names, last) != NULL)
		return leave(-EEXIST);
	add_renaming(dir, last, i, NULL, NULL);
	return leave(0);
}

static int
fs_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	struct inode *i;
	int r = enter(K_NAME, handle_of(fi));

	if (r != 0)
		return r;
	if ((i = subject(path, fi)) == NULL)
		return leave(-ENOENT);
	i->sb.st_mode = (i->sb.st_mode & S_IFMT) | (mode & ~(mode_t)S_IFMT);
	return leave(0);
}

static int
fs_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
	struct inode *i;
	int r = enter(K_NAME, handle_of(fi));

	if (r != 0)
		return r;
	if ((i = subject(path, fi)) == NULL)
		return leave(-ENOENT);
	if (uid != (uid_t)-1)
		i->sb.st_uid = uid;
	if (gid != (gid_t)-1)
		i->sb.st_gid = gid;
	return leave(0);
}

static int
fs_utimens(const char *path, const struct timespec ts[2],
    struct fuse_file_info *fi)
{
	struct inode *i;
	int r = enter(K_NAME, handle_of(fi));

	if (r != 0)
		return r;
	if ((i = subject(path, fi)) == NULL)
		return leave(-ENOENT);
	if (ts[0].tv_nsec != UTIME_OMIT)
		i->sb.st_atim = ts[0];
	if (ts[1].tv_nsec != UTIME_OMIT)
		i->sb.st_mtim = ts[1];
	return leave(0);
}

/* Lock held. */
static int
set_size(struct inode *i, uint64_t size)
{
	if (size > MAX_FILE_BYTES)
		return -EFBIG;
	if (size > i->seen.size && faults[K_WRITE].error != 0 && faults[K_WRITE].left == 0)
		return (int)allowed(1);
	if (size != i->seen.size)
		add_change(i, NULL, 0, 0, size);
	return 0;
}

static int
fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	struct inode *i;
	int r = enter(K_WRITE, handle_of(fi));

	if (r != 0)
		return r;
	if ((i = subject(path, fi)) == NULL)
		return leave(-ENOENT);
	return leave(faults[K_WRITE].error == EROFS ? -EROFS : set_size(i, (uint64_t)size));
}

static int
fs_fallocate(const char *path, int mode, off_t off, off_t len,
    struct fuse_file_info *fi)
{
	struct inode *i;
	int r = enter(K_WRITE, handle_of(fi));

	if (r != 0)
		return r;
	i = subject(path, fi);
	if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0)
		return leave(-EOPNOTSUPP);
	if (mode != 0 || (uint64_t)(off + len) <= i->seen.size)
		return leave(0);
	return leave(set_size(i, (uint64_t)(off + len)));
}

static bool
writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_TRUNC | O_CREAT)) != 0;
}

static int
fs_open(const char *path, struct fuse_file_info *fi)
{
	struct inode *i;
	int r = enter(K_READ, NULL);

	if (r != 0)
		return r;
	if ((i = look_up(path)) == NULL)
		return leave(-ENOENT);
	if (writes(fi->flags) && faults[K_WRITE].error == EROFS)
		return leave(-EROFS);
	if ((fi->flags & O_TRUNC) != 0)
		set_size(i, 0);
	open_handle(fi, i);
	return leave(0);
}

static int
fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	struct inode *i = NULL;
	int r = enter(K_NAME, NULL);

	if (r != 0)
		return r;
	r = make(path, mode | S_IFREG, 0, NULL, &i);
	if (r == -EEXIST && (fi->flags & O_EXCL) == 0) {
		i = look_up(path);
		if ((fi->flags & O_TRUNC) != 0)
			set_size(i, 0);
		r = 0;
	}
	if (r == 0)
		open_handle(fi, i);
	return leave(r);
}

static int
fs_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	free(handle_of(fi));
	return 0;
}

static int
fs_read(const char *path, char *buf, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	const struct content *c;
	int r = enter(K_READ, handle_of(fi));

	(void)path;
	if (r != 0)
		return r;
	c = &handle_of(fi)->inode->seen;
	if ((uint64_t)off >= c->size)
		return leave(0);
	if (size > c->size - (uint64_t)off)
		size = c->size - (uint64_t)off;
	memcpy(buf, c->bytes + off, size);
	return leave((int)size);
}

static int
fs_write(const char *path, const char *buf, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct inode *i;
	int64_t n;
	uint64_t end;
	char *data;
	int r = enter(K_WRITE, handle_of(fi));

	(void)path;
	if (r != 0)
		return r;
	if ((uint64_t)off + size > MAX_FILE_BYTES)
		return leave(-EFBIG);
	n = allowed(size);
	if (n <= 0)
		return leave((int)n);
	i = handle_of(fi)->inode;
	data = memcpy(allocate((size_t)n), buf, (size_t)n);
	end = (uint64_t)off + (uint64_t)n;
	add_change(i, data, (uint64_t)off, (uint64_t)n, end > i->seen.size ? end : i->seen.size);
	return leave((int)n);
}

static int
fs_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
	int r = enter(K_FSYNC, handle_of(fi));

	(void)path, (void)data_only;
	if (r != 0)
		return r;
	sync_data(handle_of(fi)->inode);
	return leave(0);
}

static int
fs_fsyncdir(const char *path, int data_only, struct fuse_file_info *fi)
{
	int r = enter(K_FSYNC, handle_of(fi));

	(void)path, (void)data_only;
	if (r != 0)
		return r;
	sync_names(handle_of(fi)->inode);
	return leave(0);
}

static int
fs_statfs(const char *path, struct statvfs *sv)
{
	int r = enter(K_READ, NULL);
	bool full;

	(void)path;
	if (r != 0)
		return r;
	memset(sv, 0, sizeof(*sv));
	full = (faults[K_WRITE].error == ENOSPC || faults[K_WRITE].error == EDQUOT) &&
	    faults[K_WRITE].left == 0;
	sv->f_bsize = sv->f_frsize = 4096;
	sv->f_namemax = 255;
	sv->f_blocks = 1u << 28;
	sv->f_bfree = sv->f_bavail = full ? 0 : 1u << 27;
	sv->f_files = sv->f_ffree = sv->f_favail = 1u << 20;
	return leave(0);
}

static int
fs_opendir(const char *path, struct fuse_file_info *fi)
{
	struct inode *i;
	int r = enter(K_READ, NULL);

	if (r != 0)
		return r;
	i = look_up(path);
	if (i == NULL || !S_ISDIR(i->sb.st_mode))
		return leave(i == NULL ? -ENOENT : -ENOTDIR);
	open_handle(fi, i);
	fi->direct_io = 0;
	return leave(0);
}

/* All entries at once: the library keeps them and serves them in pieces. */
static int
fs_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off,
    struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	int r = enter(K_READ, handle_of(fi));

	(void)path, (void)off, (void)flags;
	if (r != 0)
		return r;
	fill(buf, ".", NULL, 0, 0);
	fill(buf, "..", NULL, 0, 0);
	for (struct entry *e = handle_of(fi)->inode->names; e != NULL; e = e->next)
		if (fill(buf, e->name, &e->inode->sb, 0, 0) != 0)
			return leave(-ENOMEM);
	return leave(0);
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
	.releasedir = fs_release, .fsyncdir = fs_fsyncdir,
};

/* -------------------------------------------------------------- control */

static int
kind_of(const char *word)
{
	static const char *words[KINDS] = { "read", "write", "fsync", "name" };

	for (int kind = 0; word != NULL && kind < KINDS; kind++)
		if (strcmp(word, words[kind]) == 0)
			return kind;
	return -1;
}

static int
error_of(const char *word)
{
	static const struct { const char *word; int error; } errors[] = {
		{ "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT },
		{ "EROFS", EROFS }, { "EACCES", EACCES }, { "ENOMEM", ENOMEM },
	};

	for (size_t n = 0; word != NULL && n < sizeof(errors) / sizeof(*errors); n++)
		if (strcmp(word, errors[n].word) == 0)
			return errors[n].error;
	return 0;
}

/* Reads "[after N] [once]"; false where something else stands there. */
static bool
modifiers(char *words[], uint64_t *after, bool *once)
{
	for (; *words != NULL; words++) {
		if (once != NULL && strcmp(*words, "once") == 0)
			*once = true;
		else if (strcmp(*words, "after") == 0 && words[1] != NULL)
			*after = strtoull(*++words, NULL, 10);
		else
			return false;
	}
	return true;
}

/* Lock held.  False: not understood. */
static bool
obey(char *words[])
{
	const char *what = words[0];
	uint64_t n = words[1] != NULL ? strtoull(words[1], NULL, 10) : 0, after = 0;
	int kind = kind_of(words[1]), error;
	bool once = false;

	if (strcmp(what, "fail") == 0) {
		if (kind < 0 || (error = error_of(words[2])) == 0 ||
		    !modifiers(words + 3, &after, &once))
			return false;
		faults[kind].error = error;
		faults[kind].left = after;
		faults[kind].once = once;
	} else if (strcmp(what, "read-only") == 0) {
		memset(&faults[K_WRITE], 0, sizeof(faults[K_WRITE]));
		memset(&faults[K_NAME], 0, sizeof(faults[K_NAME]));
		faults[K_WRITE].error = faults[K_NAME].error = EROFS;
	} else if (strcmp(what, "short-writes") == 0) {
		short_bytes = n > 0 ? n : 1000;
	} else if (strcmp(what, "delay") == 0) {
		delay_ms = n;
	} else if (strcmp(what, "hang") == 0 && words[1] != NULL) {
		if (kind < 0 && strcmp(words[1], "all") != 0)
			return false;
		hung |= kind < 0 ? ~0u : 1u << kind;
	} else if (strcmp(what, "go") == 0) {
		memset(faults, 0, sizeof(faults));
		short_bytes = delay_ms = 0;
		hung = 0;
	} else if (strcmp(what, "crash") == 0 && words[1] != NULL) {
		if (!modifiers(words + 2, &after, NULL))
			return false;
		if (down)
			return true;
		if (after == 0) {
			crash(n);
			return true;
		}
		crash_seed = n;
		crash_left = after;
		crash_armed = true;
	} else if (strcmp(what, "up") == 0) {
		down = false;
		crash_armed = false;
	} else {
		return false;
	}
	return true;
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
	ending = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	fuse_exit(fuse);
	while (!loop_ended) {
		pthread_kill(main_thread, SIGURG);
		nanosleep(&ts, NULL);
	}
}

static void *
take_control(void *arg)
{
	char line[256], *words[16], *rest;
	int n;

	(void)arg;
	while (fgets(line, sizeof(line), stdin) != NULL) {
		n = 0;
		for (char *word = strtok_r(line, " \t\n", &rest); word != NULL && n < 15;
		    word = strtok_r(NULL, " \t\n", &rest))
			words[n++] = word;
		words[n] = NULL;
		if (n == 0)
			continue;
		pthread_mutex_lock(&lock);
		if (strcmp(words[0], "count") == 0)
			printf("ok %llu\n", (unsigned long long)calls);
		else if (obey(words))
			printf("ok\n");
		else
			printf("error: not understood: %s\n", words[0]);
		fflush(stdout);
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
	}
	end();
	return NULL;
}

static void *
take_signals(void *arg)
{
	int sig;

	if (sigwait(arg, &sig) == 0)
		end();
	return NULL;
}

static void
nothing(int sig)
{
	(void)sig;
}

int
main(int argc, char **argv)
{
	static char *library_args[] = { "crashfs", "-ofsname=crashfs",
	    "-odefault_permissions", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, library_args);
	struct fuse_loop_config *loop;
	struct sigaction wake = { .sa_handler = nothing };
	pthread_condattr_t attr;
	pthread_t thread;
	sigset_t signals;
	int status;

	if (argc != 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: crashfs MOUNTPOINT\nLines on standard input say what goes wrong; see the source.\n");
		return 2;
	}
	umask(0);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attr);
	root = new_inode(0700 | S_IFDIR, 0);

	/* One thread takes the signals; all others inherit that they are blocked. */
	main_thread = pthread_self();
	sigaction(SIGURG, &wake, NULL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	fuse = fuse_new(&args, &operations, sizeof(operations), NULL);
	if (fuse == NULL || fuse_mount(fuse, argv[1]) != 0)
		return 2;
	if (pthread_create(&thread, NULL, take_signals, &signals) != 0 ||
	    pthread_create(&thread, NULL, take_control, NULL) != 0)
		return 2;
	loop = fuse_loop_cfg_create();
	fuse_loop_cfg_set_max_threads(loop, THREADS);
	fuse_loop_cfg_set_idle_threads(loop, THREADS);
	status = fuse_loop_mt(fuse, loop);
	fuse_loop_cfg_destroy(loop);
	loop_ended = true;
	fuse_unmount(fuse);
	fuse_destroy(fuse);
	return status < 0 ? 1 : 0;
}
