/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that the guest knows: nodeid -> O_PATH descriptor. Worker threads; the guest controls which names it looks
 * up, how often it forgets, and every nodeid.
 *
 * Theory of operation. A file is found once, by one name in a directory that is itself a descriptor, without following
 * links; from then on it is the descriptor, and no path is ever resolved again. Its identity is (mount, device, inode
 * number) within its share, so that all names of one file are one nodeid. The table has FS_SHARDS hash tables,
 * each with a lock, which only LOOKUP and FORGET take; everything else finds its inode by id (fs_pool.h).
 *
 * An inode lives while the guest remembers it (nlookup > 0, which is LIVE) or something uses it. Whoever ends the
 * last of the two frees it: forget() when there is no user, else put(). Both look at one word, so only one of them
 * sees the end; and as it may be found again by its key in that moment, the end is confirmed under the shard's lock.
 */
#include "fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BUCKETS_FIRST 16u
#define PROC_ROOT_INO 1u

struct key {
	uint64_t dev, ino;
	uint32_t mnt;
	uint64_t hash;
};

static struct key key_of(const struct fs *fs, const struct statx *st)
{
	struct key k = {
		.dev = makedev(st->stx_dev_major, st->stx_dev_minor),
		.ino = st->stx_ino,
		.mnt = st->stx_mask & STATX_MNT_ID ? (uint32_t)st->stx_mnt_id : 0,
	};
	uint64_t h = k.ino ^ fs->hash_seed;

	/* two rounds of a multiply-and-fold; the seed keeps the guest from choosing collisions */
	h = (h ^ (h >> 32)) * 0x9e3779b97f4a7c15ull;
	h ^= k.dev << 20 ^ k.mnt;
	h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9ull;
	k.hash = h ^ (h >> 32);
	return k;
}

static struct key key_again(const struct fs *fs, const struct fs_inode *i)
{
	struct statx st = {
		.stx_mask = STATX_MNT_ID,
		.stx_dev_major = major(i->dev),
		.stx_dev_minor = minor(i->dev),
		.stx_ino = i->ino,
		.stx_mnt_id = i->mnt,
	};

	return key_of(fs, &st);
}

static struct fs_shard *shard_of(struct fs *fs, const struct key *k)
{
	return &fs->shard[k->hash % FS_SHARDS];
}

static uint32_t *bucket_of(const struct fs_shard *s, const struct key *k)
{
	return &s->bucket[k->hash / FS_SHARDS & (s->buckets - 1)];
}

static int64_t btime_of(const struct statx *st)
{
	if (!(st->stx_mask & STATX_BTIME))
		return 0;
	return (int64_t)((uint64_t)st->stx_btime.tv_sec * 1000000000u + st->stx_btime.tv_nsec);
}

bool fs_inode_is(const struct fs *fs, const struct fs_inode *i, const struct statx *st)
{
	struct key k = key_of(fs, st);

	return i->ino == k.ino && i->dev == k.dev && i->mnt == k.mnt && i->btime == btime_of(st) &&
	       i->type == (st->stx_mode & (uint32_t)S_IFMT);
}

int fs_inodes_init(struct fs *fs, uint32_t cap)
{
	if (getrandom(&fs->hash_seed, sizeof(fs->hash_seed), GRND_NONBLOCK) != sizeof(fs->hash_seed))
		fs->hash_seed = (uintptr_t)fs;
	for (unsigned int n = 0; n < FS_SHARDS; n++) {
		struct fs_shard *s = &fs->shard[n];

		pthread_mutex_init(&s->lock, NULL);
		s->bucket = calloc(BUCKETS_FIRST, sizeof(*s->bucket));
		if (!s->bucket)
			return -ENOMEM;
		s->buckets = BUCKETS_FIRST;
	}
	return fs_pool_init(&fs->inodes, sizeof(struct fs_inode), cap);
}

void fs_inodes_free(struct fs *fs)
{
	for (unsigned int n = 0; n < FS_SHARDS; n++)
		free(fs->shard[n].bucket);
	fs_pool_free(&fs->inodes);
}

/* Twice the buckets; without memory for them the chains just get longer. Shard locked. */
static void grow(struct fs *fs, struct fs_shard *s)
{
	uint32_t n = s->buckets * 2, *bucket = calloc(n, sizeof(*bucket)), *old = s->bucket;

	if (!bucket)
		return;
	s->bucket = bucket;
	s->buckets = n;
	for (uint32_t b = 0; b < n / 2; b++) {
		for (uint32_t at = old[b], next; at; at = next) {
			struct fs_inode *i = fs_pool_at(&fs->inodes, at - 1);
			struct key k = key_again(fs, i);
			uint32_t *head = bucket_of(s, &k);

			next = i->next;
			i->next = *head;
			*head = at;
		}
	}
	free(old);
}

static void hash_insert(struct fs *fs, struct fs_shard *s, const struct key *k, struct fs_inode *i)
{
	uint32_t *head;

	if (s->count >= s->buckets * 2)
		grow(fs, s);
	head = bucket_of(s, k);
	i->next = *head;
	*head = (uint32_t)i->id + 1;
	i->hashed = true;
	s->count++;
}

static void hash_remove(struct fs *fs, struct fs_shard *s, const struct key *k, struct fs_inode *i)
{
	if (!i->hashed)
		return;
	for (uint32_t *at = bucket_of(s, k); *at;) {
		struct fs_inode *o = fs_pool_at(&fs->inodes, *at - 1);

		if (o == i) {
			*at = i->next;
			break;
		}
		at = &o->next;
	}
	i->hashed = false;
	s->count--;
}

/*
 * The inode with this key: one user more, and one lookup if `count`; or NULL. A file that was evicted may be gone
 * and its number be another file's; then their births differ, and the old one is no longer found. Shard locked.
 */
static struct fs_inode *find(struct fs *fs, struct fs_shard *s, const struct key *k, uint16_t share,
			     const struct statx *st, bool count)
{
	for (uint32_t at = *bucket_of(s, k); at;) {
		struct fs_inode *i = fs_pool_at(&fs->inodes, at - 1);

		at = i->next;
		if (i->ino != k->ino || i->dev != k->dev || i->mnt != k->mnt || i->share != share)
			continue;
		if (i->type != (st->stx_mode & (uint32_t)S_IFMT) || (i->fd < 0 && i->btime != btime_of(st))) {
			hash_remove(fs, s, k, i);
			continue;
		}
		if (!life_get(&i->life, (uint32_t)(i->id >> 32), count ? 0 : LIFE_LIVE))
			continue;
		/* taken while it was BUSY: its share went away meanwhile */
		if (i->share != share) {
			/* not the last user: LIVE, or its reaper waits for this lock */
			life_put(&i->life);
			continue;
		}
		if (!count)
			return i;
		i->nlookup++;
		atomic_fetch_or_explicit(&i->life, LIFE_LIVE, memory_order_acq_rel);
		return i;
	}
	return NULL;
}

/* Nobody can reach the inode any more; the caller has it BUSY. */
static void destroy(struct fs *fs, struct fs_inode *i)
{
	int fd = i->fd;

	fs_evict_clear(fs, i);
	if (i->share != FS_NO_SHARE)
		atomic_fetch_sub(&fs->share[i->share].users, 1);
	fs_pool_release(&fs->inodes, i->id);
	if (fd >= 0)
		fs_fd_close(fs, fd);
}

static void reap(struct fs *fs, struct fs_inode *i, uint64_t id, const struct key *k)
{
	struct fs_shard *s = shard_of(fs, k);
	bool mine;

	pthread_mutex_lock(&s->lock);
	mine = life_lock(&i->life, (uint32_t)(id >> 32), 0, LIFE_LIVE);
	if (mine)
		hash_remove(fs, s, k, i);
	pthread_mutex_unlock(&s->lock);
	if (mine)
		destroy(fs, i);
}

void fs_inode_put(struct fs *fs, struct fs_inode *i)
{
	struct key k = key_again(fs, i); /* before the last moment in which i is surely ours */
	uint64_t id = i->id;
	uint32_t l = life_put(&i->life);

	if ((l & (LIFE_USERS | LIFE_LIVE)) == 0)
		reap(fs, i, id, &k);
}

void fs_inode_hold(struct fs_inode *i)
{
	atomic_fetch_add_explicit(&i->life, 1, memory_order_acq_rel);
}

int fs_inode_get(struct fs *fs, uint64_t nodeid, struct fs_inode **out)
{
	struct fs_inode *i = fs_pool_get(&fs->inodes, nodeid);
	int err = 0;

	if (!i)
		return -ESTALE;
	if (!atomic_load_explicit(&i->touched, memory_order_relaxed))
		atomic_store_explicit(&i->touched, true, memory_order_relaxed);
	if (i->share == FS_NO_SHARE || fs->share[i->share].dead)
		err = -ESTALE;
	else if (i->fd < 0)
		err = fs_inode_restore(fs, i);
	if (err) {
		fs_inode_put(fs, i);
		return err;
	}
	*out = i;
	return 0;
}

int fs_inode_remember(struct fs *fs, struct fs_inode *i)
{
	struct key k = key_again(fs, i);
	struct fs_shard *s = shard_of(fs, &k);
	int err = 0;

	pthread_mutex_lock(&s->lock);
	if (i->nlookup)
		i->nlookup++;
	else
		err = -ESTALE;
	pthread_mutex_unlock(&s->lock);
	return err;
}

void fs_inode_forget(struct fs *fs, uint64_t nodeid, uint64_t n)
{
	struct fs_inode *i = fs_pool_get(&fs->inodes, nodeid);
	struct fs_shard *s;
	struct key k;

	if (!i)
		return;
	k = key_again(fs, i);
	s = shard_of(fs, &k);
	pthread_mutex_lock(&s->lock);
	i->nlookup -= n < i->nlookup ? n : i->nlookup;
	if (i->nlookup == 0)
		atomic_fetch_and_explicit(&i->life, ~(uint64_t)LIFE_LIVE, memory_order_acq_rel);
	pthread_mutex_unlock(&s->lock);
	fs_inode_put(fs, i);
}

void fs_inodes_drop(struct fs *fs)
{
	for (uint32_t n = 0; n < fs_pool_end(&fs->inodes); n++) {
		_Atomic uint64_t *life = fs_pool_at(&fs->inodes, n);
		uint64_t l = life ? atomic_load(life) : 0;

		if (l & LIFE_LIVE)
			fs_inode_forget(fs, life_id(l, n), UINT64_MAX);
	}
}

void fs_inodes_kill(struct fs *fs, uint16_t share)
{
	for (uint32_t n = 0; n < fs_pool_end(&fs->inodes); n++) {
		struct fs_inode *i = fs_pool_at(&fs->inodes, n);
		uint64_t l = i ? atomic_load(&i->life) : 0;
		int fd;

		if (!(l & LIFE_LIVE) || !life_lock(&i->life, (uint32_t)(l >> 32), LIFE_LIVE, 0))
			continue;
		if (i->share != share) {
			life_unlock(&i->life);
			continue;
		}
		fs_evict_clear(fs, i);
		fd = i->fd;
		i->fd = -1;
		i->share = FS_NO_SHARE;
		life_unlock(&i->life);
		if (fd >= 0)
			fs_fd_close(fs, fd);
		atomic_fetch_sub(&fs->share[share].users, 1);
	}
}

int fs_inode_statx(const struct fs_inode *i, struct statx *st)
{
	return statx(i->fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, FS_STATX_MASK, st) ? -errno : 0;
}

/*
 * Which of the host's devices is this? All shares are one file system to the guest, with one device number, so that
 * each has POSIX ACLs and writes without a question for security.capability first: Linux guests (up to now) withhold
 * both from FUSE submounts. Inode numbers are therefore made unique over all devices that are shared: those of the
 * first one met are the host's own, others carry the number of their device in the upper bits. A private device shows
 * each container one root, which leaves nothing to tell apart.
 */
static uint8_t domain_of(struct fs *fs, uint64_t dev)
{
	uint32_t n, k = 0;

	if (fs->private)
		return 0;
	n = atomic_load_explicit(&fs->ndomains, memory_order_acquire);
	while (k < n && fs->domain[k] != dev)
		k++;
	if (k < n)
		return (uint8_t)k;
	pthread_mutex_lock(&fs->domain_lock);
	n = fs->ndomains;
	for (k = 0; k < n && fs->domain[k] != dev; k++)
		;
	if (k == n && n < FS_DOMAINS) {
		fs->domain[n] = dev;
		atomic_store_explicit(&fs->ndomains, n + 1, memory_order_release);
	}
	pthread_mutex_unlock(&fs->domain_lock);
	return (uint8_t)(k < FS_DOMAINS ? k : FS_DOMAINS - 1); /* the last ones share a number */
}

/*
 * FS_I_* of a file found in dir, NULL: of a share's root. A mount within a share is a mount of its own to the guest,
 * too: programs that stay on one device see where it begins.
 */
static uint16_t flags_of(const struct fs *fs, const struct fs_share *s, const struct fs_inode *dir, const struct key *k,
			 const struct statx *st, int fd)
{
	uint32_t type = st->stx_mode & (uint32_t)S_IFMT;
	uint16_t flags = fs_dax_wants(fs, s, st) ? FS_I_DAX : 0;

	if (!dir)
		return (uint16_t)(flags | FS_I_FIXED | s->pseudo);
	/* Another device in the same mount is a subvolume (btrfs): inode numbers start anew there, too. */
	if (type == S_IFDIR && (k->mnt != dir->mnt || k->dev != dir->dev))
		flags |= FS_I_MOUNT;
	if (k->mnt != dir->mnt)
		flags |= fs_share_pseudo(fd);
	else
		flags |= dir->flags & (FS_I_PSEUDO | FS_I_PROC);
	return (uint16_t)(flags & FS_I_PSEUDO ? flags & ~FS_I_DAX : flags);
}

/* Add the inode, or find it when another thread was faster. fd is consumed on success, unless *spare gets it. */
static int add(struct fs *fs, uint16_t share, struct fs_inode *dir, int fd, const struct statx *st,
	       struct fs_inode **out, int *spare)
{
	struct key k = key_of(fs, st);
	struct fs_shard *s = shard_of(fs, &k);
	struct fs_share *sh = &fs->share[share];
	uint32_t type = st->stx_mode & (uint32_t)S_IFMT;
	uint16_t flags = flags_of(fs, sh, dir, &k, st, fd);
	struct fs_inode *i;
	uint64_t id;

	atomic_fetch_add(&sh->users, 1);
	if (sh->dead) {
		atomic_fetch_sub(&sh->users, 1);
		return -ESTALE;
	}
	pthread_mutex_lock(&s->lock);
	i = find(fs, s, &k, share, st, true);
	if (!i) {
		i = fs_pool_new(&fs->inodes, &id);
		if (i) {
			i->id = id;
			i->dev = k.dev;
			i->ino = k.ino;
			i->mnt = k.mnt;
			i->type = type;
			i->domain = domain_of(fs, k.dev);
			i->share = share;
			i->flags = flags;
			i->fd = fd;
			i->touched = true;
			i->parent = dir ? dir->id : 0;
			i->btime = btime_of(st);
			i->nlookup = 1;
			hash_insert(fs, s, &k, i);
			atomic_store(&i->life, (id & ~(uint64_t)UINT32_MAX) | LIFE_LIVE | 1);
			fd = -1;
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (fd >= 0) /* its descriptor isn't the inode's, so it doesn't count for the share either */
		atomic_fetch_sub(&sh->users, 1);
	if (!i)
		return -ENFILE;
	*spare = fd;
	*out = i;
	return 0;
}

int fs_inode_adopt(struct fs *fs, uint16_t share, struct fs_inode *dir, int fd, struct fs_inode **i, struct statx *st)
{
	int spare = fd, err = 0;

	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, FS_STATX_MASK, st))
		err = -errno;
	else
		err = add(fs, share, dir, fd, st, i, &spare);
	if (err)
		spare = fd;
	if (spare >= 0)
		fs_fd_close(fs, spare);
	return err;
}

/* All opening is by openat2(), so that the filter need not know another call: like openat(). */
int fs_openat2(int dir, const char *path, unsigned int flags, unsigned int mode)
{
	struct open_how how = { .flags = flags, .mode = mode };

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/*
 * In the root of a procfs: is this the VMM itself, or one of its threads? They answer to their own process, so what is
 * denied elsewhere (mem, maps) would be open here, and the guest could write the VMM's memory.
 */
static bool proc_hides(const struct fs_inode *dir, const char *name)
{
	char self[16] = "", path[32], buf[512], *tgid;
	ssize_t n;
	int fd;

	if (!(dir->flags & FS_I_PROC) || dir->ino != PROC_ROOT_INO || name[0] < '0' || name[0] > '9')
		return false;
	if (strlen(name) > 10 || readlinkat(dir->fd, "self", self, sizeof(self) - 1) <= 0)
		return true;
	snprintf(path, sizeof(path), "%s/status", name);
	fd = fs_openat2(dir->fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd < 0)
		return errno != ENOENT;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return true;
	buf[n] = 0;
	tgid = strstr(buf, "\nTgid:\t");
	return !tgid || strtoul(tgid + 7, NULL, 10) == strtoul(self, NULL, 10);
}

int fs_open_path(int dir, const char *name)
{
	/* name is one component (fs_req_name()); should a path ever come here, it still ends beneath dir */
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* O_PATH descriptor, counted, with room made for it when there is none. */
static int open_counted(struct fs *fs, int dir, const char *name)
{
	int fd = fs_fd_reserve(fs);

	if (fd)
		return fd;
	fd = fs_open_path(dir, name);
	if ((fd == -EMFILE || fd == -ENFILE) && fs_evict(fs, 64))
		fd = fs_open_path(dir, name);
	if (fd < 0)
		fs_fd_unreserve(fs);
	return fd;
}

int fs_inode_lookup(struct fs *fs, struct fs_inode *dir, const char *name, struct fs_inode **i, struct statx *st)
{
	struct fs_shard *s;
	struct key k;
	int fd;

	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	if (proc_hides(dir, name))
		return -ENOENT;
	/* Most lookups are for what is known: those end here, after one system call. */
	if (statx(dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, FS_STATX_MASK, st))
		return -errno;
	k = key_of(fs, st);
	s = shard_of(fs, &k);
	pthread_mutex_lock(&s->lock);
	*i = find(fs, s, &k, dir->share, st, true);
	pthread_mutex_unlock(&s->lock);
	if (!*i) {
		fd = open_counted(fs, dir->fd, name);
		if (fd >= 0)
			fd = fs_inode_adopt(fs, dir->share, dir, fd, i, st);
		if (fd < 0)
			return fd;
	}
	atomic_store_explicit(&(*i)->name_hash, fs_name_hash(name), memory_order_relaxed);
	return 0;
}

struct fs_inode *fs_inode_known(struct fs *fs, struct fs_inode *dir, const char *name)
{
	struct fs_inode *i;
	struct fs_shard *s;
	struct statx st;
	struct key k;

	if (statx(dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, FS_STATX_MASK, &st))
		return NULL;
	k = key_of(fs, &st);
	s = shard_of(fs, &k);
	pthread_mutex_lock(&s->lock);
	i = find(fs, s, &k, dir->share, &st, false);
	pthread_mutex_unlock(&s->lock);
	return i;
}

struct fs_fdname fs_fdname(int fd)
{
	struct fs_fdname n;

	snprintf(n.s, sizeof(n.s), "%d", fd);
	return n;
}

int fs_inode_open(struct fs *fs, const struct fs_inode *i, int flags)
{
	struct fs_fdname name = fs_fdname(i->fd);
	struct statx st;
	int fd;

	if (i->type != S_IFREG && i->type != S_IFDIR)
		return -EPERM;
	if (i->flags & FS_I_PSEUDO) {
		/* what every user of the host may read, and nothing to write */
		if ((flags & O_ACCMODE) != O_RDONLY)
			return -EROFS;
		if (fs_inode_statx(i, &st) || !(st.stx_mode & S_IROTH))
			return -EACCES;
	}
	fd = fs_fd_reserve(fs);
	if (fd)
		return fd;
	/* Following the link in /proc/self/fd leads to the file that the descriptor is, whatever its name is now. */
	fd = fs_openat2(fs_proc_fd, name.s, (unsigned int)flags | O_CLOEXEC | O_NOCTTY, 0);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE) && fs_evict(fs, 64))
		fd = fs_openat2(fs_proc_fd, name.s, (unsigned int)flags | O_CLOEXEC | O_NOCTTY, 0);
	if (fd < 0) {
		fd = -errno;
		fs_fd_unreserve(fs);
	}
	return fd;
}
