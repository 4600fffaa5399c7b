/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the FUSE server share with each other. Nobody else includes this.
 */
#ifndef HUSK_VMM_FS_INTERNAL_H
#define HUSK_VMM_FS_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "fs.h"
#include "fs_pool.h"
#include "fs_proto.h"

#define FS_WORKERS 3u		/* threads that serve request queues, beside the one of the hiprio queue */
#define FS_WRITE_MAX (1u << 20) /* bytes of one READ or WRITE */
#define FS_IN_MAX (68u * 1024)	/* body of a request but WRITE data: a 64 KiB xattr and its name fit */
#define FS_OUT_MAX (64u * 1024) /* payload of a reply but READ data */
#define FS_HANDLES_MAX 65536u	/* open files and directories */
#define FS_LOCKS_MAX 4096u	/* pairs of lock owner and file */
#define FS_WAITERS_MAX 256u	/* lock requests that wait */
#define FS_INODES_MIN 65536u
#define FS_INODES_MAX (4u << 20)
#define FS_SHARDS 32u
#define FS_DOMAINS 256u
#define FS_DOMAIN_SHIFT 56

#define FS_NODE_ROOT FUSE_ROOT_ID
#define FS_NO_SHARE UINT16_MAX

#define FS_I_MOUNT 1u  /* root of a mount: shown with a device number of its own */
#define FS_I_PSEUDO 2u /* procfs, sysfs and their like: files of the host's kernel, not of a disk */
#define FS_I_PROC 4u   /* procfs */
#define FS_I_FIXED 8u  /* never evicted: a share's root */
#define FS_I_DAX 16u   /* shown in the DAX window */

/* Returned by operations in place of 0 and -errno. */
#define FS_NOREPLY 1 /* the request has no answer (FORGET, INTERRUPT) */
#define FS_PARKED 2  /* fs_lock.c answers later */

struct fs_share {
	char name[NAME_MAX + 1];
	bool used;
	atomic_bool dead;
	int fd;
	uint32_t flags;	 /* CTL_SHARE_* */
	uint32_t type;	 /* S_IFMT bits */
	uint32_t pseudo; /* FS_I_PSEUDO, FS_I_PROC */
	uint64_t ino;
	_Atomic uint32_t users; /* objects that hold a descriptor into the share */
};

struct fs_inode {
	_Atomic uint64_t life;
	uint64_t id; /* FUSE nodeid; constant, as are the key, type, flags and btime */
	uint64_t dev, ino;
	uint32_t mnt, type;
	uint8_t domain;		/* of dev; see domain_of() */
	_Atomic uint16_t share; /* changes to FS_NO_SHARE while BUSY */
	uint16_t flags;		/* FS_I_* */
	_Atomic int fd;		/* O_PATH; -1: evicted (name is set) or gone. Changes while BUSY or under evict_lock */
	uint64_t nlookup;	/* shard's lock */
	uint32_t next;		/* shard's lock: next in the hash chain, index + 1 */
	bool hashed;		/* shard's lock */
	atomic_bool touched;	/* used since the eviction hand came by */
	uint64_t parent;	/* id of the directory it was found in */
	_Atomic uint32_t name_hash; /* of the name that it was last found by */
	char *name;		    /* evicted: name in the parent, which then has one user more; evict_lock */
	int64_t btime;		    /* birth, ns; 0 when the file system doesn't know */
	_Atomic uint64_t stamp;	    /* state of the file at the last open that dropped the guest's pages; 0: none */
	_Atomic uint32_t locked;    /* counts locks taken; 0: never */
	_Atomic uint32_t writers;   /* handles that may write */
	_Atomic uint64_t told_size; /* FS_I_DAX: the largest that the guest has been told */
};

/* FS_DAX_UNIT bytes of the window. window_lock. */
struct fs_unit {
	bool mapped;
	uint16_t share;
	uint64_t node, off; /* which file, and where in it */
};

#define FS_H_DIR 1u
#define FS_H_WRITE 2u
#define FS_H_READ 4u

struct fs_handle {
	_Atomic uint64_t life;
	uint64_t id; /* FUSE fh */
	struct fs_inode *inode;
	int fd;		       /* -1: its share is gone */
	uint16_t share, flags; /* FS_H_* */
	uint64_t pos;	       /* directories: where the descriptor stands; fs->dir_lock */
};

struct fs_shard {
	pthread_mutex_t lock;
	uint32_t *bucket; /* index + 1 of the first inode */
	uint32_t buckets, count;
};

/* Credentials that a worker's thread has now (fs_cred.c). */
struct fs_cred {
	uid_t uid;
	gid_t gid;
	mode_t umask;
	bool can_switch; /* has CAP_SETUID and CAP_SETGID */
	bool keeps_caps; /* changing the fsuid leaves the capabilities alone */
	bool has_fsetid;
	uint32_t effective[2], permitted[2];
};

struct fs;

struct fs_worker {
	struct fs *fs;
	unsigned int index; /* 0: hiprio queue */
	pthread_t thread;
	int epoll;
	struct fs_cred cred;
	_Atomic uint64_t requests, errors, read_bytes, written_bytes;
	struct vq_chain chain;
	struct iovec iov[VQ_IOV_MAX];
	uint64_t in[FS_IN_MAX / 8];
	uint64_t out[(sizeof(struct fuse_out_header) + FS_OUT_MAX) / 8];
};

struct fs_waiter;

struct fs {
	struct virtio_dev dev; /* first: a device pointer is a pointer to this */
	char tag[36];
	unsigned int nqueues;
	bool private; /* fs_set_private() */

	/* what INIT agreed on */
	atomic_bool inited;
	atomic_bool submounts, writeback, setxattr_ext;

	struct fs_pool inodes, handles, locks;
	struct fs_shard shard[FS_SHARDS];
	uint64_t hash_seed;
	_Atomic uint32_t fds;
	uint32_t fds_soft, fds_max; /* above soft, eviction begins; max is never passed */

	pthread_mutex_t evict_lock;
	uint32_t evict_hand; /* evict_lock */
	_Atomic uint64_t evictions;

	pthread_mutex_t share_lock;
	struct fs_share *share; /* FS_SHARES_MAX */

	pthread_mutex_t domain_lock; /* domain[] grows */
	uint64_t domain[FS_DOMAINS]; /* the host's devices in the order in which they were met */
	_Atomic uint32_t ndomains;

	int stand_in[2]; /* fs_replay.c: for a file, for a directory that is gone */

	/* DAX (fs_dax.c); window NULL: none */
	pthread_mutex_t window_lock;
	uint8_t *window, *window_map; /* aligned; what was mapped for it */
	struct fs_unit *unit;
	uint32_t units;
	atomic_bool inode_dax; /* agreed on in INIT */

	pthread_mutex_t dir_lock[16]; /* by handle */

	pthread_mutex_t lock_lock; /* lock owners and waiters */
	struct fs_waiter *waiter;  /* FS_WAITERS_MAX */
	uint64_t waiter_seq;	   /* order of arrival; lock_lock */
	_Atomic uint32_t nwaiters;

	/* threads */
	pthread_mutex_t queue_lock[FS_REQUEST_QUEUES_MAX + 1];
	struct fs_worker *worker; /* 1 + FS_WORKERS */
	unsigned int nthreads;	  /* started */
	pthread_mutex_t run_lock;
	pthread_cond_t run_cond;
	enum { FS_STOPPED, FS_RUNNING, FS_ENDING } state;
	uint64_t epoch;	       /* counts activations */
	unsigned int running;  /* threads that may touch queues */
	unsigned int starting; /* threads that have not yet said whether they can */
	int start_error;
	atomic_bool stopping;
	_Atomic uint32_t idle; /* request workers that wait for a kick */
	int stop;	       /* eventfd: leave the queues alone */
	int wait;	       /* eventfd: a lock request waits */
	void (*enter)(void *arg);
	void *enter_arg;
};

/* One request. Everything that was the guest's memory has been copied, but for READ and WRITE data. */
struct fs_req {
	struct fs *fs;
	struct fs_worker *w;
	struct vq_chain *c;
	unsigned int queue;
	struct fuse_in_header h;
	const uint8_t *arg; /* body, 8-aligned, of arglen bytes; READ data excluded */
	size_t arglen, argpos;
	uint8_t *out; /* payload of the reply */
	size_t room;  /* bytes that the guest has for it, at most FS_OUT_MAX */
	size_t outlen;
	bool direct;		/* the payload is in the guest's buffers already */
	struct fs_inode *node;	/* of h.nodeid, pinned; NULL for the root of all shares */
	struct fs_share *share; /* of node */
};

/* ---- fs.c ---- */

extern int fs_proc_fd; /* /proc/self/fd */

/* Put a reply into the chain's first 16 bytes and give the chain back. Any thread that runs. */
void fs_answer(struct fs *fs, unsigned int queue, uint16_t head, uint32_t written);

/* ---- fs_request.c ---- */

/* Serve the chain in w->chain. Returns bytes written, or FS_CHAIN_PARKED: somebody else gives it back. */
#define FS_CHAIN_PARKED (-1)
int64_t fs_serve(struct fs_worker *w, unsigned int queue);

/* Next NUL-ended string of the body that is a name of one file in a directory; NULL: none. */
const char *fs_req_name(struct fs_req *r, int *err);

/* Next NUL-ended string of at most max bytes, the NUL not counted. */
const char *fs_req_string(struct fs_req *r, size_t max, int *err);

/* Payload of fixed size; the dispatcher made sure that there is room. Zeroed. */
void *fs_req_out(struct fs_req *r, size_t len);

/* 0, or why a request that changes something may not: -EROFS. */
int fs_req_writable(const struct fs_req *r);

/* Drop whatever the guest has: inodes, open files, locks. Threads may still run. */
void fs_drop_all(struct fs *fs);

/* ---- fs_share.c ---- */

/* The share of a pinned inode. */
struct fs_share *fs_share_of(struct fs *fs, const struct fs_inode *i);

static inline bool fs_share_private(const struct fs *fs, const struct fs_share *s)
{
	return fs->private || (s->flags & 2u /* CTL_SHARE_PRIVATE */);
}

/* Inode of the share with this name: pinned and looked up once. 0, -ENOENT, -errno. */
int fs_share_lookup(struct fs *fs, const char *name, struct fs_inode **i, struct statx *st);

/* The next share at or after index *at, for listing: false at the end. */
bool fs_share_next(struct fs *fs, uint64_t *at, char name[NAME_MAX + 1], uint64_t *ino, uint32_t *type);

/* FS_I_PSEUDO and FS_I_PROC as the file system under fd deserves. */
uint16_t fs_share_pseudo(int fd);

/* ---- fs_inode.c ---- */

#define FS_STATX_MASK (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)

int fs_inodes_init(struct fs *fs, uint32_t cap);
void fs_inodes_free(struct fs *fs);

/* Pin the inode and make sure that it has a descriptor. 0, -ESTALE, -errno. */
int fs_inode_get(struct fs *fs, uint64_t nodeid, struct fs_inode **i);
void fs_inode_put(struct fs *fs, struct fs_inode *i);
void fs_inode_hold(struct fs_inode *i); /* one user more of a pinned inode */

/*
 * The inode of name in dir (pinned, type directory): pinned, its lookup count raised by one; *st is its state.
 * 0, -ENOENT, -ENFILE, -errno.
 */
int fs_inode_lookup(struct fs *fs, struct fs_inode *dir, const char *name, struct fs_inode **i, struct statx *st);

/* The same for the file of fd (O_PATH, always consumed). dir: where it was found; NULL: it's a share's root. */
int fs_inode_adopt(struct fs *fs, uint16_t share, struct fs_inode *dir, int fd, struct fs_inode **i, struct statx *st);

/* The inode of name in dir if the guest knows it: pinned, maybe evicted. Or NULL. */
struct fs_inode *fs_inode_known(struct fs *fs, struct fs_inode *dir, const char *name);

/* The guest looks up once more what it knows; pinned. 0, or -ESTALE when it has just been forgotten. */
int fs_inode_remember(struct fs *fs, struct fs_inode *i);

/* The guest forgets n lookups. */
void fs_inode_forget(struct fs *fs, uint64_t nodeid, uint64_t n);

void fs_inodes_drop(struct fs *fs);		    /* all lookup counts to 0 */
void fs_inodes_kill(struct fs *fs, uint16_t share); /* close what is not in use right now */
int fs_inode_statx(const struct fs_inode *i, struct statx *st);

/* Is this the state of the same file? */
bool fs_inode_is(const struct fs *fs, const struct fs_inode *i, const struct statx *st);

/* O_PATH descriptor of one name in a directory, symbolic links not followed. fd or -errno. */
int fs_open_path(int dir, const char *name);

/* openat() by openat2(2), with nothing resolved differently. */
int fs_openat2(int dir, const char *path, unsigned int flags, unsigned int mode);

/* Descriptor that can be read or written, for a regular file or directory only: devices, fifos and sockets are never
 * opened. flags: O_*. fd or -errno. Counted: close by fs_fd_close(). */
int fs_inode_open(struct fs *fs, const struct fs_inode *i, int flags);

/* "N", the name of descriptor N in /proc/self/fd, for calls that take a path only. */
struct fs_fdname {
	char s[12];
};
struct fs_fdname fs_fdname(int fd);

/* The inode number that the guest sees of a file of this domain. */
static inline uint64_t fs_guest_ino(uint8_t domain, uint64_t ino)
{
	return ino ^ (uint64_t)domain << FS_DOMAIN_SHIFT;
}

/* ---- fs_evict.c ---- */

/* Count one descriptor more; makes room first when the budget is used up. 0 or -ENFILE. */
int fs_fd_reserve(struct fs *fs);
void fs_fd_unreserve(struct fs *fs);
void fs_fd_close(struct fs *fs, int fd);
bool fs_evict(struct fs *fs, unsigned int n);		 /* true when it closed any */
int fs_inode_restore(struct fs *fs, struct fs_inode *i); /* pinned */
void fs_inode_moved(struct fs *fs, struct fs_inode *i,
		    const struct fs_inode *dir);	/* pinned, not evicted: is in dir now */
void fs_evict_clear(struct fs *fs, struct fs_inode *i); /* BUSY or nobody's: forget where it was */

/* ---- fs_handle.c ---- */

/* Takes fd (counted); holds the inode. 0 or -ENFILE (fd closed). */
int fs_handle_new(struct fs *fs, struct fs_inode *i, int fd, uint16_t flags, uint64_t *fh);
/* Pin the handle fh of this inode that has all bits of `need`. 0, -EBADF, -ESTALE. */
int fs_handle_get(struct fs *fs, const struct fs_inode *i, uint64_t fh, uint16_t need, struct fs_handle **h);
void fs_handle_put(struct fs *fs, struct fs_handle *h);
void fs_handle_release(struct fs *fs, uint64_t fh);
void fs_handles_drop(struct fs *fs);
void fs_handles_kill(struct fs *fs, uint16_t share);

/* ---- fs_cred.c ---- */

int fs_cred_prepare(struct fs_worker *w); /* by each worker's thread, first */
int fs_cred_init(struct fs_worker *w);	  /* after fs_start()'s hook, which may have taken capabilities */
/* Files made from now on belong to the guest's caller and have its umask. 0 or -EOVERFLOW. */
int fs_cred_take(struct fs_worker *w, const struct fuse_in_header *h, uint32_t umask);
/* Without CAP_FSETID the host kernel clears set-id bits at writes, as it does for any user. */
void fs_cred_fsetid(struct fs_worker *w, bool on);

/* ---- fs_attr.c ---- */

void fs_entry_fill(const struct fs *fs, const struct fs_inode *dir, struct fs_inode *i, const struct statx *st,
		   struct fuse_entry_out *e);

/* ---- fs_lock.c ---- */

int fs_locks_init(struct fs *fs);
void fs_locks_free(struct fs *fs);
void fs_locks_drop(struct fs *fs, int share); /* forget owners and waiters of a share, -1: of all */
void fs_locks_flush(struct fs *fs, struct fs_inode *i, uint64_t owner); /* close() by owner */
void fs_locks_released(struct fs *fs, struct fs_inode *i, uint64_t fh); /* last close of an open file */
bool fs_locks_interrupt(struct fs *fs, uint64_t unique);
int fs_locks_retry(struct fs *fs); /* try the waiters again; ms until the next time, -1: no waiters */

/* ---- fs_replay.c ---- */

int fs_replay_init(struct fs *fs);
void fs_replay_free(struct fs *fs);
bool fs_is_replay(const struct fs_req *r);
/* A request for which fs_is_replay(); fn: what it is for anybody else. changes: fn changes something. */
int fs_replay(struct fs_req *r, int (*fn)(struct fs_req *r), bool changes);
uint32_t fs_name_hash(const char *name);

/* ---- fs_dax.c ---- */

#define FS_DAX_SHIFT 21 /* both the piece that Linux maps and the alignment that it is told */
#define FS_DAX_UNIT (1ull << FS_DAX_SHIFT)

void fs_dax_free(struct fs *fs);
/* Shall this file, found in this share, be shown in the window? */
bool fs_dax_wants(const struct fs *fs, const struct fs_share *s, const struct statx *st);
/* Take out what the window shows of a share, -1: of all. */
void fs_dax_drop(struct fs *fs, int share);

/* ---- operations: 0 or -errno, FS_NOREPLY, FS_PARKED ---- */

int fs_op_init(struct fs_req *r);
int fs_op_destroy(struct fs_req *r);
int fs_op_forget(struct fs_req *r);
int fs_op_batch_forget(struct fs_req *r);
int fs_op_interrupt(struct fs_req *r);

int fs_op_lookup(struct fs_req *r);
int fs_op_readlink(struct fs_req *r);
int fs_op_symlink(struct fs_req *r);
int fs_op_mknod(struct fs_req *r);
int fs_op_mkdir(struct fs_req *r);
int fs_op_unlink(struct fs_req *r);
int fs_op_rmdir(struct fs_req *r);
int fs_op_rename(struct fs_req *r);
int fs_op_rename2(struct fs_req *r);
int fs_op_link(struct fs_req *r);

int fs_op_getattr(struct fs_req *r);
int fs_op_setattr(struct fs_req *r);
int fs_op_statx(struct fs_req *r);
int fs_op_statfs(struct fs_req *r);

int fs_op_open(struct fs_req *r);
int fs_op_create(struct fs_req *r);
int fs_op_tmpfile(struct fs_req *r);
int fs_op_release(struct fs_req *r);
int fs_op_flush(struct fs_req *r);

int fs_op_read(struct fs_req *r);
int fs_op_write(struct fs_req *r);
int fs_op_fsync(struct fs_req *r);
int fs_op_fsyncdir(struct fs_req *r);
int fs_op_syncfs(struct fs_req *r);
int fs_op_fallocate(struct fs_req *r);
int fs_op_lseek(struct fs_req *r);
int fs_op_copy(struct fs_req *r);
int fs_op_ioctl(struct fs_req *r);

int fs_op_setupmapping(struct fs_req *r);
int fs_op_removemapping(struct fs_req *r);

int fs_op_opendir(struct fs_req *r);
int fs_op_readdir(struct fs_req *r);
int fs_op_readdirplus(struct fs_req *r);
int fs_op_releasedir(struct fs_req *r);

int fs_op_setxattr(struct fs_req *r);
int fs_op_getxattr(struct fs_req *r);
int fs_op_listxattr(struct fs_req *r);
int fs_op_removexattr(struct fs_req *r);

int fs_op_getlk(struct fs_req *r);
int fs_op_setlk(struct fs_req *r);
int fs_op_setlkw(struct fs_req *r);

#endif
