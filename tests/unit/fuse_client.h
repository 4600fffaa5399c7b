/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of the virtio-fs device for tests: guest memory, two or more queues in it, and FUSE requests through
 * them, one at a time or several in flight. Plays the guest, so it can lie in every field.
 */
#ifndef HUSK_TESTS_FUSE_CLIENT_H
#define HUSK_TESTS_FUSE_CLIENT_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/control.h"
#include "vmm/fs.h"
#include "vmm/fs_proto.h"

#define FC_RAM (256u << 20)
#define FC_QSIZE 512u
#define FC_QUEUE_AREA 0x10000u /* rings of queue n at n * this */
#define FC_DATA 0x100000u      /* requests and replies, one area of FC_SLOT for each in flight */
#define FC_SLOT 0x240000u
#define FC_SLOTS 24u
#define FC_REPLY 0x120000u /* reply within a slot */
#define FC_TIMEOUT_MS 5000

struct fc_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct fc {
	struct gmem mem;
	uint8_t *ram;
	struct virtio_dev *d;
	unsigned int nqueues; /* hiprio included */
	bool event_idx;
	uint16_t avail[FS_REQUEST_QUEUES_MAX + 1], seen[FS_REQUEST_QUEUES_MAX + 1];
	uint64_t unique;
	uint32_t uid, gid;
	struct fuse_init_out init;
};

static inline uint8_t *fc_ring(struct fc *c, unsigned int q, unsigned int off)
{
	return c->ram + q * FC_QUEUE_AREA + off;
}

#define FC_AVAIL 0x4000u
#define FC_USED 0x8000u

/* The driver says DRIVER_OK. */
static inline int fc_start(struct fc *c)
{
	for (unsigned int q = 0; q < c->nqueues; q++) {
		struct vq *vq = &c->d->vq[q];

		memset(fc_ring(c, q, 0), 0, FC_QUEUE_AREA);
		vq->size = FC_QSIZE;
		vq->size_max = c->d->ops->queue_max;
		vq->desc = q * FC_QUEUE_AREA;
		vq->driver = vq->desc + FC_AVAIL;
		vq->device = vq->desc + FC_USED;
		vq->ready = true;
		c->avail[q] = c->seen[q] = 0;
		if (vq_start(vq, &c->mem, c->event_idx))
			return -EINVAL;
	}
	return c->d->ops->activate(c->d);
}

static inline void fc_reset(struct fc *c)
{
	c->d->ops->reset(c->d);
	for (unsigned int q = 0; q < c->nqueues; q++)
		vq_reset(&c->d->vq[q]);
	c->d->status = 0;
}

/* A device with no shares, not started. */
static inline bool fc_open(struct fc *c, unsigned int request_queues)
{
	memset(c, 0, sizeof(*c));
	c->ram = mmap(NULL, FC_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->ram == MAP_FAILED)
		return false;
	c->mem.nregions = 1;
	c->mem.region[0] = (struct gmem_region){ .gpa = 0, .size = FC_RAM, .host = c->ram };
	c->d = fs_create(&c->mem, request_queues);
	if (!c->d)
		return false;
	c->nqueues = c->d->nqueues;
	c->d->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned int q = 0; q < c->nqueues; q++) {
		c->d->vq[q].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		c->d->vq[q].call = c->d->call;
	}
	return true;
}

static inline void fc_close(struct fc *c)
{
	int fds[FS_REQUEST_QUEUES_MAX + 2], n = 0;

	fds[n++] = c->d->call;
	for (unsigned int q = 0; q < c->nqueues; q++)
		fds[n++] = c->d->vq[q].kick;
	fc_reset(c);
	fs_destroy(c->d);
	while (n)
		close(fds[--n]);
	munmap(c->ram, FC_RAM);
}

/*
 * Put a request into slot s: `in` split into elements of at most `split` bytes (0: one), and room for out_len bytes of
 * reply, split likewise. The head is 16 * s, so at most 16 elements with two splits.
 */
static inline void fc_post(struct fc *c, unsigned int q, unsigned int s, const void *in, size_t in_len, size_t out_len,
			   size_t split)
{
	struct fc_desc *desc = (void *)fc_ring(c, q, 0);
	uint16_t *avail = (void *)fc_ring(c, q, FC_AVAIL);
	uint64_t base = FC_DATA + (uint64_t)s * FC_SLOT;
	unsigned int n = s * 16;

	memcpy(c->ram + base, in, in_len);
	memset(c->ram + base + FC_REPLY, 0xaa, out_len);
	for (int part = 0; part < 2; part++) {
		uint64_t at = base + (part ? FC_REPLY : 0);
		size_t left = part ? out_len : in_len;

		while (left) {
			size_t len = split && split < left && n % 16 < (part ? 14 : 6) ? split : left;

			desc[n] = (struct fc_desc){
				.addr = at, .len = (uint32_t)len, .flags = part ? 3 : 1, .next = (uint16_t)(n + 1)
			};
			at += len;
			left -= len;
			n++;
		}
	}
	if (n > s * 16)
		desc[n - 1].flags &= (uint16_t)~1u;
	avail[2 + c->avail[q] % FC_QSIZE] = (uint16_t)(s * 16);
	__atomic_store_n(&avail[1], ++c->avail[q], __ATOMIC_SEQ_CST);
}

static inline void fc_kick(struct fc *c, unsigned int q)
{
	eventfd_write(c->d->vq[q].kick, 1);
}

/* The next finished slot of queue q, *written its bytes; -1 after ms milliseconds. */
static inline int fc_wait(struct fc *c, unsigned int q, uint32_t *written, int ms)
{
	uint16_t *used = (void *)fc_ring(c, q, FC_USED);
	struct pollfd p = { .fd = c->d->call, .events = POLLIN };
	eventfd_t v;

	while (__atomic_load_n(&used[1], __ATOMIC_ACQUIRE) == c->seen[q]) {
		if (poll(&p, 1, ms) <= 0)
			return -1;
		eventfd_read(c->d->call, &v);
		if (__atomic_load_n(&used[1], __ATOMIC_ACQUIRE) != c->seen[q])
			break;
		if (c->d->status & 64) /* DEVICE_NEEDS_RESET */
			return -1;
	}
	{
		uint32_t *e = (void *)((uint8_t *)used + 4 + 8 * (c->seen[q]++ % FC_QSIZE));

		/* ask for the next interrupt */
		((uint16_t *)(void *)fc_ring(c, q, FC_AVAIL))[2 + FC_QSIZE] = c->seen[q];
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (written)
			*written = e[1];
		return (int)e[0] / 16;
	}
}

/* Raw bytes through queue q: bytes written into out, or -1 when no answer came. */
static inline int64_t fc_raw(struct fc *c, unsigned int q, const void *in, size_t in_len, void *out, size_t out_len,
			     size_t split)
{
	uint32_t written;

	fc_post(c, q, 0, in, in_len, out_len, split);
	fc_kick(c, q);
	if (fc_wait(c, q, &written, FC_TIMEOUT_MS) != 0)
		return -1;
	memcpy(out, c->ram + FC_DATA + FC_REPLY, out_len);
	return written;
}

static uint8_t fc_in[FC_REPLY], fc_out[FC_SLOT - FC_REPLY];

/* Put a whole request together in fc_in; its length. */
static inline size_t fc_build(struct fc *c, uint32_t op, uint64_t node, const void *arg, size_t arg_len,
			      const void *arg2, size_t arg2_len)
{
	struct fuse_in_header *h = (void *)fc_in;
	size_t len = sizeof(*h) + arg_len + arg2_len;

	*h = (struct fuse_in_header){
		.len = (uint32_t)len,
		.opcode = op,
		.unique = ++c->unique,
		.nodeid = node,
		.uid = c->uid,
		.gid = c->gid,
		.pid = 1,
	};
	if (arg_len)
		memcpy(h + 1, arg, arg_len);
	if (arg2_len)
		memcpy((uint8_t *)(h + 1) + arg_len, arg2, arg2_len);
	return len;
}

/*
 * One request. Returns the length of its payload, at most out_len and copied to out, or the negative errno of the
 * answer; -9999 when there was no sane one.
 */
static inline int64_t fc_call(struct fc *c, uint32_t op, uint64_t node, const void *arg, size_t arg_len,
			      const void *arg2, size_t arg2_len, void *out, size_t out_len)
{
	size_t len = fc_build(c, op, node, arg, arg_len, arg2, arg2_len);
	int64_t got = fc_raw(c, 1, fc_in, len, fc_out, sizeof(struct fuse_out_header) + out_len, 0);
	struct fuse_out_header oh;

	if (out_len)
		memset(out, 0, out_len);
	if (got < (int64_t)sizeof(oh))
		return -9999;
	memcpy(&oh, fc_out, sizeof(oh));
	if (oh.len != got || oh.unique != c->unique || oh.error > 0 || oh.error < -4095 ||
	    got > (int64_t)(sizeof(oh) + out_len) || (oh.error && oh.len != sizeof(oh)))
		return -9999;
	if (oh.error)
		return oh.error;
	if (out_len)
		memcpy(out, fc_out + sizeof(oh), out_len);
	return got - (int64_t)sizeof(oh);
}

#define FC_FLAGS                                                                                                  \
	(FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK |            \
	 FUSE_FLOCK_LOCKS | FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_MAX_PAGES | \
	 FUSE_WRITEBACK_CACHE | FUSE_HANDLE_KILLPRIV_V2 | FUSE_POSIX_ACL | FUSE_SUBMOUNTS | FUSE_SETXATTR_EXT |   \
	 FUSE_EXPORT_SUPPORT | FUSE_INIT_EXT)

static inline int64_t fc_init(struct fc *c)
{
	struct fuse_init_in in = { .major = 7, .minor = 38, .max_readahead = 131072, .flags = FC_FLAGS };

	return fc_call(c, FUSE_INIT, 0, &in, sizeof(in), NULL, 0, &c->init, sizeof(c->init));
}

/* ---- the operations that tests use most; names as in the shell where there is one ---- */

static inline int64_t fc_lookup(struct fc *c, uint64_t dir, const char *name, struct fuse_entry_out *e)
{
	return fc_call(c, FUSE_LOOKUP, dir, name, strlen(name) + 1, NULL, 0, e, sizeof(*e));
}

static inline int64_t fc_getattr(struct fc *c, uint64_t node, struct fuse_attr *a)
{
	struct fuse_getattr_in in = { 0 };
	struct fuse_attr_out out;
	int64_t n = fc_call(c, FUSE_GETATTR, node, &in, sizeof(in), NULL, 0, &out, sizeof(out));

	if (a)
		*a = out.attr;
	return n;
}

static inline int64_t fc_setattr(struct fc *c, uint64_t node, const struct fuse_setattr_in *in)
{
	struct fuse_attr_out out;

	return fc_call(c, FUSE_SETATTR, node, in, sizeof(*in), NULL, 0, &out, sizeof(out));
}

static inline int64_t fc_mkdir(struct fc *c, uint64_t dir, const char *name, uint32_t mode, struct fuse_entry_out *e)
{
	struct fuse_mkdir_in in = { .mode = mode };

	return fc_call(c, FUSE_MKDIR, dir, &in, sizeof(in), name, strlen(name) + 1, e, sizeof(*e));
}

static inline int64_t fc_mknod(struct fc *c, uint64_t dir, const char *name, uint32_t mode, uint32_t rdev,
			       struct fuse_entry_out *e)
{
	struct fuse_mknod_in in = { .mode = mode, .rdev = rdev };

	return fc_call(c, FUSE_MKNOD, dir, &in, sizeof(in), name, strlen(name) + 1, e, sizeof(*e));
}

static inline int64_t fc_symlink(struct fc *c, uint64_t dir, const char *name, const char *text,
				 struct fuse_entry_out *e)
{
	return fc_call(c, FUSE_SYMLINK, dir, name, strlen(name) + 1, text, strlen(text) + 1, e, sizeof(*e));
}

static inline int64_t fc_unlink(struct fc *c, uint64_t dir, const char *name)
{
	return fc_call(c, FUSE_UNLINK, dir, name, strlen(name) + 1, NULL, 0, NULL, 0);
}

static inline int64_t fc_rmdir(struct fc *c, uint64_t dir, const char *name)
{
	return fc_call(c, FUSE_RMDIR, dir, name, strlen(name) + 1, NULL, 0, NULL, 0);
}

static inline int64_t fc_rename(struct fc *c, uint64_t dir, const char *from, uint64_t newdir, const char *to,
				uint32_t flags)
{
	struct fuse_rename2_in in = { .newdir = newdir, .flags = flags };
	char names[1024];
	size_t a = strlen(from) + 1, b = strlen(to) + 1;

	memcpy(names, from, a);
	memcpy(names + a, to, b);
	return fc_call(c, FUSE_RENAME2, dir, &in, sizeof(in), names, a + b, NULL, 0);
}

static inline int64_t fc_link(struct fc *c, uint64_t old, uint64_t dir, const char *name, struct fuse_entry_out *e)
{
	struct fuse_link_in in = { .oldnodeid = old };

	return fc_call(c, FUSE_LINK, dir, &in, sizeof(in), name, strlen(name) + 1, e, sizeof(*e));
}

static inline int64_t fc_openf(struct fc *c, uint64_t node, uint32_t flags, struct fuse_open_out *o)
{
	struct fuse_open_in in = { .flags = flags };

	return fc_call(c, FUSE_OPEN, node, &in, sizeof(in), NULL, 0, o, sizeof(*o));
}

struct fc_created {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

static inline int64_t fc_create(struct fc *c, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
				uint32_t mask, struct fc_created *o)
{
	struct fuse_create_in in = { .flags = flags | O_CREAT, .mode = mode | S_IFREG, .umask = mask };

	return fc_call(c, FUSE_CREATE, dir, &in, sizeof(in), name, strlen(name) + 1, o, sizeof(*o));
}

static inline int64_t fc_read(struct fc *c, uint64_t node, uint64_t fh, uint64_t off, void *buf, uint32_t len)
{
	struct fuse_read_in in = { .fh = fh, .offset = off, .size = len };

	return fc_call(c, FUSE_READ, node, &in, sizeof(in), NULL, 0, buf, len);
}

static inline int64_t fc_write(struct fc *c, uint64_t node, uint64_t fh, uint64_t off, const void *buf, uint32_t len,
			       uint32_t flags, uint32_t write_flags)
{
	struct fuse_write_in in = { .fh = fh, .offset = off, .size = len, .flags = flags, .write_flags = write_flags };
	struct fuse_write_out out;
	int64_t n = fc_call(c, FUSE_WRITE, node, &in, sizeof(in), buf, len, &out, sizeof(out));

	return n < 0 ? n : out.size;
}

static inline int64_t fc_release(struct fc *c, uint64_t node, uint64_t fh)
{
	struct fuse_release_in in = { .fh = fh };

	return fc_call(c, FUSE_RELEASE, node, &in, sizeof(in), NULL, 0, NULL, 0);
}

static inline int64_t fc_opendir(struct fc *c, uint64_t node, uint64_t *fh)
{
	struct fuse_open_in in = { 0 };
	struct fuse_open_out out;
	int64_t n = fc_call(c, FUSE_OPENDIR, node, &in, sizeof(in), NULL, 0, &out, sizeof(out));

	*fh = out.fh;
	return n;
}

static inline int64_t fc_readdir(struct fc *c, bool plus, uint64_t node, uint64_t fh, uint64_t off, void *buf,
				 uint32_t len)
{
	struct fuse_read_in in = { .fh = fh, .offset = off, .size = len };

	return fc_call(c, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, &in, sizeof(in), NULL, 0, buf, len);
}

static inline int64_t fc_lock(struct fc *c, uint32_t op, uint64_t node, uint64_t fh, uint64_t owner, uint32_t type,
			      uint64_t start, uint64_t end, uint32_t flags, struct fuse_file_lock *out)
{
	struct fuse_lk_in in = { .fh = fh,
				 .owner = owner,
				 .lk = { .start = start, .end = end, .type = type, .pid = (uint32_t)owner },
				 .lk_flags = flags };

	return fc_call(c, op, node, &in, sizeof(in), NULL, 0, out, out ? sizeof(*out) : 0);
}

/* No answer is expected, so wait for the chain only. */
static inline int64_t fc_forget(struct fc *c, uint64_t node, uint64_t n)
{
	struct fuse_forget_in in = { .nlookup = n };
	size_t len = fc_build(c, FUSE_FORGET, node, &in, sizeof(in), NULL, 0);

	return fc_raw(c, 0, fc_in, len, fc_out, 0, 0);
}

#endif
