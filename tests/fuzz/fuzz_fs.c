/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
// seconds: 20
/*
 * FUSE requests of a hostile guest, through a virtqueue in its memory, on real shares in a temporary directory.
 *
 * The input is a list of requests: one byte of flags, one of choices, two of length, then the body. A request is either
 * the body as it is, or a header for a plausible operation on a nodeid that the guest has been given, with file
 * handles put in where they belong. After each input nothing may be left: no inode, handle, lock, waiter or
 * descriptor, and nothing outside the shares may have changed.
 */
#include <ftw.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent/plan.h"
#include "tests/unit/fuse_client.h"
#include "vmm/fs_internal.h"

#define KNOWN 16

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fc c;
static char top[64], vol[80], ro[80];
static uint64_t nodes[KNOWN], fhs[KNOWN];
static unsigned int nnodes, nfhs;

static const uint8_t *input;
static size_t input_len;
static sem_t go, done;

#define MUST(expr)                                                                        \
	do {                                                                              \
		if (!(expr)) {                                                            \
			fprintf(stderr, "%s:%d: false: %s\n", __FILE__, __LINE__, #expr); \
			abort();                                                          \
		}                                                                         \
	} while (0)

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	return ftw->level ? remove(path) : 0;
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* What every input finds. */
static void fill_shares(void)
{
	char path[200];

	nftw(vol, remove_one, 32, FTW_DEPTH | FTW_PHYS);
	put(vol, "f", "some text");
	snprintf(path, sizeof(path), "%s/d", vol);
	mkdir(path, 0755);
	put(path, "g", "");
	snprintf(path, sizeof(path), "%s/l", vol);
	MUST(symlink("../outside", path) == 0);
}

static void check_outside(void)
{
	struct stat st;
	char path[200], buf[32] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/outside", top);
	fd = open(path, O_RDONLY);
	MUST(fd >= 0 && read(fd, buf, sizeof(buf)) == 6 && memcmp(buf, "canary", 6) == 0);
	MUST(fstat(fd, &st) == 0 && st.st_nlink == 1 && (st.st_mode & 07777) == 0644 && st.st_uid == 0);
	close(fd);
	MUST(stat(top, &st) == 0 && st.st_nlink == 4); /* vol and ro, nothing else */
	snprintf(path, sizeof(path), "%s/f", ro);
	MUST(stat(path, &st) == 0 && st.st_size == 9 && st.st_nlink == 1);
}

/* Serve what is in the queue in this thread. Returns bytes written, -1: parked. */
static int64_t serve(void)
{
	struct fs *fs = (struct fs *)c.d;
	struct fs_worker *w = &fs->worker[1];
	int64_t n = -1;
	int got;

	got = vq_pop(&c.d->vq[1], &w->chain);
	MUST(got == 1);
	n = fs_serve(w, 1);
	if (n >= 0) {
		MUST((uint64_t)n <= w->chain.write_len);
		MUST(vq_push(&c.d->vq[1], w->chain.head, (uint32_t)n) == 0);
	}
	return n;
}

static void learn(uint32_t op, const uint8_t *out, int64_t n)
{
	const struct fuse_out_header *oh = (const void *)out;
	const struct fuse_entry_out *e = (const void *)(oh + 1);
	const struct fuse_open_out *o = (const void *)(oh + 1);

	if (n < (int64_t)sizeof(*oh))
		return;
	MUST(oh->len == n);
	MUST(oh->error <= 0 && oh->error > -4096);
	MUST(oh->error == 0 || n == sizeof(*oh));
	if (oh->error)
		return;
	switch (op) {
	case FUSE_LOOKUP:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		nodes[nnodes++ % KNOWN] = e->nodeid;
		if (op == FUSE_CREATE || op == FUSE_TMPFILE)
			fhs[nfhs++ % KNOWN] = ((const struct fuse_open_out *)(e + 1))->fh;
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		fhs[nfhs++ % KNOWN] = o->fh;
		break;
	default:
		break;
	}
}

/* Body offset of the file handle, or of a nodeid, in operations that have one; -1. */
static int handle_at(uint32_t op)
{
	switch (op) {
	case FUSE_READ:
	case FUSE_WRITE:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_FLUSH:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_FALLOCATE:
	case FUSE_LSEEK:
	case FUSE_COPY_FILE_RANGE:
	case FUSE_GETLK:
	case FUSE_SETLK:
	case FUSE_SETLKW:
	case FUSE_IOCTL:
		return 0;
	case FUSE_SETATTR:
		return 8;
	default:
		return -1;
	}
}

static int node_at(uint32_t op)
{
	switch (op) {
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_LINK:
		return 0;
	case FUSE_COPY_FILE_RANGE:
		return 16;
	default:
		return -1;
	}
}

#define RAW 1u	  /* the body is the whole request */
#define HANDLE 2u /* put a known handle in */
#define NODE 4u	  /* put a known nodeid in */
#define SPLIT 8u  /* small elements */
#define SHORT 16u /* little room for the reply */

static void one_request(uint8_t flags, uint8_t choice, const uint8_t *body, size_t len)
{
	struct fuse_in_header *h = (void *)fc_in;
	uint32_t op;
	int64_t n;

	if (flags & RAW) {
		memcpy(fc_in, body, len);
		op = len >= 8 ? h->opcode : 0;
	} else {
		op = choice % 54;
		len = fc_build(&c, op, nodes[(flags >> 5) + (choice & 8)], body, len, NULL, 0);
		if ((flags & HANDLE) && handle_at(op) >= 0 && len >= sizeof(*h) + 16)
			memcpy(fc_in + sizeof(*h) + handle_at(op), &fhs[choice / 54 % KNOWN], 8);
		if ((flags & NODE) && node_at(op) >= 0 && len >= sizeof(*h) + 24)
			memcpy(fc_in + sizeof(*h) + node_at(op), &nodes[choice / 54 % KNOWN], 8);
	}
	/* the ids by which the agent says what it is about */
	if ((flags & (SPLIT | SHORT)) == (SPLIT | SHORT))
		h->uid = PLAN_TOUCH_UID + choice % 4u;
	/* heads are 16 apart, and a request that was parked keeps its own */
	if (c.avail[1] >= FC_SLOTS)
		return;
	fc_post(&c, 1, c.avail[1], fc_in, len, flags & SHORT ? choice % 64u : 16 + 5000,
		flags & SPLIT ? 1 + choice % 50u : 0);
	n = serve();
	memcpy(fc_out, c.ram + FC_DATA + (c.avail[1] - 1u) * FC_SLOT + FC_REPLY, 400);
	learn(op, fc_out, n);
}

static void run_input(void)
{
	struct fs *fs = (struct fs *)c.d;
	struct fs_stats st;
	size_t at = 0;

	c.avail[1] = 0;
	memset(fc_ring(&c, 1, 0), 0, FC_QUEUE_AREA);
	MUST(vq_start(&c.d->vq[1], &c.mem, false) == 0);
	nnodes = nfhs = 0;
	memset(fhs, 0, sizeof(fhs));
	for (unsigned int n = 0; n < KNOWN; n++)
		nodes[n] = FUSE_ROOT_ID;
	{
		struct fuse_init_in in = {
			.major = 7,
			.minor = 39,
			.flags = FC_FLAGS | FUSE_MAP_ALIGNMENT,
			.flags2 = FS_INIT_INODE_DAX >> 32,
		};
		static const char *const shares[] = { "vol", "ro", "file" };

		/* nodes 8 and up are not learned yet: the root */

		fc_post(&c, 1, c.avail[1], fc_in, fc_build(&c, FUSE_INIT, 0, &in, sizeof(in), NULL, 0), 80, 0);
		MUST(serve() == 16 + 64);
		for (unsigned int n = 0; n < 3; n++)
			one_request(0, 2 * 54 + FUSE_LOOKUP, (const uint8_t *)shares[n], strlen(shares[n]) + 1);
		MUST(nnodes == 3);
		one_request(1u << 5, FUSE_LOOKUP, (const uint8_t *)"large", 6);
	}
	for (unsigned int n = 0; n < 16 && input_len - at >= 4; n++) {
		size_t len = (input[at + 2] | input[at + 3] << 8) % 600;

		if (len > input_len - at - 4)
			len = input_len - at - 4;
		one_request(input[at], input[at + 1], input + at + 4, len);
		at += 4 + len;
	}
	fs_drop_all(fs);
	fs_stats(c.d, &st);
	MUST(st.inodes == 0 && st.handles == 0 && st.locks == 0 && st.waiters == 0 && st.fds == 0);
	for (uint32_t n = 0; n < fs->units; n++)
		MUST(!fs->unit[n].mapped && fs->window[n * FS_DAX_UNIT] == 0);
	fs->inited = false;
	vq_reset(&c.d->vq[1]);
	c.d->vq[1].size = FC_QSIZE;
	c.d->vq[1].desc = FC_QUEUE_AREA;
	c.d->vq[1].driver = FC_QUEUE_AREA + FC_AVAIL;
	c.d->vq[1].device = FC_QUEUE_AREA + FC_USED;
	check_outside();
	fill_shares();
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem)) /* libFuzzer's timer */
		;
}

/* A thread of its own, because it changes its current directory. */
static void *server(void *arg)
{
	struct fs *fs = (struct fs *)c.d;
	struct fs_worker *w = &fs->worker[1];

	(void)arg;
	w->fs = fs;
	w->index = 1;
	MUST(fs_cred_prepare(w) == 0 && fs_cred_init(w) == 0);
	for (;;) {
		wait_for(&go);
		run_input();
		sem_post(&done);
	}
	return NULL;
}

static void clean_up(void)
{
	nftw(top, remove_one, 32, FTW_DEPTH | FTW_PHYS);
	rmdir(top);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct rlimit rl = { .rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY };
	char path[200];
	pthread_t t;

	(void)argc;
	(void)argv;
	umask(0);
	fs_prepare();
	strcpy(top, access("/dev/shm", W_OK) == 0 ? "/dev/shm/husk-fuzz-XXXXXX" : "/tmp/husk-fuzz-XXXXXX");
	MUST(mkdtemp(top));
	atexit(clean_up);
	put(top, "outside", "canary");
	snprintf(vol, sizeof(vol), "%s/vol", top);
	snprintf(ro, sizeof(ro), "%s/ro", top);
	MUST(mkdir(vol, 0755) == 0 && mkdir(ro, 0755) == 0);
	put(ro, "f", "protected");
	put(ro, "single", "file");
	put(ro, "large", "shown in the window");
	snprintf(path, sizeof(path), "%s/large", ro);
	MUST(truncate(path, 100000) == 0);
	fill_shares();
	MUST(fc_open(&c, 1));
	MUST(fs_add_share(c.d, "vol", open(vol, O_PATH), 0) == 0);
	MUST(fs_set_window(c.d, 1ull << 38, 8 * FS_DAX_UNIT) == 0);
	MUST(fs_add_share(c.d, "ro", open(ro, O_PATH), CTL_SHARE_RO | CTL_SHARE_DAX) == 0);
	snprintf(path, sizeof(path), "%s/single", ro);
	MUST(fs_add_share(c.d, "file", open(path, O_PATH), CTL_SHARE_RO) == 0);
	c.d->vq[1].size_max = FC_QSIZE;
	c.d->vq[1].size = FC_QSIZE;
	c.d->vq[1].desc = FC_QUEUE_AREA;
	c.d->vq[1].driver = FC_QUEUE_AREA + FC_AVAIL;
	c.d->vq[1].device = FC_QUEUE_AREA + FC_USED;
	/* files of the guest stay small; its writes must not end the fuzzer (fs_prepare()) */
	setrlimit(RLIMIT_FSIZE, &rl);
	sem_init(&go, 0, 0);
	sem_init(&done, 0, 0);
	MUST(pthread_create(&t, NULL, server, NULL) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	signal(SIGXFSZ, SIG_IGN); /* libFuzzer has set its own since */
	input = data;
	input_len = size;
	sem_post(&go);
	wait_for(&done);
	return 0;
}
