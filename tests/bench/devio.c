/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of a guest whose disk is measured: reads and writes /dev/vda without the guest's page cache, prints
 * "disk NAME NS COUNT" lines on the console, and ends the VM. It is the whole initramfs, the same for every VMM.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

#define BLOCK 4096u
#define CHUNK (1u << 20)
#define DEPTH 32u
#define RANDOM_OPS 2000u
#define CHUNKS 48u
#define POWEROFF_PORT 0x604

static int disk;
static uint64_t size;
static char *buf; /* DEPTH blocks and more */

static void __attribute__((noreturn)) end(void)
{
	fflush(stdout);
	sync();
	usleep(20000); /* the console's last bytes */
	if (ioperm(POWEROFF_PORT, 1, 1) == 0)
		outb(1, POWEROFF_PORT);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void need(int ok, const char *what)
{
	if (ok)
		return;
	printf("disk failed: %s: %s\n", what, strerror(errno));
	end();
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static off_t random_offset(void)
{
	static uint64_t x = 88172645463325252u; /* xorshift */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (off_t)(x % (size / BLOCK) * BLOCK);
}

static void report(const char *name, uint64_t begin, unsigned int count)
{
	printf("disk %s %llu %u\n", name, (unsigned long long)(now() - begin), count);
}

static void random_one(const char *name, int write)
{
	uint64_t begin = now();

	for (unsigned int i = 0; i < RANDOM_OPS; i++) {
		ssize_t n = write ? pwrite(disk, buf, BLOCK, random_offset())
				  : pread(disk, buf, BLOCK, random_offset());

		need(n == BLOCK, name);
	}
	report(name, begin, RANDOM_OPS);
}

static void random_many(const char *name)
{
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	unsigned int begun = 0, done = 0;
	uint64_t begin;

	need(io_uring_queue_init(2 * DEPTH, &ring, 0) == 0, "io_uring");
	begin = now();
	while (done < RANDOM_OPS) {
		while (begun < RANDOM_OPS && begun - done < DEPTH) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

			io_uring_prep_read(sqe, disk, buf + (begun % DEPTH) * BLOCK, BLOCK, (uint64_t)random_offset());
			begun++;
		}
		io_uring_submit_and_wait(&ring, 1);
		while (io_uring_peek_cqe(&ring, &cqe) == 0) {
			need(cqe->res == BLOCK, name);
			io_uring_cqe_seen(&ring, cqe);
			done++;
		}
	}
	report(name, begin, RANDOM_OPS);
	io_uring_queue_exit(&ring);
}

static void sequential(const char *name, int write)
{
	uint64_t begin = now();

	for (unsigned int i = 0; i < CHUNKS; i++) {
		off_t at = (off_t)i * CHUNK;
		ssize_t n = write ? pwrite(disk, buf, CHUNK, at) : pread(disk, buf, CHUNK, at);

		need(n == CHUNK, name);
	}
	report(name, begin, CHUNKS);
}

static void flushes(const char *name)
{
	const unsigned int count = 200;
	uint64_t begin = now();

	for (unsigned int i = 0; i < count; i++)
		need(pwrite(disk, buf, BLOCK, random_offset()) == BLOCK && fdatasync(disk) == 0, name);
	report(name, begin, count);
}

int main(void)
{
	int console;

	mkdir("/dev", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	console = open("/dev/hvc0", O_WRONLY);
	if (console >= 0)
		dup2(console, 1);
	disk = open("/dev/vda", O_RDWR | O_DIRECT);
	need(disk >= 0, "/dev/vda");
	need(ioctl(disk, BLKGETSIZE64, &size) == 0 && size >= (uint64_t)CHUNKS * CHUNK, "its size");
	need(posix_memalign((void **)&buf, CHUNK, CHUNK) == 0, "memory");
	memset(buf, 0x5a, CHUNK);
	sequential("warm", 0);
	random_one("random-read-1", 0);
	random_many("random-read-32");
	random_one("random-write-1", 1);
	flushes("write-flush");
	sequential("sequential-read", 0);
	sequential("sequential-write", 1);
	end();
}
