/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that attacks its VMM: the kernel command line names the attack (attack=NAME). Each ends with the guest still
 * running and the devices answering, "end: survived" on the console and the VM powered off, or as the test that
 * starts it expects. FAIL lines tell which promise was broken.
 */
#include "bare.h"

#define ID_BLK 2
#define ID_RNG 4
#define ID_BALLOON 5
#define ID_VSOCK 19
#define ID_FS 26

static const uint64_t bad_address[] = {
	0x8000000,	0x7fffff0,	    0xd0000000,		0xfee00000,	    0x100000000,
	0x7fffffffffff, 0x8000000000000000, 0xfffffffffffffff0, 0xfffffffffffffffe,
};
#define NBAD (sizeof(bad_address) / sizeof(bad_address[0]))

static uint8_t buffer[8][65536] __attribute__((aligned(4096)));
static uint64_t rng, balloon, vsock, fs;

static struct desc *d(unsigned int q)
{
	return queues[q].desc;
}

/* The random device gives bytes: it is alive, and so is the thread that serves it. */
static void rng_works(const char *after)
{
	expect(dev_start(rng, 1) == 15, after);
	d(0)[0] = (struct desc){ (uint64_t)buffer[0], 64, F_WRITE, 0 };
	clear(buffer[0], 64);
	offer(0, 0);
	kick(rng, 0);
	expect(wait_used(rng, 0, 1), after);
	uint64_t any = 0;
	for (int i = 0; i < 8; i++)
		any |= ((uint64_t *)buffer[0])[i];
	expect(any != 0, after);
}

/* ---- rings ---- */

static void queue_outside(void)
{
	static const uint32_t id[] = { ID_RNG, ID_BALLOON, ID_VSOCK, ID_FS };
	uint64_t good = (uint64_t)&queues[0];

	for (int k = 0; k < 4; k++) {
		uint64_t w = find_device(id[k]);

		for (unsigned int ring = 0; ring < 3; ring++)
			for (unsigned int b = 0; b < NBAD; b++) {
				uint64_t a[3] = { good, good + 0x4000, good + 0x5000 };

				a[ring] = bad_address[b];
				dev_begin(w, 0);
				for (uint32_t q = 0; q < 8; q++)
					dev_queue(w, q, QSIZE, a[0], a[1], a[2]);
				expect(dev_ok(w) & 0x40, "queues outside memory are refused");
				kick(w, 0);
			}
		w32(w + 0x70, 0);
	}
	/* rings that lie on each other and on the guest's own code are the guest's problem */
	dev_begin(rng, 0);
	dev_queue(rng, 0, QSIZE, good, good, good);
	dev_ok(rng);
	for (int i = 0; i < 100; i++) {
		queues[0].avail[1]++;
		kick(rng, 0);
	}
	rng_works("after queues outside memory");
}

static void one_bad_chain(const char *what)
{
	offer(0, 0);
	kick(rng, 0);
	expect(wait_broken(rng), what);
	expect(dev_start(rng, 1) == 15, "the device can be reset");
}

static void chains(void)
{
	struct desc *t = (struct desc *)buffer[1];

	dev_start(rng, 1);
	d(0)[0] = (struct desc){ (uint64_t)buffer[0], 8, F_WRITE | F_NEXT, 0 };
	one_bad_chain("a loop of one");
	d(0)[0] = (struct desc){ (uint64_t)buffer[0], 8, F_WRITE | F_NEXT, 1 };
	d(0)[1] = d(0)[0];
	d(0)[1].next = 0;
	one_bad_chain("a loop of two");
	d(0)[0] = (struct desc){ (uint64_t)buffer[0], 8, F_WRITE | F_NEXT, QSIZE };
	one_bad_chain("next outside the table");
	d(0)[0] = (struct desc){ (uint64_t)buffer[0], 8, F_WRITE | F_NEXT, 0xffff };
	one_bad_chain("next far outside the table");
	for (unsigned int b = 0; b < NBAD; b++) {
		d(0)[0] = (struct desc){ bad_address[b], 0x100, F_WRITE, 0 };
		one_bad_chain("a buffer outside memory");
		d(0)[0] = (struct desc){ bad_address[b], 0x100, F_INDIRECT, 0 };
		one_bad_chain("an indirect table outside memory");
	}
	d(0)[0] = (struct desc){ (uint64_t)buffer[0], 0xffffffff, F_WRITE, 0 };
	one_bad_chain("a buffer longer than memory");
	d(0)[0] = (struct desc){ (uint64_t)buffer[0], 8, F_WRITE | F_NEXT, 1 };
	d(0)[1] = (struct desc){ (uint64_t)buffer[0], 8, 0, 0 };
	one_bad_chain("readable after writable");
	for (unsigned int i = 0; i < 4096; i++)
		t[i] = (struct desc){ (uint64_t)buffer[0], 1, F_WRITE | F_NEXT, (uint16_t)(i + 1) };
	d(0)[0] = (struct desc){ (uint64_t)t, 4096 * 16, F_INDIRECT, 0 };
	one_bad_chain("a chain longer than the queue");
	t[0] = (struct desc){ (uint64_t)t, 64, F_INDIRECT, 0 };
	d(0)[0] = (struct desc){ (uint64_t)t, 64, F_INDIRECT, 0 };
	one_bad_chain("a table in a table");
	queues[0].avail[1] = 17;
	kick(rng, 0);
	expect(wait_broken(rng), "more available than the queue holds");
	dev_start(rng, 1);
	queues[0].avail[2] = 0x7fff;
	queues[0].avail[1] = 1;
	kick(rng, 0);
	expect(wait_broken(rng), "a head outside the table");
	/* the same head many times: each is served after the other or refused, never at the same time */
	dev_start(rng, 1);
	d(0)[0] = (struct desc){ (uint64_t)buffer[0], 4096, F_WRITE, 0 };
	for (int i = 0; i < QSIZE; i++)
		offer(0, 0);
	kick(rng, 0);
	pause_a_bit(1000000);
	rng_works("after bad chains");
}

static void change_after_ok(void)
{
	dev_start(rng, 1);
	w32(rng + 0x30, 0);
	w32(rng + 0x38, 1024);
	w32(rng + 0x80, 0xfffff000);
	w32(rng + 0x84, 0xffffffff);
	w32(rng + 0x90, 0xfffff000);
	w32(rng + 0xa0, 0xfffff000);
	w32(rng + 0xa4, 0xffffffff);
	w32(rng + 0x44, 1);
	w32(rng + 0x20, 0xffffffff);
	w32(rng + 0x70, 15);
	for (uint16_t i = 0; i < 3 * QSIZE; i++) {
		d(0)[i % QSIZE] = (struct desc){ (uint64_t)buffer[0], 16, F_WRITE, 0 };
		offer(0, i % QSIZE);
		kick(rng, 0);
		expect(wait_used(rng, 0, (uint16_t)(i + 1)), "the queue goes on as it was started");
	}
}

/* Ring contents change while the device reads them. */
static void race_ring(void)
{
	uint64_t until = tsc() + 3000000000ull;

	while (tsc() < until) {
		dev_start(rng, 1);
		for (int i = 0; i < 200; i++) {
			for (int k = 0; k < 8; k++) {
				volatile struct desc *x = &d(0)[rnd() % QSIZE];

				x->addr = rnd() % 4 ? (uint64_t)buffer[rnd() % 8] : rnd();
				x->len = (uint32_t)(rnd() % 3 ? rnd() % 5000 : rnd());
				x->flags = (uint16_t)(rnd() % 8);
				x->next = (uint16_t)(rnd() % (QSIZE + 1));
			}
			queues[0].avail[2 + rnd() % QSIZE] = (uint16_t)(rnd() % QSIZE);
			queues[0].avail[1] = (uint16_t)(queues[0].avail[1] + rnd() % 3);
			kick(rng, 0);
		}
	}
	rng_works("after racing rings");
}

/* ---- registers ---- */

static void storm(void)
{
	for (int i = 0; i < 6000; i++) {
		uint64_t at = MMIO + rnd() % (20 * WINDOW);

		switch (rnd() % 6) {
		case 0:
			*(volatile uint8_t *)at = (uint8_t)rnd();
			break;
		case 1:
			*(volatile uint16_t *)at = (uint16_t)rnd();
			break;
		case 2:
			*(volatile uint64_t *)at = rnd();
			break;
		case 3:
			(void)*(volatile uint64_t *)at;
			break;
		default:
			w32((at & ~0xfffull) | (rnd() % 0x120 & ~3ull), (uint32_t)(rnd() % 4 ? rnd() % 20 : rnd()));
		}
	}
}

static void register_storm(void)
{
	storm();
	rng_works("after a storm of register accesses");
}

static void wide_accesses(void)
{
	for (uint64_t off = 0; off < 2 * WINDOW; off++) {
		*(volatile uint64_t *)(rng + off) = 0x0f0f0f0f0f0f0f0full;
		(void)*(volatile uint64_t *)(rng + off);
	}
	for (int i = 0; i < 8; i++) {
		uint64_t to = MMIO + 0xff8, from = (uint64_t)buffer[0], n = 512;

		/* string instructions across the edge of windows, both ways */
		__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n)::"memory");
		to = (uint64_t)buffer[0], from = MMIO + 0xffc, n = 1024;
		__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
		to = MMIO + 0x3f, n = 100;
		__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(0xff) : "memory");
	}
	__asm__ volatile("lock xaddl %%eax, (%0)" ::"r"(rng + 0x70), "a"(0xff) : "memory");
	rng_works("after wide and unaligned accesses");
}

/* KVM cannot do this on device memory: the VM ends, and says so. */
static void odd_instruction(void)
{
	__asm__ volatile("lock cmpxchg16b (%0)" ::"r"(rng + 0x100), "a"(0), "d"(0), "b"(1), "c"(1) : "memory");
	say("not reached\n");
}

static void notify_flood(void)
{
	for (int i = 0; i < 20000; i++)
		w32(MMIO + (rnd() % 9) * WINDOW + 0x50, (uint32_t)(i % 20 ? rnd() % 6 : rnd()));
	dev_start(rng, 1);
	for (int i = 0; i < 20000; i++)
		kick(rng, 0);
	for (int i = 0; i < 5000; i++)
		w32(rng + 0x64, (uint32_t)(rnd() % 4));
	rng_works("after a flood of notifications");
}

static void reset_storm(void)
{
	static const uint32_t id[] = { ID_RNG, ID_BALLOON, ID_VSOCK, ID_FS };

	for (int i = 0; i < 200; i++) {
		uint64_t w = find_device(id[i % 4]);

		dev_start(w, i % 4 ? 3 : 1);
		for (unsigned int q = 0; q < 3; q++) {
			d(q)[0] = (struct desc){ (uint64_t)buffer[q], 4096, (uint16_t)(i & F_WRITE), 0 };
			offer(q, 0);
			kick(w, q);
		}
		if (i % 3)
			pause_a_bit((unsigned int)(rnd() % 3000));
		w32(w + 0x70, 0);
		expect(r32(w + 0x70) == 0, "a reset is done when it is written");
	}
	rng_works("after a storm of resets");
}

/* ---- devices ---- */

static void rng_greedy(void)
{
	dev_start(rng, 1);
	for (uint16_t i = 0; i < 200; i++) {
		d(0)[i % QSIZE] = (struct desc){ 0, 64 << 20, F_WRITE, 0 }; /* over everything, this code too? */
		d(0)[i % QSIZE].addr = (uint64_t)buffer;
		d(0)[i % QSIZE].len = sizeof(buffer);
		offer(0, i % QSIZE);
		kick(rng, 0);
		expect(wait_used(rng, 0, (uint16_t)(i + 1)), "greedy requests are served");
		uint32_t len = *(volatile uint32_t *)&queues[0].used[2 + 4 * (i % QSIZE) + 2];
		expect(len <= 65536, "one request gets 64 KiB at most");
	}
}

static void balloon_twice(void)
{
	uint32_t *pfn = (uint32_t *)buffer[0];

	dev_start(balloon, 2);
	for (int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 4096; i++)
			pfn[i] = (uint32_t)(i % 3 == 0 ? rnd() : ((uint64_t)buffer[4 + i % 4] >> 12) + i % 16);
		d(0)[0] = (struct desc){ (uint64_t)pfn, 16384 + (uint32_t)(round % 4), 0, 0 };
		/* random page numbers may name this program; keep it */
		for (unsigned int i = 0; i < 4096; i++)
			if (pfn[i] >= 0x1000 && pfn[i] < 0x1800 && i % 3 == 0)
				pfn[i] = 0xfffff;
		offer(0, 0);
		kick(balloon, 0);
		expect(wait_used(balloon, 0, (uint16_t)(round + 1)), "inflation is acknowledged");
	}
	w32(balloon + 0x104, 0xffffffff);
	w32(balloon + 0x100, 0xffffffff);
	expect(r32(balloon + 0x100) == 0, "the target is the host's");
	rng_works("after the balloon");
}

struct vsock_hdr {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

static void vsock_host_ports(void)
{
	struct vsock_hdr *h = (struct vsock_hdr *)buffer[0];
	volatile uint16_t *rx = queues[0].used;
	uint16_t sent = 0, answered = 0;

	expect(dev_start(vsock, 3) == 15, "vsock starts");
	for (uint16_t i = 0; i < QSIZE; i++) {
		d(0)[i] = (struct desc){ (uint64_t)buffer[2] + i * 128u, 128, F_WRITE, 0 };
		offer(0, i);
	}
	kick(vsock, 0);
	for (uint32_t port = 0; port < 1100; port++) {
		if (port == 1023)
			continue; /* that one means "ready" */
		*h = (struct vsock_hdr){ .src_cid = 3,
					 .dst_cid = 2,
					 .src_port = 5000,
					 .dst_port = port,
					 .type = 1,
					 .op = 1,
					 .buf_alloc = 65536 };
		d(1)[0] = (struct desc){ (uint64_t)h, sizeof(*h), 0, 0 };
		offer(1, 0);
		kick(vsock, 1);
		expect(wait_used(vsock, 1, ++sent), "a request is taken");
		for (int w = 0; w < 100000 && rx[1] == answered; w++)
			pause_a_bit(100);
		expect(rx[1] == (uint16_t)(answered + 1), "a request is answered");
		if (rx[1] != (uint16_t)(answered + 1))
			return;
		uint16_t head = rx[2 + 4 * (answered % QSIZE)];
		struct vsock_hdr *a = (struct vsock_hdr *)(buffer[2] + head * 128u);
		expect(a->op == 3 && a->src_port == port && a->len == 0, "with a reset");
		answered++;
		offer(0, head);
		kick(vsock, 0);
	}
}

/* Packets of every kind and without sense, and no buffers for answers. */
static void vsock_flood(void)
{
	for (int round = 0; round < 30; round++) {
		uint16_t sent = 0;

		dev_start(vsock, 3);
		for (int i = 0; i < 300; i++) {
			struct vsock_hdr *h = (struct vsock_hdr *)buffer[i % 8];

			*h = (struct vsock_hdr){
				.src_cid = rnd() % 4 ? 3 : rnd(),
				.dst_cid = rnd() % 4 ? 2 : rnd(),
				.src_port = (uint32_t)rnd(),
				.dst_port = (uint32_t)(rnd() % 2 ? 0x40000000 + rnd() % 8 : rnd()),
				.len = (uint32_t)(rnd() % 3 ? 0 : rnd()),
				.type = (uint16_t)(rnd() % 3),
				.op = (uint16_t)(rnd() % 9),
				.flags = (uint32_t)rnd(),
				.buf_alloc = (uint32_t)rnd(),
				.fwd_cnt = (uint32_t)rnd(),
			};
			if (h->dst_port == 1023)
				continue;
			d(1)[i % QSIZE] =
				(struct desc){ (uint64_t)h, (uint32_t)(rnd() % 9 ? 65536 : rnd() % 60), 0, 0 };
			offer(1, (uint16_t)(i % QSIZE));
			kick(vsock, 1);
			sent++;
			for (int w = 0; w < 50 && queues[1].used[1] != sent; w++)
				pause_a_bit(100);
			if (queues[1].used[1] != sent || (r32(vsock + 0x70) & 0x40))
				break;
		}
	}
	rng_works("after a flood of vsock packets");
}

struct fuse_in {
	uint32_t len, opcode;
	uint64_t unique, nodeid;
	uint32_t uid, gid, pid, pad;
	uint8_t arg[4096];
};

struct fuse_out {
	uint32_t len;
	int32_t error;
	uint64_t unique;
	uint8_t data[4096];
};

static uint16_t fuse_sent;

/* Sends a request; the answer's error, 1 when there was none. */
static int fuse(uint32_t opcode, uint64_t node, const void *arg, uint32_t arg_len, uint32_t claimed, uint32_t room)
{
	struct fuse_in *in = (struct fuse_in *)buffer[0];
	struct fuse_out *out = (struct fuse_out *)buffer[1];

	clear(out, 64);
	*in = (struct fuse_in){ .len = claimed, .opcode = opcode, .unique = 77, .nodeid = node };
	for (uint32_t i = 0; i < arg_len && i < sizeof(in->arg); i++)
		in->arg[i] = ((const uint8_t *)arg)[i];
	d(1)[0] = (struct desc){ (uint64_t)in, 40 + arg_len, (uint16_t)(room ? F_NEXT : 0), 1 };
	d(1)[1] = (struct desc){ (uint64_t)out, room, F_WRITE, 0 };
	offer(1, 0);
	kick(fs, 1);
	if (!wait_used(fs, 1, ++fuse_sent))
		return 1;
	return room >= 16 && out->len ? out->error : 1;
}

static void fs_start(void)
{
	uint32_t init[16] = { 7, 38, 1 << 20, 0xffffffff, 0xffffffff };

	expect(dev_start(fs, 2) == 15, "the file system device starts");
	fuse_sent = 0;
	expect(fuse(26, 0, init, 64, 104, 4096) == 0, "FUSE_INIT");
}

static int lookup(uint64_t node, const char *name, uint32_t len)
{
	return fuse(1, node, name, len, 40 + len, 4096);
}

static void fs_names(void)
{
	static char longest[600];
	uint64_t share;

	fs_start();
	expect(lookup(1, "share", 6) == 0, "the share is there");
	share = *(uint64_t *)((struct fuse_out *)buffer[1])->data;
	for (unsigned int i = 0; i < sizeof(longest); i++)
		longest[i] = 'n';
	longest[599] = 0;
	for (int k = 0; k < 2; k++) {
		uint64_t node = k ? share : 1;

		expect(lookup(node, "..", 3) < 0, "no way up by ..");
		expect(lookup(node, ".", 2) < 0, "no ..");
		expect(lookup(node, "", 1) < 0, "no empty name");
		expect(lookup(node, "/etc/passwd", 12) < 0, "no absolute name");
		expect(lookup(node, "../etc", 7) < 0, "no way up by a path");
		expect(lookup(node, "a/b", 4) < 0, "no path");
		expect(lookup(node, "nonul", 5) < 0, "no name without its end");
		expect(lookup(node, longest, 600) < 0, "no name that is too long");
	}
	/* links that lead out are links: the guest reads them, the server does not follow */
	expect(lookup(share, "out", 4) == 0, "a symbolic link is found");
	uint64_t link = *(uint64_t *)((struct fuse_out *)buffer[1])->data;
	expect(lookup(link, "passwd", 7) < 0, "nothing is found behind a symbolic link");
	/* devices and fifos of the host are never opened */
	static const char *const special[] = { "fifo", "null", "socket" };
	for (int i = 0; i < 3; i++) {
		uint32_t flags[2] = { 2, 0 };
		char name[8] = "";
		uint32_t n = 0;

		while (special[i][n]) {
			name[n] = special[i][n];
			n++;
		}
		if (lookup(share, name, n + 1) != 0)
			continue; /* not made on this host */
		uint64_t node = *(uint64_t *)((struct fuse_out *)buffer[1])->data;
		expect(fuse(14, node, flags, 8, 48, 4096) < 0, "a special file is not opened");
	}
	for (uint64_t n = 2; n < 3000; n++) { /* ids that were never given out, or belong to somebody */
		uint64_t forged = n << (n % 50) | n;

		if (forged == share || forged == link)
			continue;
		fuse(3, forged, longest, 16, 56, 4096);
		if (n % 300 == 0)
			fuse(2, forged, longest, 8, 48, 0); /* FORGET with a count of its own */
	}
	expect(lookup(1, "share", 6) == 0, "the share is still there");
}

static void fs_lengths(void)
{
	uint8_t junk[128];

	fs_start();
	for (uint32_t op = 0; op < 60; op++)
		for (uint32_t k = 0; k < 12; k++) {
			static const uint32_t claim[] = { 0,	1,     39,	   40,	       41,	   80,
							  4096, 65536, 0x7fffffff, 0xffffffff, 0x80000000, 168 };

			for (int i = 0; i < 128; i++)
				junk[i] = (uint8_t)(rnd() % 3 ? 0 : rnd());
			if (op == 38)
				continue; /* DESTROY ends the session, as it should */
			fuse(op, rnd() % 3, junk, (uint32_t)(rnd() % 129), claim[k], (uint32_t)(k % 4 ? 4096 : k));
			if (r32(fs + 0x70) & 0x40)
				fs_start(); /* a header that is too short is a fault of the driver */
		}
	fs_start();
	expect(lookup(1, "share", 6) == 0, "the file server still answers");
}

/* Sends one request of a disk: header, data, status. The status, 0x100: the device stopped, 0x200: none. */
static uint32_t disk_request(uint64_t blk, uint16_t n, uint32_t type, uint64_t sector, uint32_t len, bool writes)
{
	uint32_t *head = (uint32_t *)buffer[0];
	volatile uint8_t *status = buffer[1];

	head[0] = type;
	head[1] = 0;
	*(uint64_t *)(head + 2) = sector;
	*status = 0xaa;
	d(0)[0] = (struct desc){ (uint64_t)head, 16, F_NEXT, 1 };
	d(0)[1] = (struct desc){ (uint64_t)buffer[2], len, (uint16_t)(F_NEXT | (writes ? F_WRITE : 0)), 2 };
	d(0)[2] = (struct desc){ (uint64_t)status, 1, F_WRITE, 0 };
	offer(0, 0);
	kick(blk, 0);
	if (!wait_used(blk, 0, n))
		return r32(blk + 0x70) & 0x40 ? 0x100 : 0x200;
	return *status;
}

static void disk(void)
{
	static const uint64_t far[] = { 2048,
					2047,
					0xffffffffffffffff,
					0x7fffffffffffffff,
					0x80000000000000ull,
					0x7fffffffffffff,
					0x100000000,
					0xfffffffffffff801 };
	uint64_t blk = find_device(ID_BLK);
	uint16_t n = 0;

	expect(blk && dev_start(blk, 1) == 15, "the disk starts");
	expect(disk_request(blk, ++n, 0, 0, 4096, true) == 0, "a read");
	expect(disk_request(blk, ++n, 1, 8, 4096, false) == 0, "a write");
	expect(disk_request(blk, ++n, 4, 0, 0, false) <= 2, "a flush");
	for (unsigned int i = 0; i < sizeof(far) / sizeof(far[0]); i++)
		for (uint32_t type = 0; type < 2; type++)
			expect(disk_request(blk, ++n, type, far[i], 4096, type == 0) == 1,
			       "nothing is read or written beyond the end");
	for (uint32_t type = 2; type < 40; type++) {
		uint32_t st;

		for (int i = 0; i < 64; i++)
			buffer[2][i] = 0xff; /* as a range to discard: everything, and more */
		st = disk_request(blk, ++n, type, ~0ull, 16 + type, type == 8);
		expect(st == 1 || st == 2 || type == 4 || type == 8, "types and ranges without sense are refused");
	}
	expect(disk_request(blk, ++n, 0, 0, 511, true) == 1, "no part of a sector");
	/* a read into what the device must not write, a write from what it must not read: there is no data, then */
	clear(buffer[2], 512);
	disk_request(blk, ++n, 0, 0, 512, false);
	for (int i = 0; i < 512; i++)
		expect(!buffer[2][i], "what is for reading is not written");
	disk_request(blk, ++n, 1, 0, 512, true);
	if (r32(blk + 0x70) & 0x40)
		dev_start(blk, 1), n = 0;
	/* no place for the status: nobody can be told */
	d(0)[0] = (struct desc){ (uint64_t)buffer[0], 16, 0, 0 };
	offer(0, 0);
	kick(blk, 0);
	n++;
	pause_a_bit(100000);
	if ((r32(blk + 0x70) & 0x40) || queues[0].used[1] != n)
		dev_start(blk, 1), n = 0;
	/* heads reused while they are in flight, and resets in the middle */
	for (int round = 0; round < 100; round++) {
		dev_start(blk, 1);
		for (unsigned int i = 0; i < QSIZE; i++)
			offer(0, (uint16_t)(rnd() % 2 ? 0 : i));
		kick(blk, 0);
		if (round % 2)
			pause_a_bit((unsigned int)(rnd() % 5000));
		w32(blk + 0x70, 0);
	}
	expect(dev_start(blk, 1) == 15, "the disk starts again");
	expect(disk_request(blk, 1, 0, 0, 4096, true) == 0, "and reads");
}

/* ---- the processor ---- */

static void ports(void)
{
	for (uint32_t p = 0; p < 0x10000; p += p < 0x1000 ? 1 : 61) {
		if (p == PORT_END || (p >= PORT_SERIAL && p < PORT_SERIAL + 8))
			continue;
		out8((uint16_t)p, 0xff);
		in8((uint16_t)p);
		if (p % 16 == 0) {
			uint64_t to = (uint64_t)buffer[0], n = 64;

			__asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(p) : "memory");
			__asm__ volatile("inl %%dx, %%eax" ::"d"(p) : "eax");
		}
	}
	rng_works("after a scan of the ports");
}

static void msrs(void)
{
	static const uint32_t base[] = { 0,	     0x100,	 0x200,	     0x400,	 0x600,
					 0x800,	     0xc80,	 0x4b564d00, 0xc0000000, 0xc0000080,
					 0xc0000100, 0xc0010000, 0xc0010100, 0xc0011000, 0x40000000 };

	for (unsigned int b = 0; b < sizeof(base) / sizeof(base[0]); b++)
		for (uint32_t i = 0; i < 128; i++) {
			uint32_t msr = base[b] + i;
			uint64_t v;

			if (rdmsr_faults(msr, &v))
				continue;
			/* those that this program stands on */
			if (msr == 0xc0000080 || msr == 0xc0000100 || msr == 0xc0000101 || msr == 0x1b ||
			    (msr >= 0x800 && msr < 0x840))
				continue;
			wrmsr_faults(msr, ~v);
			wrmsr_faults(msr, v);
			/* paravirtual areas anywhere */
			if (b == 7)
				for (unsigned int k = 0; k < NBAD; k++)
					wrmsr_faults(msr, bad_address[k] | 1);
			wrmsr_faults(msr, v);
		}
	rng_works("after a scan of the model specific registers");
}

static void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { 0, 0 };

	__asm__ volatile("lidt %0; int3" ::"m"(none));
}

static void spin(void)
{
	say("spinning\n");
	for (;;)
		__asm__ volatile("" ::: "memory");
}

static void halt(void)
{
	say("halting\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* ---- several processors at once ---- */

static volatile uint32_t aps_done;

static void ap_storm(void)
{
	seed += (uint64_t)__atomic_add_fetch(&aps_done, 1, __ATOMIC_SEQ_CST) * 977;
	storm();
	__atomic_add_fetch(&aps_done, 0x100, __ATOMIC_SEQ_CST);
}

static void smp_storm(void)
{
	uint32_t n = start_aps(4, ap_storm);

	expect(n == 3, "three more processors run");
	storm();
	while (aps_done >> 8 < n)
		pause_a_bit(1000);
	rng_works("after storms from several processors");
}

static void ap_reset(void)
{
	for (int i = 0; i < 60; i++) {
		uint64_t w = MMIO + rnd() % 4 * WINDOW;

		w32(w + 0x70, 0);
		dev_begin(w, 0);
		for (uint32_t q = 0; q < 4; q++)
			dev_queue(w, q, QSIZE, (uint64_t)queues[q].desc, (uint64_t)queues[q].avail,
				  (uint64_t)queues[q].used);
		dev_ok(w);
		for (unsigned int q = 0; q < 4; q++) {
			queues[q].desc[0] = (struct desc){ (uint64_t)buffer[q], 4096, (uint16_t)(rnd() & 2), 0 };
			offer(q, 0);
			kick(w, q);
		}
	}
	__atomic_add_fetch(&aps_done, 0x100, __ATOMIC_SEQ_CST);
}

static void smp_resets(void)
{
	uint32_t n = start_aps(4, ap_reset);

	ap_reset();
	while (aps_done >> 8 < n + 1)
		pause_a_bit(1000);
	rng_works("after resets from several processors");
}

static const struct {
	const char *name;
	void (*run)(void);
} attack[] = {
	{ "queue-outside", queue_outside },
	{ "chains", chains },
	{ "change-after-ok", change_after_ok },
	{ "race-ring", race_ring },
	{ "register-storm", register_storm },
	{ "wide-accesses", wide_accesses },
	{ "odd-instruction", odd_instruction },
	{ "notify-flood", notify_flood },
	{ "reset-storm", reset_storm },
	{ "rng-greedy", rng_greedy },
	{ "balloon-twice", balloon_twice },
	{ "vsock-host-ports", vsock_host_ports },
	{ "vsock-flood", vsock_flood },
	{ "fs-names", fs_names },
	{ "fs-lengths", fs_lengths },
	{ "disk", disk },
	{ "ports", ports },
	{ "msrs", msrs },
	{ "triple-fault", triple_fault },
	{ "spin", spin },
	{ "halt", halt },
	{ "smp-storm", smp_storm },
	{ "smp-resets", smp_resets },
};

static bool is_word(const char *at, const char *word)
{
	while (*word && *at == *word)
		at++, word++;
	return !*word && (!*at || *at == ' ');
}

int guest_main(const char *cmdline)
{
	rng = find_device(ID_RNG);
	balloon = find_device(ID_BALLOON);
	vsock = find_device(ID_VSOCK);
	fs = find_device(ID_FS);
	expect(rng && balloon && vsock && fs, "all devices are there");
	for (const char *c = cmdline; *c; c++) {
		if (c[0] == 'a' && c[1] == 't' && c[2] == 't' && c[3] == 'a' && c[4] == 'c' && c[5] == 'k' &&
		    c[6] == '=') {
			for (unsigned int i = 0; i < sizeof(attack) / sizeof(attack[0]); i++) {
				if (is_word(c + 7, attack[i].name)) {
					attack[i].run();
					return 0;
				}
			}
		}
	}
	expect(false, "the attack is known");
	say_hex(0);
	return 1;
}
