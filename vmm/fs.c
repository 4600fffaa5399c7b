/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-fs (virtio 1.2, 5.11): the device, its queues and the threads that serve them. The FUSE server is in fs_*.c.
 * The guest controls the rings; activate and reset come from a vCPU thread, the rest from the main thread.
 *
 * Theory of operation. The device has one connection and many shares, which are the children of a synthetic root
 * (fs_share.c). Every file that the guest has looked up is an O_PATH descriptor (fs_inode.c), of which there are only
 * so many (fs_evict.c); what it has open is one more (fs_handle.c). A request is decoded and checked
 * (fs_request.c), and runs as system calls on those descriptors with the caller's ids (fs_cred.c).
 *
 * Threads. One serves the hiprio queue: it is never held up by a file system, so FORGET always gets through, and it
 * retries locks that wait. FS_WORKERS serve all request queues. They all wait for all kicks, each with its own queue
 * first; the kernel wakes exactly one of them, the first that is idle, so a single-threaded guest has one warm
 * worker, and a request that blocks holds up nobody as long as there is another worker. Kicks are asked for while there
 * is one. A queue's lock is held to take a chain or to give one back, never while it is served.
 *
 * Kicks are edge-triggered and their eventfds are never read: one system call per wake-up.
 *
 * Stop. reset() raises the stop eventfd, waits until all threads have left the queues, and then drops what the
 * guest had: inodes, open files, locks. Shares stay. A thread that hangs in a file system delays reset(), because its
 * request refers to guest memory.
 */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/plan.h"
#include "fs_internal.h"

#define QUEUE_MAX 512u /* a READ of 256 pages with its headers is 260 elements */
#define STACK_SIZE (128u << 10)
#define TABLE_GROWTH 4095 /* descriptor number up to which the table exists from the beginning */
#define FDS_SPARE 256u	  /* left for the rest of the process */
#define FDS_MAX (1u << 20)
#define RAM_PER_INODE 1024u    /* no guest remembers an inode with less memory than that */
#define RAM_PER_FD (32u << 10) /* what the descriptors pin in the host stays below 1/16 of the guest's memory */

#define EVENT_STOP UINT32_MAX
#define EVENT_WAIT (UINT32_MAX - 1)

struct fs_config { /* virtio 1.2, 5.11.4 */
	char tag[36];
	uint32_t num_request_queues;
};

int fs_proc_fd = -1;

int fs_prepare(void)
{
	struct rlimit rl;
	int fd;

	if (fs_proc_fd >= 0)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max < FDS_MAX ? rl.rlim_max : FDS_MAX;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	/* a write beyond RLIMIT_FSIZE shall be EFBIG for the guest, not the end of the VM */
	signal(SIGXFSZ, SIG_IGN);
	/* the root of a mount of its own where that is allowed, so that ".." ends here */
	fd = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0)
		fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	fs_proc_fd = fd;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, TABLE_GROWTH);
	if (fd >= 0)
		close(fd);
	return 0;
}

/* ---- queues ---- */

void fs_answer(struct fs *fs, unsigned int queue, uint16_t head, uint32_t written)
{
	struct vq *q = &fs->dev.vq[queue];

	pthread_mutex_lock(&fs->queue_lock[queue]);
	if (vq_push(q, head, written) == 0)
		virtio_notify(&fs->dev, q);
	pthread_mutex_unlock(&fs->queue_lock[queue]);
}

/* Is the request in w->chain one that takes long? Only a guess: the guest may change it. */
static bool looks_slow(const struct fs_worker *w)
{
	uint32_t head[2] = { 0 };

	if (w->chain.read_len + w->chain.write_len >= 65536)
		return true;
	chain_read(&w->chain, 0, head, sizeof(head));
	switch (head[1]) {
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_SYNCFS:
	case FUSE_FALLOCATE:
	case FUSE_COPY_FILE_RANGE:
		return true;
	default:
		return false;
	}
}

/* Take the next chain into w->chain. 1, 0, or -EPROTO. Afterwards kicks come if somebody can use them. Locked. */
static int take(struct fs_worker *w, struct vq *q, bool *backlog)
{
	int got;

	*backlog = false;
	while ((got = vq_pop(q, &w->chain)) == 0)
		if (!vq_enable_kick(q))
			return 0;
	if (got < 0)
		return got;
	if (w->index && atomic_load_explicit(&w->fs->idle, memory_order_relaxed))
		*backlog = vq_enable_kick(q);
	else
		vq_disable_kick(q);
	return 1;
}

/* Serve the queue until it is empty. */
static void serve_queue(struct fs_worker *w, unsigned int n)
{
	struct fs *fs = w->fs;
	struct vq *q = &fs->dev.vq[n];
	const uint64_t one = 1;
	int64_t written;
	bool backlog;
	int got;

	pthread_mutex_lock(&fs->queue_lock[n]);
	while (!fs->stopping && (got = take(w, q, &backlog)) != 0) {
		pthread_mutex_unlock(&fs->queue_lock[n]);
		if (got < 0) {
			virtio_fault(&fs->dev, "virtio-fs: broken descriptor chain");
			return;
		}
		/* the kick for what is behind has come already: pass it on */
		if (backlog && looks_slow(w) && write(q->kick, &one, sizeof(one)) < 0)
			backlog = false;
		written = fs_serve(w, n);
		pthread_mutex_lock(&fs->queue_lock[n]);
		if (written != FS_CHAIN_PARKED && vq_push(q, w->chain.head, (uint32_t)written) == 0)
			virtio_notify(&fs->dev, q);
	}
	pthread_mutex_unlock(&fs->queue_lock[n]);
}

/* ---- threads ---- */

static void watch(const struct fs_worker *w, int fd, uint32_t events, uint32_t what)
{
	struct epoll_event ev = { .events = events, .data.u32 = what };

	epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev);
}

/* Watch, or no longer watch, what this thread serves. */
static void watch_kicks(struct fs_worker *w, bool on)
{
	struct fs *fs = w->fs;

	if (w->index == 0) {
		if (on)
			watch(w, fs->dev.vq[0].kick, EPOLLIN | EPOLLET, 0);
		else
			epoll_ctl(w->epoll, EPOLL_CTL_DEL, fs->dev.vq[0].kick, NULL);
		return;
	}
	for (unsigned int k = 0; k < fs->nqueues; k++) {
		unsigned int n = 1 + (w->index - 1 + k) % fs->nqueues;

		if (on)
			watch(w, fs->dev.vq[n].kick, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, n);
		else
			epoll_ctl(w->epoll, EPOLL_CTL_DEL, fs->dev.vq[n].kick, NULL);
	}
}

/* Serve until reset() says stop. */
static void work(struct fs_worker *w)
{
	struct fs *fs = w->fs;
	struct epoll_event ev;
	int timeout = -1;

	watch_kicks(w, true);
	while (!fs->stopping) {
		int n;

		if (w->index)
			atomic_fetch_add(&fs->idle, 1);
		n = epoll_wait(w->epoll, &ev, 1, timeout);
		if (w->index)
			atomic_fetch_sub(&fs->idle, 1);
		if (n == 1 && ev.data.u32 == EVENT_STOP)
			break;
		if (n == 1 && ev.data.u32 <= fs->nqueues)
			serve_queue(w, ev.data.u32);
		if (w->index == 0)
			timeout = fs_locks_retry(fs);
	}
	watch_kicks(w, false);
}

/* First thing in the thread: 0 or why it cannot serve. */
static int set_up(struct fs_worker *w)
{
	struct fs *fs = w->fs;
	int err = fs_cred_prepare(w);

	if (err)
		return err;
	err = fs_cred_init(w);
	if (err)
		return err;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return -errno;
	if (fs->enter)
		fs->enter(fs->enter_arg);
	watch(w, fs->stop, EPOLLIN, EVENT_STOP);
	if (w->index == 0)
		watch(w, fs->wait, EPOLLIN | EPOLLET, EVENT_WAIT);
	return 0;
}

static void *thread_main(void *arg)
{
	struct fs_worker *w = arg;
	struct fs *fs = w->fs;
	uint64_t served = 0;
	int err = set_up(w);

	pthread_mutex_lock(&fs->run_lock);
	if (err)
		fs->start_error = err;
	fs->starting--;
	pthread_cond_broadcast(&fs->run_cond);
	while (!err) {
		/* an activation that reset() has ended before we saw it counts, too: reset() waits for us */
		while (fs->state != FS_ENDING && fs->epoch == served)
			pthread_cond_wait(&fs->run_cond, &fs->run_lock);
		if (fs->state == FS_ENDING)
			break;
		served = fs->epoch;
		pthread_mutex_unlock(&fs->run_lock);
		work(w);
		pthread_mutex_lock(&fs->run_lock);
		fs->running--;
		pthread_cond_broadcast(&fs->run_cond);
	}
	pthread_mutex_unlock(&fs->run_lock);
	if (w->epoll >= 0)
		close(w->epoll);
	return NULL;
}

static void end_threads(struct fs *fs)
{
	pthread_mutex_lock(&fs->run_lock);
	fs->state = FS_ENDING;
	pthread_cond_broadcast(&fs->run_cond);
	pthread_mutex_unlock(&fs->run_lock);
	for (unsigned int n = 0; n < fs->nthreads; n++)
		pthread_join(fs->worker[n].thread, NULL);
	fs->nthreads = 0;
	fs->state = FS_STOPPED;
}

int fs_start(struct virtio_dev *d, void (*enter)(void *arg), void *arg)
{
	struct fs *fs = (struct fs *)d;
	pthread_attr_t attr;
	int err = 0;

	if (fs->nthreads)
		return 0;
	fs->enter = enter;
	fs->enter_arg = arg;
	fs->start_error = 0;
	pthread_attr_init(&attr);
#ifndef __SANITIZE_ADDRESS__
	pthread_attr_setstacksize(&attr, STACK_SIZE);
#endif
	while (!err && fs->nthreads < 1 + FS_WORKERS) {
		struct fs_worker *w = &fs->worker[fs->nthreads];

		w->fs = fs;
		w->index = fs->nthreads;
		w->epoll = -1;
		pthread_mutex_lock(&fs->run_lock);
		fs->starting++;
		pthread_mutex_unlock(&fs->run_lock);
		err = -pthread_create(&w->thread, &attr, thread_main, w);
		if (err)
			fs->starting--;
		else
			fs->nthreads++;
	}
	pthread_attr_destroy(&attr);

	pthread_mutex_lock(&fs->run_lock);
	while (fs->starting)
		pthread_cond_wait(&fs->run_cond, &fs->run_lock);
	if (!err)
		err = fs->start_error;
	pthread_mutex_unlock(&fs->run_lock);
	if (err)
		end_threads(fs);
	return err;
}

/* ---- device ---- */

static void config_read(struct virtio_dev *d, uint32_t off, void *buf, uint32_t len)
{
	struct fs *fs = (struct fs *)d;
	struct fs_config cfg = { .num_request_queues = fs->nqueues };

	memcpy(cfg.tag, fs->tag, sizeof(cfg.tag));
	memcpy(buf, (uint8_t *)&cfg + off, len);
}

static int activate(struct virtio_dev *d)
{
	struct fs *fs = (struct fs *)d;
	int err = fs_start(d, NULL, NULL);

	if (err)
		return err;
	pthread_mutex_lock(&fs->run_lock);
	fs->stopping = false;
	fs->running = fs->nthreads;
	fs->epoch++;
	fs->state = FS_RUNNING;
	pthread_cond_broadcast(&fs->run_cond);
	pthread_mutex_unlock(&fs->run_lock);
	return 0;
}

static void reset(struct virtio_dev *d)
{
	struct fs *fs = (struct fs *)d;
	uint64_t v = 1;

	pthread_mutex_lock(&fs->run_lock);
	if (fs->state == FS_RUNNING) {
		fs->state = FS_STOPPED;
		fs->stopping = true;
		if (write(fs->stop, &v, sizeof(v)) < 0)
			abort(); /* an eventfd of ours that nobody else writes */
		while (fs->running)
			pthread_cond_wait(&fs->run_cond, &fs->run_lock);
		if (read(fs->stop, &v, sizeof(v)) < 0)
			abort();
		fs->inited = false;
		fs_drop_all(fs);
	}
	pthread_mutex_unlock(&fs->run_lock);
}

static const struct virtio_ops fs_ops = {
	.name = "fs",
	.id = VIRTIO_ID_FS,
	.nqueues = 2,
	.queue_max = QUEUE_MAX,
	.config_len = sizeof(struct fs_config),
	.config_read = config_read,
	.activate = activate,
	.reset = reset,
};

static void set_budgets(struct fs *fs, uint32_t *inodes, uint32_t *handles)
{
	uint64_t ram = 0, fds = FDS_MAX, n;
	struct rlimit rl;

	for (unsigned int k = 0; k < fs->dev.mem->nregions; k++)
		ram += fs->dev.mem->region[k].size;
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < fds)
		fds = rl.rlim_cur;
	fds -= fds / 4 < FDS_SPARE ? fds / 4 : FDS_SPARE;
	fs->fds_max = (uint32_t)fds;

	n = ram / RAM_PER_FD;
	if (n < 8192)
		n = 8192;
	fs->fds_soft = (uint32_t)(n < fds / 4 * 3 ? n : fds / 4 * 3);

	n = ram / RAM_PER_INODE;
	*inodes = (uint32_t)(n < FS_INODES_MIN ? FS_INODES_MIN : n > FS_INODES_MAX ? FS_INODES_MAX : n);
	*handles = fds / 2 < FS_HANDLES_MAX ? (uint32_t)(fds / 2) : FS_HANDLES_MAX;
}

static int init(struct fs *fs)
{
	uint32_t inodes, handles;
	int err = fs_prepare();

	if (err)
		return err;
	fs->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fs->wait = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fs->stop < 0 || fs->wait < 0)
		return -errno;
	/* mapped: a thread that does little touches little of its buffers */
	fs->worker = mmap(NULL, (1 + FS_WORKERS) * sizeof(*fs->worker), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fs->worker == MAP_FAILED) {
		fs->worker = NULL;
		return -ENOMEM;
	}
	fs->share = mmap(NULL, FS_SHARES_MAX * sizeof(*fs->share), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	if (fs->share == MAP_FAILED) {
		fs->share = NULL;
		return -ENOMEM;
	}
	set_budgets(fs, &inodes, &handles);
	err = fs_inodes_init(fs, inodes);
	if (err == 0)
		err = fs_pool_init(&fs->handles, sizeof(struct fs_handle), handles);
	if (err == 0)
		err = fs_replay_init(fs);
	return err ? err : fs_locks_init(fs);
}

struct virtio_dev *fs_create(const struct gmem *mem, unsigned int nqueues)
{
	struct fs *fs;
	int err;

	if (nqueues == 0 || nqueues > FS_REQUEST_QUEUES_MAX) {
		errno = EINVAL;
		return NULL;
	}
	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return NULL;
	fs->dev.ops = &fs_ops;
	fs->dev.mem = mem;
	fs->dev.nqueues = 1 + nqueues;
	fs->nqueues = nqueues;
	fs->stop = fs->wait = -1;
	fs->stand_in[0] = fs->stand_in[1] = -1;
	memcpy(fs->tag, PLAN_FS_TAG, sizeof(PLAN_FS_TAG) - 1);
	pthread_mutex_init(&fs->evict_lock, NULL);
	pthread_mutex_init(&fs->share_lock, NULL);
	pthread_mutex_init(&fs->domain_lock, NULL);
	pthread_mutex_init(&fs->window_lock, NULL);
	pthread_mutex_init(&fs->run_lock, NULL);
	pthread_cond_init(&fs->run_cond, NULL);
	for (unsigned int n = 0; n < 16; n++)
		pthread_mutex_init(&fs->dir_lock[n], NULL);
	for (unsigned int n = 0; n <= FS_REQUEST_QUEUES_MAX; n++)
		pthread_mutex_init(&fs->queue_lock[n], NULL);
	err = init(fs);
	if (err) {
		fs_destroy(&fs->dev);
		errno = -err;
		return NULL;
	}
	return &fs->dev;
}

void fs_set_private(struct virtio_dev *d, const char *tag)
{
	struct fs *fs = (struct fs *)d;

	fs->private = true;
	memset(fs->tag, 0, sizeof(fs->tag));
	memcpy(fs->tag, tag, strnlen(tag, sizeof(fs->tag)));
}

void fs_stats(struct virtio_dev *d, struct fs_stats *st)
{
	struct fs *fs = (struct fs *)d;

	memset(st, 0, sizeof(*st));
	for (unsigned int n = 0; n < fs->nthreads; n++) {
		const struct fs_worker *w = &fs->worker[n];

		st->requests += w->requests;
		st->errors += w->errors;
		st->read_bytes += w->read_bytes;
		st->written_bytes += w->written_bytes;
	}
	st->evictions = fs->evictions;
	st->inodes = fs->inodes.used;
	st->handles = fs->handles.used;
	st->locks = fs->locks.used;
	st->waiters = fs->nwaiters;
	st->fds = fs->fds;
	st->inodes_max = fs->inodes.cap;
	st->fds_max = fs->fds_max;
}

void fs_destroy(struct virtio_dev *d)
{
	struct fs *fs = (struct fs *)d;

	reset(d);
	end_threads(fs);
	for (unsigned int n = 0; fs->share && n < FS_SHARES_MAX; n++)
		if (fs->share[n].used && fs->share[n].fd >= 0)
			close(fs->share[n].fd);
	fs_locks_free(fs);
	fs_pool_free(&fs->handles);
	fs_inodes_free(fs);
	fs_dax_free(fs);
	fs_replay_free(fs);
	if (fs->worker)
		munmap(fs->worker, (1 + FS_WORKERS) * sizeof(*fs->worker));
	if (fs->share)
		munmap(fs->share, FS_SHARES_MAX * sizeof(*fs->share));
	if (fs->stop >= 0)
		close(fs->stop);
	if (fs->wait >= 0)
		close(fs->wait);
	free(fs);
}
