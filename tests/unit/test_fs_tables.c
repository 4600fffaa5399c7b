/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The file server's tables under load: many files, few descriptors, many threads, deletion at any moment.
 */
#include <linux/fs.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/resource.h>

#define UNIT_SECONDS 120
#define FS_ENV_DIR "/dev/shm" /* many files, quickly */
#include "tests/unit/fs_env.h"
#include "vmm/fs_internal.h"

/* ---- fs_pool.h ---- */

struct item {
	_Atomic uint64_t life;
	uint64_t a, b;
};

TEST(pool_ids_are_never_valid_twice)
{
	uint64_t ids[1000], again;
	struct fs_pool p;
	struct item *i;

	REQUIRE(fs_pool_init(&p, sizeof(struct item), 1000) == 0);
	CHECK_EQ(p.cap, 1024);
	for (int n = 0; n < 1000; n++) {
		i = fs_pool_new(&p, &ids[n]);
		REQUIRE(i);
		CHECK(ids[n] >> 32);
		CHECK(i->a == 0 && i->b == 0);
		i->a = i->b = ids[n];
		life_unlock(&i->life);
	}
	for (int n = 0; n < 1000; n++) {
		i = fs_pool_get(&p, ids[n]);
		REQUIRE(i);
		CHECK_EQ(i->a, ids[n]);
		CHECK(!life_lock(&i->life, (uint32_t)(ids[n] >> 32), LIFE_LIVE, 0)); /* has a user */
		life_put(&i->life);
		CHECK(!fs_pool_get(&p, ids[n] + (1ull << 32)));
		CHECK(!fs_pool_get(&p, ids[n] & UINT32_MAX));
		REQUIRE(life_lock(&i->life, (uint32_t)(ids[n] >> 32), LIFE_LIVE, 0));
		fs_pool_release(&p, ids[n]);
		CHECK(!fs_pool_get(&p, ids[n]));
	}
	CHECK_EQ(p.used, 0);
	CHECK(fs_pool_new(&p, &again));
	CHECK_EQ((uint32_t)again, 0); /* the lowest index first */
	for (int n = 0; n < 1000; n++)
		CHECK(again != ids[n]);
	CHECK(!fs_pool_get(&p, 5000));
	CHECK(!fs_pool_get(&p, UINT64_MAX));
	fs_pool_free(&p);
}

TEST(pool_is_full_at_its_cap)
{
	struct fs_pool p;
	uint64_t id;

	REQUIRE(fs_pool_init(&p, sizeof(struct item), 512) == 0);
	for (int n = 0; n < 512; n++)
		REQUIRE(fs_pool_new(&p, &id));
	CHECK(!fs_pool_new(&p, &id));
	fs_pool_release(&p, (uint64_t)1 << 32 | 300);
	CHECK(fs_pool_new(&p, &id));
	CHECK_EQ((uint32_t)id, 300);
	CHECK(!fs_pool_new(&p, &id));
	fs_pool_free(&p);
}

/* ---- many files ---- */

static void make_files(struct env *e, unsigned int dirs, unsigned int files)
{
	char name[64];

	for (unsigned int d = 0; d < dirs; d++) {
		snprintf(name, sizeof(name), "d%u", d);
		if (mkdir(host(e, name), 0755))
			UNIT_FAIL("mkdir");
		for (unsigned int f = 0; f < files; f++) {
			snprintf(name, sizeof(name), "d%u/f%u", d, f);
			if (mknod(host(e, name), S_IFREG | 0644, 0))
				UNIT_FAIL("mknod");
		}
	}
}

/* Every file opened, by its nodeid, and its directory listed. */
static void touch_all(struct env *e, const uint64_t *nodes, unsigned int n, unsigned int step)
{
	struct fuse_open_out o;
	struct fuse_attr a;

	for (unsigned int k = 0; k < n; k += step) {
		CHECK(fc_getattr(&e->c, nodes[k], &a) > 0);
		CHECK(fc_openf(&e->c, nodes[k], O_RDWR, &o) > 0);
		CHECK_EQ(fc_write(&e->c, nodes[k], o.fh, 0, "x", 1, 0, 0), 1);
		CHECK_EQ(fc_release(&e->c, nodes[k], o.fh), 0);
	}
}

static void many_files(unsigned int dirs, unsigned int files, unsigned int nofile)
{
	struct rlimit rl = { .rlim_cur = nofile, .rlim_max = nofile };
	static uint64_t nodes[100000];
	struct fuse_entry_out out;
	struct fs_stats st;
	struct env e;
	char name[64];

	if (nofile && setrlimit(RLIMIT_NOFILE, &rl))
		return;
	REQUIRE(env_open(&e, 0));
	make_files(&e, dirs, files);
	for (unsigned int d = 0; d < dirs; d++) {
		uint64_t dir;

		snprintf(name, sizeof(name), "d%u", d);
		dir = walk(&e, name);
		for (unsigned int f = 0; f < files; f++) {
			snprintf(name, sizeof(name), "f%u", f);
			CHECK(fc_lookup(&e.c, dir, name, &out) > 0);
			nodes[d * files + f] = out.nodeid;
		}
	}
	fs_stats(e.c.d, &st);
	CHECK_EQ(st.inodes, 1 + dirs + dirs * files);
	CHECK(st.fds <= st.fds_max);
	CHECK(st.evictions > 0);
	CHECK(count_fds() <= (int)st.fds_max + 100);
	touch_all(&e, nodes, dirs * files, 7);
	fs_stats(e.c.d, &st);
	CHECK(st.fds <= st.fds_max);
	/* the same node when it is looked up again, evicted or not */
	for (unsigned int f = 0; f < files; f++) {
		snprintf(name, sizeof(name), "f%u", f);
		CHECK(fc_lookup(&e.c, walk(&e, "d1"), name, &out) > 0);
		CHECK_EQ(out.nodeid, nodes[files + f]);
	}
	for (unsigned int k = 0; k < dirs * files; k++)
		CHECK_EQ(fc_forget(&e.c, nodes[k], 10), 0);
	fs_stats(e.c.d, &st);
	CHECK_EQ(st.inodes, 1 + dirs);
	CHECK(st.fds <= 1 + dirs);
	env_close(&e);
}

TEST(a_hundred_thousand_files_with_few_descriptors)
{
	many_files(100, 1000, 0);
}

TEST(thousands_of_files_with_very_few_descriptors)
{
	many_files(20, 300, 300);
}

TEST(open_files_are_never_evicted_and_have_a_cap)
{
	struct rlimit rl = { .rlim_cur = 400, .rlim_max = 400 };
	struct fuse_open_out o;
	uint64_t node, fhs[1000] = { 0 };
	unsigned int n;
	struct env e;
	int64_t err = 0;
	char buf[2];

	REQUIRE(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	REQUIRE(env_open(&e, 0));
	put_file(host(&e, "f"), "x");
	node = walk(&e, "f");
	for (n = 0; n < 1000; n++) {
		err = fc_openf(&e.c, node, O_RDONLY, &o);
		if (err < 0)
			break;
		fhs[n] = o.fh;
	}
	CHECK_EQ(err, -ENFILE);
	CHECK(n > 100);
	for (unsigned int k = 0; k < n; k++)
		CHECK_EQ(fc_read(&e.c, node, fhs[k], 0, buf, 1), 1);
	CHECK_EQ(fc_release(&e.c, node, fhs[0]), 0);
	CHECK(fc_openf(&e.c, node, O_RDONLY, &o) > 0);
	env_close(&e);
}

/* Make the hand take every descriptor that it can. */
static void evict_all(struct env *e)
{
	struct fs *fs = (struct fs *)e->c.d;

	while (fs_evict(fs, 1000))
		;
}

static bool evicted(struct env *e, uint64_t node)
{
	struct fs_inode *i = fs_pool_get(&((struct fs *)e->c.d)->inodes, node);
	bool yes = i && i->fd < 0;

	if (i)
		fs_inode_put((struct fs *)e->c.d, i);
	return yes;
}

TEST(an_evicted_file_comes_back_as_itself_or_not_at_all)
{
	struct fuse_attr a;
	struct fuse_open_out o;
	uint64_t f, g, dir, sub;
	struct env e;

	REQUIRE(env_open(&e, 0));
	make_files(&e, 1, 2);
	put_file(host(&e, "d0/f0"), "zero");
	REQUIRE(mkdir(host(&e, "d0/sub"), 0755) == 0);
	dir = walk(&e, "d0");
	sub = walk(&e, "d0/sub");
	f = walk(&e, "d0/f0");
	g = walk(&e, "d0/f1");
	evict_all(&e);
	CHECK(evicted(&e, f) && evicted(&e, g) && evicted(&e, sub));
	CHECK(!evicted(&e, dir)); /* holds the way back to its children */
	CHECK(!evicted(&e, e.vol));
	CHECK(fc_getattr(&e.c, f, &a) > 0);
	CHECK_EQ(a.size, 4);
	CHECK(!evicted(&e, f));
	/* replaced by the host: never another file under the old id */
	evict_all(&e);
	CHECK(evicted(&e, f));
	put_file(host(&e, "d0/new"), "other content");
	REQUIRE(rename(host(&e, "d0/new"), host(&e, "d0/f0")) == 0);
	CHECK_EQ(fc_getattr(&e.c, f, &a), -ESTALE);
	CHECK_EQ(fc_openf(&e.c, f, O_RDONLY, &o), -ESTALE);
	CHECK(walk(&e, "d0/f0") != f);
	/* replaced by a link that leads out */
	REQUIRE(unlink(host(&e, "d0/f1")) == 0 && symlink("/etc/passwd", host(&e, "d0/f1")) == 0);
	CHECK_EQ(fc_openf(&e.c, g, O_RDONLY, &o), -ESTALE);
	/* a directory swapped for a link */
	REQUIRE(rmdir(host(&e, "d0/sub")) == 0 && symlink("/etc", host(&e, "d0/sub")) == 0);
	CHECK_EQ(fc_getattr(&e.c, sub, &a), -ESTALE);
	CHECK_EQ(fc_forget(&e.c, f, 1), 0);
	CHECK_EQ(fc_forget(&e.c, g, 1), 0);
	CHECK_EQ(fc_forget(&e.c, sub, 2), 0);
	env_close(&e);
}

TEST(the_guest_s_own_renames_and_removals_keep_evicted_files)
{
	struct fuse_attr a;
	struct fuse_entry_out out;
	uint64_t f, g, h, dir;
	struct env e;

	REQUIRE(env_open(&e, 0));
	make_files(&e, 2, 3);
	dir = walk(&e, "d0");
	f = walk(&e, "d0/f0");
	g = walk(&e, "d0/f1");
	h = walk(&e, "d0/f2");
	evict_all(&e);
	CHECK(evicted(&e, f) && evicted(&e, g) && evicted(&e, h));
	CHECK_EQ(fc_rename(&e.c, dir, "f0", dir, "renamed", 0), 0);
	CHECK(fc_getattr(&e.c, f, &a) > 0);
	CHECK_EQ(fc_rename(&e.c, dir, "f1", walk(&e, "d1"), "moved", 0), 0);
	CHECK(fc_getattr(&e.c, g, &a) > 0);
	CHECK_EQ(fc_unlink(&e.c, dir, "f2"), 0);
	CHECK(fc_getattr(&e.c, h, &a) > 0);
	CHECK_EQ(a.nlink, 0);
	/* what moved can be evicted again and found in its new place; what has no name stays */
	evict_all(&e);
	CHECK(evicted(&e, f));
	CHECK(evicted(&e, g));
	CHECK(!evicted(&e, h));
	CHECK(fc_getattr(&e.c, g, &a) > 0);
	CHECK(fc_lookup(&e.c, walk(&e, "d1"), "moved", &out) > 0);
	CHECK_EQ(out.nodeid, g);
	env_close(&e);
}

/* ---- mounts within a share ---- */

TEST(mounts_within_a_share_are_submounts)
{
	struct fuse_entry_out out;
	uint64_t a, b;
	struct env e;

	if (geteuid() != 0)
		return;
	REQUIRE(env_open(&e, 0));
	REQUIRE(mkdir(host(&e, "m"), 0755) == 0);
	if (mount("none", host(&e, "m"), "tmpfs", 0, "size=1m")) {
		env_close(&e);
		return;
	}
	put_file(host(&e, "m/f"), "x");
	CHECK(fc_lookup(&e.c, e.vol, "m", &out) > 0);
	CHECK_EQ(out.attr.flags, FUSE_ATTR_SUBMOUNT);
	a = out.nodeid;
	CHECK(fc_lookup(&e.c, a, "f", &out) > 0);
	CHECK_EQ(out.attr.flags, 0);
	CHECK_EQ(fc_rename(&e.c, a, "f", e.vol, "f", 0), -EXDEV);
	b = walk(&e, "m");
	CHECK_EQ(a, b);
	/* unmounted by the host: by name it is what lies beneath */
	REQUIRE(umount2(host(&e, "m"), MNT_DETACH) == 0);
	CHECK(fc_lookup(&e.c, e.vol, "m", &out) > 0);
	CHECK(out.nodeid != a);
	CHECK_EQ(out.attr.flags, 0);
	env_close(&e);
}

/* ---- threads ---- */

struct storm {
	struct env *e;
	unsigned int queue, seed;
	atomic_bool stop;
};

/* Several requests in flight on one queue, all kinds, nodeids and handles that come and go. */
static void one_round(struct env *e, unsigned int q, unsigned int *seed)
{
	static _Thread_local uint8_t in[4096];
	unsigned int sent = 0;

	for (unsigned int s = 0; s < 6; s++) {
		unsigned int slot = q * 8 + s, k = (unsigned int)rand_r(seed) % 6, f = (unsigned int)rand_r(seed) % 8;
		struct fuse_in_header *h = (void *)in;
		char *name = (char *)(h + 1);
		size_t out = 1024;

		*h = (struct fuse_in_header){ .unique = 1, .nodeid = e->vol, .opcode = FUSE_LOOKUP };
		if (k == 1) {
			struct fuse_mkdir_in *m = (void *)(h + 1);

			h->opcode = FUSE_MKDIR;
			m->mode = 0755;
			m->umask = 0;
			name = (char *)(m + 1);
		} else if (k == 2) {
			h->opcode = FUSE_RMDIR;
		} else if (k == 3) {
			h->opcode = FUSE_GETATTR;
			h->nodeid = (uint64_t)(1 + (unsigned int)rand_r(seed) % 4000) << 32 | f;
			memset(h + 1, 0, 16);
			name += 16;
		} else if (k == 4) {
			struct fuse_open_in *o = (void *)(h + 1);

			h->opcode = FUSE_OPENDIR;
			o->flags = o->open_flags = 0;
			name = (char *)(o + 1);
		} else if (k == 5) {
			struct fuse_release_in *r = (void *)(h + 1);

			memset(r, 0, sizeof(*r));
			h->opcode = FUSE_RELEASEDIR;
			r->fh = (uint64_t)(1 + (unsigned int)rand_r(seed) % 2000) << 32 | f;
			name = (char *)(r + 1);
		}
		name[0] = (char)('a' + f);
		name[1] = 0;
		h->len = (uint32_t)((uint8_t *)name + 2 - in);
		fc_post(&e->c, q, slot, in, h->len, out, 0);
		sent++;
	}
	fc_kick(&e->c, q);
	for (unsigned int k = 0; k < 5000 && sent; k++) {
		uint16_t *used = (void *)fc_ring(&e->c, q, FC_USED);

		while (e->c.seen[q] != __atomic_load_n(&used[1], __ATOMIC_ACQUIRE)) {
			e->c.seen[q]++;
			sent--;
		}
		if (sent)
			usleep(200);
	}
	if (sent)
		UNIT_FAIL("queue %u: %u requests without an answer", q, sent);
}

static void *storm_main(void *arg)
{
	struct storm *s = arg;

	while (!s->stop)
		one_round(s->e, s->queue, &s->seed);
	return NULL;
}

static void *forget_main(void *arg)
{
	struct storm *s = arg;
	struct fs *fs = (struct fs *)s->e->c.d;

	while (!s->stop) {
		fs_inode_forget(fs,
				(uint64_t)(1 + (unsigned int)rand_r(&s->seed) % 4000) << 32 |
					(unsigned int)(1 + rand_r(&s->seed) % 8),
				1);
		if (rand_r(&s->seed) % 64 == 0)
			fs_evict(fs, 8);
	}
	return NULL;
}

TEST(storm_of_lookups_forgets_evictions_and_share_deletions)
{
	struct fs_stats st;
	struct storm s[3];
	pthread_t t[3];
	struct env e;
	char name[16];

	REQUIRE(env_open(&e, 0));
	for (unsigned int k = 0; k < 3; k++)
		s[k] = (struct storm){ .e = &e, .queue = 1 + k, .seed = 77 + k };
	pthread_create(&t[0], NULL, storm_main, &s[0]);
	pthread_create(&t[1], NULL, storm_main, &s[1]);
	pthread_create(&t[2], NULL, forget_main, &s[2]);
	for (int k = 0; k < 150; k++) {
		snprintf(name, sizeof(name), "s%d", k);
		CHECK_EQ(fs_add_share(e.c.d, name, open(e.dir, O_PATH), 0), 0);
		usleep(10000);
		if (k % 10 == 9) {
			/* the one that is in use, too */
			CHECK_EQ(fs_del_share(e.c.d, k == 9 ? "vol" : "again"), 0);
			CHECK_EQ(fs_add_share(e.c.d, "again", open(e.dir, O_PATH), 0), 0);
		}
		CHECK_EQ(fs_del_share(e.c.d, name), 0);
	}
	for (unsigned int k = 0; k < 3; k++) {
		s[k].stop = true;
		pthread_join(t[k], NULL);
	}
	fc_reset(&e.c);
	fs_stats(e.c.d, &st);
	CHECK_EQ(st.inodes, 0);
	CHECK_EQ(st.handles, 0);
	CHECK_EQ(st.fds, 0);
	env_close(&e);
}
