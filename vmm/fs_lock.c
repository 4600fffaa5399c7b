/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File locks, shared with the host and with other VMs. Worker threads, and the hiprio thread for those that wait; the
 * guest controls owners, ranges, and how many it takes, up to the caps.
 *
 * Theory of operation. flock() belongs to an open file, and so does the handle's descriptor: it is passed on. POSIX
 * locks belong to a process of the guest; on the host each pair of owner and file gets a descriptor of its own,
 * whose open-file-description locks are then that owner's. The guest tells the end of an owner's locks with FLUSH,
 * which it sends at each close(); locks that belong to an open file (F_OFD_*) end with RELEASE of the handle they
 * came through.
 *
 * A request that has to wait is parked with its reply buffer, and nothing of the server waits with it. It is tried
 * again when a lock of this VM is given back, in order of arrival, and from time to time, since nobody tells
 * when one on the host is. Guests don't send INTERRUPT over virtio-fs (Linux up to now), so a process that waits
 * there cannot be killed; the server would answer it.
 */
#include "fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"

#define REPLY_IOV 4

/* One owner's locks of one file. lock_lock. */
struct owner {
	_Atomic uint64_t life;
	uint64_t id, owner, fh; /* fh: the open file that it was last used through */
	struct fs_inode *inode;
	int fd;
	uint32_t pid; /* of the guest, for F_GETLK */
	uint16_t share;
};

struct fs_waiter {
	bool used;
	uint16_t head;
	unsigned int queue;
	uint64_t unique, nodeid, seq;
	int64_t since_ms;
	struct fs_inode *inode; /* held */
	uint16_t share;
	struct fuse_lk_in lk;
	struct iovec reply[REPLY_IOV]; /* 16 bytes in the guest's memory */
};

static int64_t now_ms(void)
{
	return (int64_t)(clock_ns() / 1000000u);
}

int fs_locks_init(struct fs *fs)
{
	fs->waiter = mmap(NULL, FS_WAITERS_MAX * sizeof(*fs->waiter), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fs->waiter == MAP_FAILED) {
		fs->waiter = NULL;
		return -ENOMEM;
	}
	pthread_mutex_init(&fs->lock_lock, NULL);
	return fs_pool_init(&fs->locks, sizeof(struct owner), FS_LOCKS_MAX);
}

void fs_locks_free(struct fs *fs)
{
	if (fs->waiter)
		munmap(fs->waiter, FS_WAITERS_MAX * sizeof(*fs->waiter));
	fs_pool_free(&fs->locks);
}

/* ---- owners; lock_lock held ---- */

static struct owner *owner_at(struct fs *fs, uint32_t n)
{
	struct owner *o = fs_pool_at(&fs->locks, n);

	return o && atomic_load(&o->life) ? o : NULL;
}

static struct owner *find_owner(struct fs *fs, const struct fs_inode *i, uint64_t owner)
{
	for (uint32_t n = 0; n < fs_pool_end(&fs->locks); n++) {
		struct owner *o = owner_at(fs, n);

		if (o && o->inode == i && o->owner == owner)
			return o;
	}
	return NULL;
}

static void end_owner(struct fs *fs, struct owner *o)
{
	struct fs_inode *i = o->inode;
	int fd = o->fd;

	atomic_fetch_sub(&fs->share[o->share].users, 1);
	fs_pool_release(&fs->locks, o->id);
	fs_fd_close(fs, fd);
	fs_inode_put(fs, i);
}

/* A lock was taken: from now on the guest never believes attributes and pages that it read before (fs_attr.c). */
static void taken(struct fs_inode *i)
{
	if (atomic_fetch_add_explicit(&i->locked, 1, memory_order_relaxed) == UINT32_MAX)
		atomic_fetch_add_explicit(&i->locked, 1, memory_order_relaxed);
}

static int new_owner(struct fs *fs, struct fs_inode *i, uint64_t owner, struct owner **out)
{
	struct fs_share *s = fs_share_of(fs, i);
	struct owner *o;
	uint64_t id;
	int fd = -EROFS;

	if (i->type != S_IFREG)
		return -EINVAL;
	if (!(s->flags & CTL_SHARE_RO))
		fd = fs_inode_open(fs, i, O_RDWR);
	if (fd == -EROFS || fd == -EACCES || fd == -EPERM || fd == -ETXTBSY)
		fd = fs_inode_open(fs, i, O_RDONLY);
	if (fd < 0)
		return fd;
	atomic_fetch_add(&s->users, 1);
	o = s->dead ? NULL : fs_pool_new(&fs->locks, &id);
	if (!o) {
		atomic_fetch_sub(&s->users, 1);
		fs_fd_close(fs, fd);
		return s->dead ? -ESTALE : -ENOLCK;
	}
	fs_inode_hold(i);
	o->id = id;
	o->owner = owner;
	o->inode = i;
	o->fd = fd;
	o->share = i->share;
	taken(i); /* FLUSH looks for owners only of files that have been locked */
	*out = o;
	return 0;
}

/* ---- one attempt; lock_lock held ---- */

static int range_of(const struct fuse_file_lock *lk, struct flock *fl)
{
	if (lk->start > INT64_MAX || lk->end > INT64_MAX || lk->end < lk->start)
		return -EINVAL;
	if (lk->type != F_RDLCK && lk->type != F_WRLCK && lk->type != F_UNLCK)
		return -EINVAL;
	*fl = (struct flock){
		.l_type = (short)lk->type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)lk->start,
		.l_len = lk->end == INT64_MAX ? 0 : (off_t)(lk->end - lk->start + 1),
	};
	return 0;
}

static int set_posix(struct fs *fs, struct fs_inode *i, const struct fuse_lk_in *in)
{
	struct owner *o = find_owner(fs, i, in->owner);
	struct flock fl;
	int err = range_of(&in->lk, &fl);

	if (err)
		return err;
	if (!o) {
		if (fl.l_type == F_UNLCK)
			return 0;
		err = new_owner(fs, i, in->owner, &o);
		if (err)
			return err;
	}
	o->fh = in->fh;
	if (fcntl(o->fd, F_OFD_SETLK, &fl))
		return errno == EACCES ? -EAGAIN : -errno;
	if (fl.l_type == F_UNLCK) {
		if (fl.l_start == 0 && fl.l_len == 0)
			end_owner(fs, o);
	} else {
		o->pid = in->lk.pid;
		taken(i);
	}
	return 0;
}

static int set_flock(struct fs *fs, struct fs_inode *i, const struct fuse_lk_in *in)
{
	int op = in->lk.type == F_UNLCK ? LOCK_UN : in->lk.type == F_WRLCK ? LOCK_EX : LOCK_SH;
	struct fs_handle *h;
	int err = fs_handle_get(fs, i, in->fh, 0, &h);

	if (err)
		return err;
	if (flock(h->fd, op | LOCK_NB))
		err = -errno;
	else if (op != LOCK_UN)
		taken(i);
	fs_handle_put(fs, h);
	return err;
}

static int attempt(struct fs *fs, struct fs_inode *i, const struct fuse_lk_in *in)
{
	return in->lk_flags & FUSE_LK_FLOCK ? set_flock(fs, i, in) : set_posix(fs, i, in);
}

/* ---- waiting; lock_lock held ---- */

static void answer(struct fs *fs, struct fs_waiter *w, int err)
{
	struct fuse_out_header oh = { .len = sizeof(oh), .error = err, .unique = w->unique };
	const uint8_t *p = (const void *)&oh;
	struct fs_inode *i = w->inode;

	for (unsigned int k = 0; k < REPLY_IOV; k++) {
		if (w->reply[k].iov_len)
			memcpy(w->reply[k].iov_base, p, w->reply[k].iov_len);
		p += w->reply[k].iov_len;
	}
	w->used = false;
	atomic_fetch_sub(&fs->nwaiters, 1);
	fs_answer(fs, w->queue, w->head, sizeof(oh));
	fs_inode_put(fs, i);
}

/* The oldest waiter after `seq`. */
static struct fs_waiter *next_waiter(struct fs *fs, uint64_t seq)
{
	struct fs_waiter *best = NULL;

	for (uint32_t n = 0; n < FS_WAITERS_MAX; n++) {
		struct fs_waiter *w = &fs->waiter[n];

		if (w->used && w->seq > seq && (!best || w->seq < best->seq))
			best = w;
	}
	return best;
}

/* Try all waiters; returns ms until it makes sense to do so again, -1 when none is left. */
static int retry(struct fs *fs)
{
	int64_t now = now_ms(), wait = INT64_MAX;
	uint64_t seq = 0;

	for (struct fs_waiter *w; (w = next_waiter(fs, seq)) != NULL;) {
		int64_t age = now - w->since_ms;
		int err = attempt(fs, w->inode, &w->lk);

		seq = w->seq;
		if (err != -EAGAIN) {
			answer(fs, w, err);
			continue;
		}
		/* a sixteenth of the time it has waited already, between 2 and 50 ms */
		age = age / 16 < 2 ? 2 : age / 16 > 50 ? 50 : age / 16;
		if (age < wait)
			wait = age;
	}
	return wait == INT64_MAX ? -1 : (int)wait;
}

int fs_locks_retry(struct fs *fs)
{
	int ms = -1;

	if (atomic_load(&fs->nwaiters) == 0)
		return -1;
	pthread_mutex_lock(&fs->lock_lock);
	ms = retry(fs);
	pthread_mutex_unlock(&fs->lock_lock);
	return ms;
}

/* Where the reply goes: the first 16 bytes that the guest lets us write. */
static int reply_place(const struct vq_chain *c, struct iovec place[REPLY_IOV])
{
	size_t need = sizeof(struct fuse_out_header);
	unsigned int k = 0;

	for (unsigned int n = 0; n < c->nwrite && need; n++) {
		const struct iovec *v = &c->iov[c->nread + n];

		if (k == REPLY_IOV)
			return -EINVAL;
		place[k] = *v;
		if (place[k].iov_len > need)
			place[k].iov_len = need;
		need -= place[k++].iov_len;
	}
	return need ? -EINVAL : 0;
}

static int park(struct fs_req *r, const struct fuse_lk_in *in)
{
	struct fs *fs = r->fs;
	struct fs_waiter *w = NULL;
	uint64_t one = 1;
	int err;

	for (uint32_t n = 0; n < FS_WAITERS_MAX && !w; n++)
		if (!fs->waiter[n].used)
			w = &fs->waiter[n];
	if (!w)
		return -ENOLCK;
	memset(w, 0, sizeof(*w));
	err = reply_place(r->c, w->reply);
	if (err)
		return err;
	fs_inode_hold(r->node);
	w->inode = r->node;
	w->share = r->node->share;
	w->nodeid = r->h.nodeid;
	w->unique = r->h.unique;
	w->queue = r->queue;
	w->head = r->c->head;
	w->lk = *in;
	w->since_ms = now_ms();
	w->seq = ++fs->waiter_seq;
	w->used = true;
	atomic_fetch_add(&fs->nwaiters, 1);
	if (write(fs->wait, &one, sizeof(one)) < 0)
		return FS_PARKED; /* the counter is full, so it is set */
	return FS_PARKED;
}

/* ---- the rest of the server ---- */

void fs_locks_drop(struct fs *fs, int share)
{
	pthread_mutex_lock(&fs->lock_lock);
	for (uint32_t n = 0; n < FS_WAITERS_MAX; n++) {
		struct fs_waiter *w = &fs->waiter[n];

		if (w->used && (share < 0 || w->share == share))
			answer(fs, w, -ESTALE);
	}
	for (uint32_t n = 0; n < fs_pool_end(&fs->locks); n++) {
		struct owner *o = owner_at(fs, n);

		if (o && (share < 0 || o->share == share))
			end_owner(fs, o);
	}
	pthread_mutex_unlock(&fs->lock_lock);
}

void fs_locks_flush(struct fs *fs, struct fs_inode *i, uint64_t owner)
{
	struct owner *o;

	pthread_mutex_lock(&fs->lock_lock);
	o = find_owner(fs, i, owner);
	if (o) {
		end_owner(fs, o);
		if (fs->nwaiters)
			retry(fs);
	}
	pthread_mutex_unlock(&fs->lock_lock);
}

void fs_locks_released(struct fs *fs, struct fs_inode *i, uint64_t fh)
{
	if (atomic_load_explicit(&i->locked, memory_order_relaxed) == 0)
		return;
	pthread_mutex_lock(&fs->lock_lock);
	for (uint32_t n = 0; n < fs_pool_end(&fs->locks); n++) {
		struct owner *o = owner_at(fs, n);

		if (o && o->inode == i && o->fh == fh)
			end_owner(fs, o);
	}
	pthread_mutex_unlock(&fs->lock_lock);
}

bool fs_locks_interrupt(struct fs *fs, uint64_t unique)
{
	bool found = false;

	pthread_mutex_lock(&fs->lock_lock);
	for (uint32_t n = 0; n < FS_WAITERS_MAX; n++) {
		struct fs_waiter *w = &fs->waiter[n];

		if (w->used && w->unique == unique) {
			answer(fs, w, -EINTR);
			found = true;
		}
	}
	pthread_mutex_unlock(&fs->lock_lock);
	return found;
}

/* ---- operations ---- */

static int set_lock(struct fs_req *r, bool wait)
{
	const struct fuse_lk_in *in = (const void *)r->arg;
	int err;

	pthread_mutex_lock(&r->fs->lock_lock);
	err = attempt(r->fs, r->node, in);
	if (err == -EAGAIN && wait)
		err = park(r, in);
	else if (err == 0 && in->lk.type == F_UNLCK && r->fs->nwaiters)
		retry(r->fs);
	pthread_mutex_unlock(&r->fs->lock_lock);
	return err;
}

int fs_op_setlk(struct fs_req *r)
{
	return set_lock(r, false);
}

int fs_op_setlkw(struct fs_req *r)
{
	return set_lock(r, true);
}

/*
 * Which owner of this VM holds the lock that is in the way? Its own locks are the only ones that its descriptor does
 * not run into. 0: somebody else's.
 */
static uint32_t pid_of_holder(struct fs *fs, const struct fs_inode *i, const struct flock *held)
{
	for (uint32_t n = 0; n < fs_pool_end(&fs->locks); n++) {
		struct owner *o = owner_at(fs, n);
		struct flock fl = *held;

		if (!o || o->inode != i || o->pid == 0)
			continue;
		fl.l_type = F_WRLCK;
		fl.l_pid = 0;
		if (fcntl(o->fd, F_OFD_GETLK, &fl) == 0 &&
		    (fl.l_type == F_UNLCK || fl.l_start != held->l_start || fl.l_len != held->l_len))
			return o->pid;
	}
	return 0;
}

int fs_op_getlk(struct fs_req *r)
{
	const struct fuse_lk_in *in = (const void *)r->arg;
	struct fuse_lk_out *out = fs_req_out(r, sizeof(*out));
	struct owner *o;
	struct flock fl;
	bool temporary;
	int err = range_of(&in->lk, &fl);

	if (err)
		return err;
	if (fl.l_type == F_UNLCK)
		return -EINVAL;
	pthread_mutex_lock(&r->fs->lock_lock);
	o = find_owner(r->fs, r->node, in->owner);
	temporary = !o;
	if (temporary)
		err = new_owner(r->fs, r->node, in->owner, &o);
	if (err == 0 && fcntl(o->fd, F_OFD_GETLK, &fl))
		err = -errno;
	if (err == 0) {
		out->lk.type = (uint32_t)fl.l_type;
		if (fl.l_type != F_UNLCK) {
			out->lk.start = (uint64_t)fl.l_start;
			out->lk.end = fl.l_len ? (uint64_t)(fl.l_start + fl.l_len - 1) : INT64_MAX;
			out->lk.pid = pid_of_holder(r->fs, r->node, &fl);
		}
	}
	if (temporary && o)
		end_owner(r->fs, o);
	pthread_mutex_unlock(&r->fs->lock_lock);
	return err;
}
