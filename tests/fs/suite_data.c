/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of file data: reads and writes, ends of files, holes, space, copies, open flags.
 */
#include "suite.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

static uint8_t a[3 << 20], b[3 << 20];

PROPERTY(bytes_written_are_bytes_read)
{
	static const size_t sizes[] = { 1, 511, 4095, 4096, 4097, 65536, 1048576, 1048577, 3 << 20 };
	int fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0644);

	NEED(fd >= 0);
	for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
		fill(a, sizes[n], (unsigned int)n);
		EQ(pwrite(fd, a, sizes[n], 12345), sizes[n]);
		EQ(pread(fd, b, sizes[n], 12345), sizes[n]);
		EQ(memcmp(a, b, sizes[n]), 0);
	}
	close(fd);
	/* and after the file was closed */
	fd = open("f", O_RDONLY);
	EQ(pread(fd, b, 3 << 20, 12345), 3 << 20);
	EQ(memcmp(a, b, 3 << 20), 0);
	close(fd);
}

PROPERTY(read_at_and_behind_the_end_is_short_or_zero)
{
	int fd;

	make_file("f", "0123456789");
	fd = open("f", O_RDONLY);
	EQ(pread(fd, b, 100, 4), 6);
	EQ(memcmp(b, "456789", 6), 0);
	EQ(pread(fd, b, 100, 10), 0);
	EQ(pread(fd, b, 100, 1 << 30), 0);
	EQ(lseek(fd, 0, SEEK_END), 10);
	EQ(read(fd, b, 1), 0);
	FAILS(pread(fd, b, 1, -1), EINVAL);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
}

PROPERTY(small_writes_add_up)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	NEED(fd >= 0);
	fill(a, 2000, 1);
	for (size_t n = 0; n < 2000; n += 7)
		EQ(write(fd, a + n, n + 7 > 2000 ? 2000 - n : 7), n + 7 > 2000 ? 2000 - n : 7);
	EQ(stat_of("f").st_size, 2000);
	EQ(pread(fd, b, 2000, 0), 2000);
	EQ(memcmp(a, b, 2000), 0);
}

PROPERTY(vectored_io_gathers_and_scatters)
{
	struct iovec out[3] = { { "abc", 3 }, { "", 0 }, { "defgh", 5 } };
	char x[2], y[20];
	struct iovec in[2] = { { x, 2 }, { y, 20 } };
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	EQ(writev(fd, out, 3), 8);
	EQ(pwritev(fd, out, 3, 100), 8);
	EQ(preadv(fd, in, 2, 0), 22);
	EQ(memcmp(x, "ab", 2), 0);
	EQ(memcmp(y, "cdefgh", 6), 0);
	EQ(preadv(fd, in, 2, 100), 8);
}

PROPERTY(append_always_writes_at_the_end)
{
	int fd = open("f", O_WRONLY | O_CREAT | O_APPEND, 0644), other;

	EQ(write(fd, "one", 3), 3);
	other = open("f", O_WRONLY);
	EQ(pwrite(other, "TWO", 3, 3), 3);
	EQ(write(fd, "three", 5), 5);
	OK(has_text("f", "oneTWOthree"));
	EQ(lseek(fd, 0, SEEK_SET), 0);
	EQ(write(fd, "!", 1), 1);
	OK(has_text("f", "oneTWOthree!"));
	/* also when the flag comes later */
	EQ(fcntl(other, F_SETFL, O_APPEND), 0);
	EQ(write(other, "?", 1), 1);
	OK(has_text("f", "oneTWOthree!?"));
}

static int append_lines(void *arg)
{
	int fd = open("log", O_WRONLY | O_APPEND);
	char line[64];

	for (int n = 0; n < 50; n++) {
		int len = snprintf(line, sizeof(line), "process %d line %03d\n", *(int *)arg, n);

		if (write(fd, line, (size_t)len) != len)
			return 1;
	}
	return 0;
}

PROPERTY(lines_appended_by_processes_at_once_are_all_there)
{
	pid_t pid[4];
	int id[4], fd;
	ssize_t n;

	make_file("log", "");
	for (int k = 0; k < 4; k++) {
		id[k] = k;
		pid[k] = start_child(append_lines, &id[k]);
	}
	for (int k = 0; k < 4; k++)
		EQ(end_child(pid[k]), 0);
	fd = open("log", O_RDONLY);
	n = read(fd, b, sizeof(b) - 1);
	EQ(n, 4 * 50 * 19);
	b[n] = 0;
	for (int k = 0; k < 4; k++) {
		int lines = 0;
		char want[32];

		for (int l = 0; l < 50; l++) {
			snprintf(want, sizeof(want), "process %d line %03d\n", k, l);
			lines += strstr((char *)b, want) != NULL;
		}
		EQ(lines, 50);
	}
}

PROPERTY(truncate_cuts_and_extends_with_zeros)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	fill(a, 10000, 3);
	EQ(write(fd, a, 10000), 10000);
	EQ(ftruncate(fd, 5000), 0);
	EQ(stat_of("f").st_size, 5000);
	EQ(pread(fd, b, 10000, 0), 5000);
	EQ(ftruncate(fd, 9000), 0);
	EQ(pread(fd, b, 10000, 0), 9000);
	EQ(memcmp(a, b, 5000), 0);
	for (int n = 5000; n < 9000; n++)
		if (b[n]) {
			EQ(b[n], 0);
			break;
		}
	EQ(truncate("f", 3), 0);
	EQ(pread(fd, b, 10, 0), 3);
	FAILS(truncate("f", -1), EINVAL);
	FAILS(truncate("none", 0), ENOENT);
	FAILS(truncate(".", 0), EISDIR);
	close(fd);
	fd = open("f", O_RDONLY);
	FAILS(ftruncate(fd, 0), EINVAL);
}

PROPERTY(open_with_trunc_empties)
{
	int fd;

	make_file("f", "0123456789");
	fd = open("f", O_WRONLY | O_TRUNC);
	OK(fd >= 0);
	EQ(stat_of("f").st_size, 0);
	EQ(write(fd, "x", 1), 1);
	OK(has_text("f", "x"));
}

PROPERTY(exclusive_creation_has_one_winner)
{
	int fd = open("f", O_WRONLY | O_CREAT | O_EXCL, 0600);

	OK(fd >= 0);
	FAILS(open("f", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	EQ(symlink("nowhere", "l"), 0);
	FAILS(open("l", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	OK(open("l", O_WRONLY | O_CREAT, 0600) >= 0); /* without it, through the link */
	EQ(access("nowhere", F_OK), 0);
}

PROPERTY(files_larger_than_4_gib)
{
	const off_t far = (off_t)(5ll << 30);
	int fd = open("big", O_RDWR | O_CREAT, 0644);

	SKIP_IF(ftruncate(fd, far) && (errno == EFBIG || errno == EINVAL), "no large files");
	EQ(pwrite(fd, "end", 3, far), 3);
	EQ(stat_of("big").st_size, far + 3);
	OK(stat_of("big").st_blocks < 10000);
	EQ(pread(fd, b, 10, far), 3);
	EQ(memcmp(b, "end", 3), 0);
	EQ(pread(fd, b, 4096, 1ll << 32), 4096);
	EQ(b[0] | b[4095], 0);
	EQ(lseek(fd, 0, SEEK_END), far + 3);
}

PROPERTY(holes_and_data_are_found)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);
	off_t data;

	EQ(ftruncate(fd, 1 << 20), 0);
	EQ(pwrite(fd, "x", 1, 512 << 10), 1);
	EQ(fsync(fd), 0);
	data = lseek(fd, 0, SEEK_DATA);
	SKIP_IF(data == 0, "the file system doesn't tell holes");
	OK(data > 0 && data <= 512 << 10);
	EQ(lseek(fd, 0, SEEK_HOLE), 0);
	OK(lseek(fd, 512 << 10, SEEK_HOLE) > 512 << 10);
	OK(lseek(fd, 512 << 10, SEEK_HOLE) <= 1 << 20);
	FAILS(lseek(fd, 1 << 20, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, 1 << 20, SEEK_HOLE), ENXIO);
}

PROPERTY(fallocate_reserves_keeps_size_and_punches)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	SKIP_IF(fallocate(fd, 0, 0, 65536) && errno == EOPNOTSUPP, "no fallocate");
	EQ(stat_of("f").st_size, 65536);
	OK(stat_of("f").st_blocks >= 128);
	EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 131072), 0);
	EQ(stat_of("f").st_size, 65536);
	fill(a, 65536, 5);
	EQ(pwrite(fd, a, 65536, 0), 65536);
	EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 4096, 8192), 0);
	EQ(pread(fd, b, 65536, 0), 65536);
	EQ(memcmp(a, b, 4096), 0);
	EQ(b[4096] | b[8192] | b[12287], 0);
	EQ(memcmp(a + 12288, b + 12288, 65536 - 12288), 0);
	EQ(stat_of("f").st_size, 65536);
	FAILS(fallocate(fd, 0, -1, 10), EINVAL);
	FAILS(fallocate(fd, 0, 0, 0), EINVAL);
	close(fd);
	fd = open("f", O_RDONLY);
	FAILS(fallocate(fd, 0, 0, 10), EBADF);
}

PROPERTY(zero_range_zeroes)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	fill(a, 65536, 6);
	EQ(pwrite(fd, a, 65536, 0), 65536);
	SKIP_IF(fallocate(fd, FALLOC_FL_ZERO_RANGE, 100, 5000) && errno == EOPNOTSUPP, "no FALLOC_FL_ZERO_RANGE");
	EQ(pread(fd, b, 65536, 0), 65536);
	EQ(memcmp(a, b, 100), 0);
	EQ(b[100] | b[2000] | b[5099], 0);
	EQ(memcmp(a + 5100, b + 5100, 60436), 0);
}

PROPERTY(copy_file_range_copies_between_offsets)
{
	int in, out = open("out", O_RDWR | O_CREAT, 0644);
	off_t from = 4, to = 2;
	ssize_t n;

	make_file("in", "0123456789");
	in = open("in", O_RDONLY);
	n = copy_file_range(in, &from, out, &to, 100, 0);
	SKIP_IF(n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EXDEV), "no copy_file_range");
	EQ(n, 6);
	EQ(from, 10);
	EQ(to, 8);
	EQ(pread(out, b, 100, 0), 8);
	EQ(memcmp(b, "\0\000456789", 8), 0);
	from = 100;
	EQ(copy_file_range(in, &from, out, &to, 100, 0), 0);
	FAILS(copy_file_range(out, &from, in, &to, 1, 0), EBADF);
}

PROPERTY(a_large_copy_is_exact)
{
	int in = open("in", O_RDWR | O_CREAT, 0644), out = open("out", O_RDWR | O_CREAT, 0644);
	off_t from = 0, to = 0;
	ssize_t n;

	fill(a, sizeof(a), 9);
	EQ(write(in, a, sizeof(a)), sizeof(a));
	while (from < (off_t)sizeof(a) && (n = copy_file_range(in, &from, out, &to, sizeof(a), 0)) > 0)
		;
	SKIP_IF(from == 0, "no copy_file_range");
	EQ(to, sizeof(a));
	EQ(pread(out, b, sizeof(b), 0), sizeof(b));
	EQ(memcmp(a, b, sizeof(a)), 0);
}

PROPERTY(sendfile_and_splice_move_data)
{
	int in, out = open("out", O_RDWR | O_CREAT, 0644), p[2];

	make_file("in", "spliced data");
	in = open("in", O_RDONLY);
	EQ(sendfile(out, in, NULL, 100), 12);
	NEED(pipe(p) == 0);
	EQ(lseek(in, 0, SEEK_SET), 0);
	EQ(splice(in, NULL, p[1], NULL, 100, 0), 12);
	EQ(splice(p[0], NULL, out, NULL, 12, 0), 12);
	OK(has_text("out", "spliced dataspliced data"));
}

PROPERTY(direct_io_is_coherent_with_cached_io)
{
	int d = open("f", O_RDWR | O_CREAT | O_DIRECT, 0644), c;
	uint8_t *buf = aligned_alloc(4096, 65536);

	SKIP_IF(d < 0 && errno == EINVAL, "no O_DIRECT");
	c = open("f", O_RDWR);
	fill(buf, 65536, 7);
	EQ(pwrite(d, buf, 65536, 0), 65536);
	EQ(pread(c, b, 65536, 0), 65536);
	EQ(memcmp(buf, b, 65536), 0);
	EQ(pwrite(c, "cached", 6, 4096), 6);
	EQ(fsync(c), 0);
	EQ(pread(d, buf, 4096, 4096), 4096);
	EQ(memcmp(buf, "cached", 6), 0);
	EQ(pread(d, buf, 4096, 65536), 0);
}

PROPERTY(access_modes_are_kept)
{
	int fd;

	make_file("f", "x");
	fd = open("f", O_RDONLY);
	FAILS(write(fd, "y", 1), EBADF);
	close(fd);
	fd = open("f", O_WRONLY);
	FAILS(read(fd, b, 1), EBADF);
	EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
	close(fd);
	fd = open("f", O_PATH);
	OK(fd >= 0);
	FAILS(read(fd, b, 1), EBADF);
	close(fd);
	FAILS(open(".", O_WRONLY), EISDIR);
	FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open("f/x", O_RDONLY), ENOTDIR);
	FAILS(open("none", O_RDONLY), ENOENT);
	fd = open(".", O_RDONLY);
	FAILS(read(fd, b, 1), EISDIR);
}

PROPERTY(synchronous_writes_and_syncs_succeed)
{
	int fd = open("f", O_RDWR | O_CREAT | O_SYNC, 0644), dir = open(".", O_RDONLY | O_DIRECTORY);

	EQ(write(fd, "sync", 4), 4);
	EQ(fsync(fd), 0);
	EQ(fdatasync(fd), 0);
	EQ(fsync(dir), 0);
	EQ(syncfs(fd), 0);
	EQ(sync_file_range(fd, 0, 4, SYNC_FILE_RANGE_WRITE), 0);
	close(fd);
	fd = open("f", O_WRONLY | O_DSYNC | O_APPEND);
	EQ(write(fd, "ed", 2), 2);
	OK(has_text("f", "synced"));
}

PROPERTY(two_descriptors_see_the_same_bytes)
{
	int w = open("f", O_RDWR | O_CREAT, 0644), r = open("f", O_RDONLY), d = dup(w);

	for (int n = 0; n < 20; n++) {
		char c = (char)('a' + n);

		EQ(pwrite(w, &c, 1, n * 1000), 1);
		EQ(pread(r, b, 1, n * 1000), 1);
		EQ(b[0], c);
	}
	EQ(lseek(w, 77, SEEK_SET), 77);
	EQ(lseek(d, 0, SEEK_CUR), 77); /* dup shares the offset, open doesn't */
	EQ(lseek(r, 0, SEEK_CUR), 0);
}

static int write_byte(void *arg)
{
	int fd = open("f", O_WRONLY);

	return pwrite(fd, arg, 1, 0) != 1;
}

PROPERTY(a_write_of_another_process_is_seen_at_once)
{
	int fd;

	make_file("f", "-");
	fd = open("f", O_RDONLY);
	for (int n = 0; n < 10; n++) {
		char c = (char)('a' + n), got = 0;

		EQ(in_child(write_byte, &c), 0);
		EQ(pread(fd, &got, 1, 0), 1);
		EQ(got, c);
	}
}
