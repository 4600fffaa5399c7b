/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of mapped files.
 */
#include "suite.h"

#include <signal.h>
#include <sys/mman.h>

#define PAGE 4096

static char *map(int fd, size_t len, int prot, int flags)
{
	void *p = mmap(NULL, len, prot, flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

PROPERTY(shared_maps_are_the_file)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);
	char buf[8];
	char *p;

	EQ(ftruncate(fd, 2 * PAGE), 0);
	p = map(fd, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	NEED(p);
	memcpy(p + 100, "mapped", 6);
	EQ(pread(fd, buf, 6, 100), 6);
	EQ(memcmp(buf, "mapped", 6), 0);
	EQ(pwrite(fd, "written", 7, PAGE), 7);
	EQ(memcmp(p + PAGE, "written", 7), 0);
	EQ(msync(p, 2 * PAGE, MS_SYNC), 0);
	EQ(munmap(p, 2 * PAGE), 0);
	close(fd);
	fd = open("f", O_RDONLY);
	EQ(pread(fd, buf, 6, 100), 6);
	EQ(memcmp(buf, "mapped", 6), 0);
}

PROPERTY(dirty_pages_survive_close_and_unmap)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);
	char *p;

	EQ(ftruncate(fd, 64 * PAGE), 0);
	p = map(fd, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	NEED(p);
	close(fd); /* the map holds the file */
	for (int n = 0; n < 64; n++)
		p[n * PAGE + n] = (char)('0' + n);
	EQ(munmap(p, 64 * PAGE), 0);
	fd = open("f", O_RDONLY);
	for (int n = 0; n < 64; n++) {
		char c = 0;

		EQ(pread(fd, &c, 1, n * PAGE + n), 1);
		EQ(c, '0' + n);
	}
}

PROPERTY(dirty_pages_go_where_they_belong_despite_append)
{
	int a, fd;
	char *p, buf[8];

	make_file("f", "0123456789");
	a = open("f", O_WRONLY | O_APPEND); /* opened first, so writeback may pick it */
	fd = open("f", O_RDWR);
	p = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	NEED(p);
	memcpy(p, "ABC", 3);
	EQ(msync(p, PAGE, MS_SYNC), 0);
	EQ(write(a, "end", 3), 3);
	EQ(munmap(p, PAGE), 0);
	EQ(fsync(fd), 0);
	OK(has_text("f", "ABC3456789end"));
	EQ(stat_of("f").st_size, 13);
	EQ(pread(fd, buf, 8, 0), 8);
}

PROPERTY(private_maps_are_copies)
{
	int fd;
	char *p, buf[4];

	make_file("f", "original");
	fd = open("f", O_RDONLY);
	p = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	NEED(p);
	EQ(memcmp(p, "original", 8), 0);
	memcpy(p, "CHANGED!", 8);
	EQ(pread(fd, buf, 4, 0), 4);
	EQ(memcmp(buf, "orig", 4), 0);
	EQ(p[8], 0); /* behind the end, within the page */
	OK(has_text("f", "original"));
}

static int write_map(void *arg)
{
	int fd = open("f", O_RDWR);
	char *p = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);

	(void)arg;
	if (!p)
		return 1;
	p[10] = 'x';
	return 0;
}

PROPERTY(maps_of_processes_are_one)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);
	char *p;

	EQ(ftruncate(fd, PAGE), 0);
	p = map(fd, PAGE, PROT_READ, MAP_SHARED);
	NEED(p);
	EQ(p[10], 0);
	EQ(in_child(write_map, NULL), 0);
	EQ(p[10], 'x');
}

static int touch_behind_end(void *arg)
{
	int fd = open("f", O_RDWR);
	volatile char *p = map(fd, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);

	(void)arg;
	if (!p)
		return 1;
	p[PAGE - 1] = 'a'; /* in the last page: fine */
	p[PAGE] = 'b';
	return 0;
}

PROPERTY(touching_behind_the_end_is_sigbus)
{
	make_file("f", "short");
	EQ(in_child(touch_behind_end, NULL), 256 + SIGBUS);
}

PROPERTY(maps_follow_truncation)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);
	char *p;

	EQ(ftruncate(fd, 4 * PAGE), 0);
	p = map(fd, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	NEED(p);
	memset(p, 'z', 4 * PAGE);
	EQ(ftruncate(fd, PAGE + 10), 0);
	EQ(ftruncate(fd, 4 * PAGE), 0);
	EQ(p[PAGE + 9], 'z');
	EQ(p[PAGE + 10], 0);
	EQ(p[2 * PAGE], 0);
	p[3 * PAGE] = 'y';
	EQ(p[3 * PAGE], 'y');
}

PROPERTY(map_rights_follow_the_open_mode)
{
	int fd;

	make_file("f", "x");
	fd = open("f", O_RDONLY);
	errno = 0;
	OK(!map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED) && errno == EACCES);
	OK(map(fd, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE));
	fd = open("f", O_WRONLY);
	errno = 0;
	OK(!map(fd, PAGE, PROT_WRITE, MAP_SHARED) && errno == EACCES);
	fd = open(".", O_RDONLY);
	errno = 0;
	OK(!map(fd, PAGE, PROT_READ, MAP_SHARED) && errno == ENODEV);
}

PROPERTY(a_map_outlives_the_name)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);
	char *p;

	EQ(ftruncate(fd, PAGE), 0);
	p = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	NEED(p);
	close(fd);
	EQ(unlink("f"), 0);
	memcpy(p, "gone", 4);
	EQ(msync(p, PAGE, MS_SYNC), 0);
	EQ(memcmp(p, "gone", 4), 0);
	make_file("f", "new");
	EQ(memcmp(p, "gone", 4), 0);
}

PROPERTY(large_maps_read_and_write_everywhere)
{
	const size_t len = 8u << 20;
	int fd = open("f", O_RDWR | O_CREAT, 0644), bad = 0;
	uint8_t buf[PAGE];
	char *p;

	EQ(ftruncate(fd, (off_t)len), 0);
	p = map(fd, len, PROT_READ | PROT_WRITE, MAP_SHARED);
	NEED(p);
	for (size_t n = 0; n < len; n += PAGE)
		fill((uint8_t *)p + n, PAGE, (unsigned int)n);
	EQ(msync(p, len, MS_SYNC), 0);
	EQ(madvise(p, len, MADV_DONTNEED), 0);
	for (size_t n = 0; n < len; n += PAGE) {
		fill(buf, PAGE, (unsigned int)n);
		bad += memcmp(buf, p + n, PAGE) != 0;
	}
	EQ(bad, 0);
	EQ(munmap(p, len), 0);
	for (size_t n = 0; n < len; n += 37 * PAGE) {
		uint8_t got[PAGE];

		fill(buf, PAGE, (unsigned int)n);
		EQ(pread(fd, got, PAGE, (off_t)n), PAGE);
		bad += memcmp(buf, got, PAGE) != 0;
	}
	EQ(bad, 0);
}
