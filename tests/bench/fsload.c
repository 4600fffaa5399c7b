/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsload WORK DIR: one kind of file work in DIR, for the bench. `fsload make DIR` prepares what the others read, on the
 * host; whoever measures takes the cost of `fsload nothing DIR` off.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (32u << 20) /* of the large file */
#define BLOCK (1u << 20)
#define SMALL 4096u
#define TIMES 2000u
#define DIRS 10u
#define FILES 30u /* in each directory of the tree */
#define STORM 300u

static char buf[BLOCK];

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "fsload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_or_die(const char *name, int flags)
{
	int fd = open(name, flags, 0644);

	if (fd < 0)
		die(name);
	return fd;
}

static void put(const char *name, size_t size)
{
	int fd = open_or_die(name, O_WRONLY | O_CREAT | O_TRUNC);

	for (size_t n = 0; n<size; n += n + BLOCK> size ? size - n : BLOCK)
		if (write(fd, buf, n + BLOCK > size ? size - n : BLOCK) < 0)
			die(name);
	close(fd);
}

static void work_make(void)
{
	char name[64];

	memset(buf, 'x', sizeof(buf));
	put("large", SIZE);
	for (unsigned int d = 0; d < DIRS; d++) {
		snprintf(name, sizeof(name), "tree%u", d);
		if (mkdir(name, 0755) && errno != EEXIST)
			die(name);
		for (unsigned int f = 0; f < FILES; f++) {
			snprintf(name, sizeof(name), "tree%u/file%u", d, f);
			put(name, 2000);
		}
	}
}

static void work_nothing(void)
{
}

static void work_write(void)
{
	int fd = open_or_die("new", O_WRONLY | O_CREAT | O_TRUNC);

	for (unsigned int n = 0; n < SIZE; n += BLOCK)
		if (write(fd, buf, BLOCK) != BLOCK)
			die("write");
	if (fsync(fd))
		die("fsync");
	close(fd);
}

static void work_read(void)
{
	int fd = open_or_die("large", O_RDONLY);

	for (unsigned int n = 0; n < SIZE; n += BLOCK)
		if (read(fd, buf, BLOCK) != BLOCK)
			die("read");
	close(fd);
}

static off_t somewhere(void)
{
	static unsigned int x = 1;

	x = x * 1103515245u + 12345u;
	return (off_t)(x / 65536u % (SIZE / SMALL)) * SMALL;
}

static void work_random_read(void)
{
	int fd = open_or_die("large", O_RDONLY);

	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (unsigned int n = 0; n < TIMES; n++)
		if (pread(fd, buf, SMALL, somewhere()) != SMALL)
			die("pread");
	close(fd);
}

static void work_random_write(void)
{
	int fd = open_or_die("large", O_WRONLY);

	for (unsigned int n = 0; n < TIMES; n++)
		if (pwrite(fd, buf, SMALL, somewhere()) != SMALL)
			die("pwrite");
	close(fd);
}

static void work_map(void)
{
	int fd = open_or_die("large", O_RDONLY);
	const volatile char *p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die("mmap");
	for (unsigned int n = 0; n < SIZE; n += SMALL)
		(void)p[n];
	close(fd);
}

static void work_append(void)
{
	int fd = open_or_die("log", O_WRONLY | O_CREAT | O_APPEND);

	for (unsigned int n = 0; n < TIMES; n++)
		if (write(fd, buf, 100) != 100)
			die("write");
	close(fd);
}

static void work_metadata(void)
{
	char a[32], b[32];
	struct stat st;

	for (unsigned int n = 0; n < STORM; n++) {
		snprintf(a, sizeof(a), "storm%u", n);
		close(open_or_die(a, O_WRONLY | O_CREAT | O_EXCL));
	}
	for (unsigned int n = 0; n < STORM; n++) {
		snprintf(a, sizeof(a), "storm%u", n);
		snprintf(b, sizeof(b), "renamed%u", n);
		if (stat(a, &st) || chmod(a, 0600) || rename(a, b) || unlink(b))
			die(a);
	}
}

static void work_copy_tree(void)
{
	char from[300], to[300];

	for (unsigned int d = 0; d < DIRS; d++) {
		struct dirent *e;
		DIR *dir;

		snprintf(from, sizeof(from), "tree%u", d);
		snprintf(to, sizeof(to), "copy%u", d);
		dir = opendir(from);
		if (!dir || mkdir(to, 0755))
			die(to);
		while ((e = readdir(dir))) {
			int in, out;
			ssize_t n;

			if (e->d_name[0] == '.')
				continue;
			snprintf(from, sizeof(from), "tree%u/%.200s", d, e->d_name);
			snprintf(to, sizeof(to), "copy%u/%.200s", d, e->d_name);
			in = open_or_die(from, O_RDONLY);
			out = open_or_die(to, O_WRONLY | O_CREAT | O_EXCL);
			while ((n = read(in, buf, 65536)) > 0)
				if (write(out, buf, (size_t)n) != n)
					die(to);
			close(in);
			close(out);
		}
		closedir(dir);
	}
}

static void work_walk(void)
{
	char name[300];
	struct stat st;

	for (int again = 0; again < 3; again++) {
		for (unsigned int d = 0; d < DIRS; d++) {
			struct dirent *e;
			DIR *dir;

			snprintf(name, sizeof(name), "tree%u", d);
			dir = opendir(name);
			if (!dir)
				die(name);
			while ((e = readdir(dir))) {
				snprintf(name, sizeof(name), "tree%u/%.200s", d, e->d_name);
				if (lstat(name, &st))
					die(name);
			}
			closedir(dir);
		}
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} works[] = {
		{ "make", work_make },
		{ "nothing", work_nothing },
		{ "write", work_write },
		{ "read", work_read },
		{ "random-read", work_random_read },
		{ "random-write", work_random_write },
		{ "map", work_map },
		{ "append", work_append },
		{ "metadata", work_metadata },
		{ "copy-tree", work_copy_tree },
		{ "walk", work_walk },
	};

	if (argc == 3 && chdir(argv[2]))
		die(argv[2]);
	for (size_t k = 0; argc == 3 && k < sizeof(works) / sizeof(works[0]); k++) {
		if (strcmp(argv[1], works[k].name) == 0) {
			works[k].run();
			return 0;
		}
	}
	fprintf(stderr, "usage: fsload WORK DIR\n");
	return 2;
}
