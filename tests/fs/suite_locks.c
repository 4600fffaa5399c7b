/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of locks, and of files that are more than data: programs, fifos, sockets, devices; and of watching.
 */
#include "suite.h"

#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

static int set_lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	return fcntl(fd, cmd, &fl);
}

struct range {
	short type;
	off_t start, len;
};

/* 0: granted, else errno. In a child, so another owner. */
static int try_posix(void *arg)
{
	struct range *r = arg;
	int fd = open("f", O_RDWR);

	return set_lock(fd, F_SETLK, r->type, r->start, r->len) ? errno : 0;
}

#define OTHER(t, s, l) in_child(try_posix, &(struct range){ t, s, l })

PROPERTY(posix_locks_are_of_processes_and_ranges)
{
	int fd, again;

	make_file("f", "0123456789");
	fd = open("f", O_RDWR);
	EQ(set_lock(fd, F_SETLK, F_WRLCK, 0, 10), 0);
	EQ(OTHER(F_WRLCK, 5, 1), EAGAIN);
	EQ(OTHER(F_RDLCK, 9, 0), EAGAIN);
	EQ(OTHER(F_WRLCK, 10, 0), 0);
	EQ(set_lock(fd, F_SETLK, F_UNLCK, 3, 3), 0); /* a hole in the middle */
	EQ(OTHER(F_WRLCK, 3, 3), 0);
	EQ(OTHER(F_WRLCK, 2, 2), EAGAIN);
	EQ(set_lock(fd, F_SETLK, F_RDLCK, 0, 10), 0);
	EQ(OTHER(F_RDLCK, 0, 10), 0);
	EQ(OTHER(F_WRLCK, 0, 10), EAGAIN);
	/* any close of the file by the process ends them */
	again = open("f", O_RDONLY);
	close(again);
	EQ(OTHER(F_WRLCK, 0, 10), 0);
}

PROPERTY(posix_locks_need_the_access_mode)
{
	int fd;

	make_file("f", "x");
	fd = open("f", O_RDONLY);
	FAILS(set_lock(fd, F_SETLK, F_WRLCK, 0, 0), EBADF);
	EQ(set_lock(fd, F_SETLK, F_RDLCK, 0, 0), 0);
	fd = open("f", O_WRONLY);
	FAILS(set_lock(fd, F_SETLK, F_RDLCK, 0, 0), EBADF);
	EQ(set_lock(fd, F_SETLK, F_WRLCK, 0, 0), 0);
}

/* Status: 1 when the conflicting lock is what the parent (arg) holds. */
static int ask_lock(void *arg)
{
	struct flock fl = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 100 };
	int fd = open("f", O_RDWR);

	if (fcntl(fd, F_GETLK, &fl))
		return 2;
	if (fl.l_type == F_UNLCK)
		return 0;
	return fl.l_type == F_WRLCK && fl.l_start == 4 && fl.l_len == 2 && fl.l_pid == *(pid_t *)arg ? 1 : 3;
}

PROPERTY(getlk_tells_who_holds_what)
{
	pid_t me = getpid();
	int fd;

	make_file("f", "0123456789");
	fd = open("f", O_RDWR);
	EQ(in_child(ask_lock, &me), 0);
	EQ(set_lock(fd, F_SETLK, F_WRLCK, 4, 2), 0);
	EQ(in_child(ask_lock, &me), 1);
	EQ(set_lock(fd, F_SETLK, F_UNLCK, 0, 0), 0);
	EQ(in_child(ask_lock, &me), 0);
}

static int hold_for_a_while(void *arg)
{
	int fd = open("f", O_RDWR);

	if (set_lock(fd, F_SETLK, F_WRLCK, 0, 0) || write(*(int *)arg, "x", 1) != 1)
		return 1;
	usleep(300000);
	return pwrite(fd, "child", 5, 0) != 5;
}

PROPERTY(a_waiting_lock_comes_when_the_holder_ends)
{
	int p[2], fd;
	int64_t start;
	pid_t pid;
	char c;

	make_file("f", "     ");
	NEED(pipe(p) == 0);
	pid = start_child(hold_for_a_while, &p[1]);
	EQ(read(p[0], &c, 1), 1);
	fd = open("f", O_RDWR);
	start = ms_now();
	EQ(set_lock(fd, F_SETLKW, F_WRLCK, 0, 0), 0);
	OK(ms_now() - start >= 200);
	OK(has_text("f", "child"));
	EQ(end_child(pid), 0);
}

static int try_flock(void *arg)
{
	int fd = open("f", O_RDONLY);

	return flock(fd, *(int *)arg | LOCK_NB) ? errno : 0;
}

PROPERTY(flock_is_of_open_files)
{
	int sh = LOCK_SH, ex = LOCK_EX, fd, other;

	make_file("f", "");
	fd = open("f", O_RDONLY);
	EQ(flock(fd, LOCK_SH), 0);
	EQ(in_child(try_flock, &sh), 0);
	EQ(in_child(try_flock, &ex), EAGAIN);
	EQ(flock(fd, LOCK_EX), 0);
	EQ(in_child(try_flock, &sh), EAGAIN);
	other = open("f", O_RDONLY);
	FAILS(flock(other, LOCK_EX | LOCK_NB), EAGAIN); /* in the same process */
	close(dup(fd));					/* a copy of the descriptor */
	EQ(in_child(try_flock, &sh), EAGAIN);
	close(fd);
	EQ(flock(other, LOCK_EX | LOCK_NB), 0);
	EQ(flock(other, LOCK_UN), 0);
	EQ(in_child(try_flock, &ex), 0);
}

PROPERTY(open_file_description_locks)
{
	int a, b;

	make_file("f", "0123456789");
	a = open("f", O_RDWR);
	b = open("f", O_RDWR);
	SKIP_IF(set_lock(a, F_OFD_SETLK, F_WRLCK, 0, 5) && errno == EINVAL, "no OFD locks");
	FAILS(set_lock(b, F_OFD_SETLK, F_WRLCK, 4, 1), EAGAIN);
	EQ(set_lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), 0);
	EQ(OTHER(F_WRLCK, 5, 1), EAGAIN);
	close(a);
	EQ(set_lock(b, F_OFD_SETLK, F_WRLCK, 0, 0), 0);
	close(b);
	EQ(OTHER(F_WRLCK, 0, 0), 0);
}

static int count_under_lock(void *arg)
{
	int fd = open("counter", O_RDWR);

	for (int n = 0; n < 25; n++) {
		char buf[16] = "";

		if (*(int *)arg ? flock(fd, LOCK_EX) : set_lock(fd, F_SETLKW, F_WRLCK, 0, 0))
			return 1;
		if (pread(fd, buf, 15, 0) <= 0)
			return 2;
		snprintf(buf, sizeof(buf), "%08d", atoi(buf) + 1);
		if (pwrite(fd, buf, 8, 0) != 8)
			return 3;
		if (*(int *)arg ? flock(fd, LOCK_UN) : set_lock(fd, F_SETLK, F_UNLCK, 0, 0))
			return 4;
	}
	return 0;
}

PROPERTY(locks_protect_a_counter)
{
	for (int kind = 0; kind < 2; kind++) {
		pid_t pid[4];

		make_file("counter", "00000000");
		for (int k = 0; k < 4; k++)
			pid[k] = start_child(count_under_lock, &kind);
		for (int k = 0; k < 4; k++)
			EQ(end_child(pid[k]), 0);
		OK(has_text("counter", "00000100"));
	}
}

/* ---- programs ---- */

/* A copy of this program under another name; arg: its mode. */
static bool copy_self(const char *to, mode_t mode)
{
	static char buf[1 << 16];
	int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_CREAT | O_WRONLY, mode);
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			return false;
	close(in);
	return close(out) == 0 && n == 0;
}

static int run_it(void *arg)
{
	int null = open("/dev/null", O_WRONLY);

	dup2(null, 1);
	execl(arg, "fs_suite", "-l", (char *)NULL);
	return errno;
}

PROPERTY(programs_can_be_run)
{
	SKIP_IF(!copy_self("prog", 0755), "cannot copy itself");
	EQ(in_child(run_it, "./prog"), 0);
	EQ(chmod("prog", 0644), 0);
	EQ(in_child(run_it, "./prog"), EACCES);
	make_file("script", "#!/proc/self/exe -l\n");
	EQ(chmod("script", 0755), 0);
	make_file("empty", "");
	EQ(chmod("empty", 0755), 0);
	EQ(in_child(run_it, "./empty"), ENOEXEC);
	EQ(in_child(run_it, "./none"), ENOENT);
	EQ(in_child(run_it, "."), EACCES);
}

PROPERTY(a_program_open_for_writing_is_busy)
{
	int fd;

	SKIP_IF(!copy_self("prog", 0755), "cannot copy itself");
	fd = open("prog", O_WRONLY);
	EQ(in_child(run_it, "./prog"), ETXTBSY);
	close(fd);
	EQ(in_child(run_it, "./prog"), 0);
}

/* ---- fifos, sockets, devices ---- */

static int say_hello(void *arg)
{
	int fd = open("fifo", O_WRONLY);

	(void)arg;
	return write(fd, "hello", 5) != 5;
}

PROPERTY(fifos_connect_processes)
{
	char buf[8] = "";
	pid_t pid;
	int fd;

	EQ(mkfifo("fifo", 0600), 0);
	OK(S_ISFIFO(stat_of("fifo").st_mode));
	FAILS(mkfifo("fifo", 0600), EEXIST);
	FAILS(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	pid = start_child(say_hello, NULL);
	fd = open("fifo", O_RDONLY);
	EQ(read(fd, buf, 8), 5);
	EQ(memcmp(buf, "hello", 5), 0);
	EQ(end_child(pid), 0);
	EQ(read(fd, buf, 8), 0);
	EQ(rename("fifo", "moved"), 0);
	OK(S_ISFIFO(stat_of("moved").st_mode));
}

PROPERTY(sockets_connect_by_name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "sock" };
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), s;
	char buf[4];

	EQ(bind(l, (void *)&sun, sizeof(sun)), 0);
	OK(S_ISSOCK(stat_of("sock").st_mode));
	EQ(listen(l, 1), 0);
	EQ(connect(c, (void *)&sun, sizeof(sun)), 0);
	s = accept(l, NULL, NULL);
	EQ(write(c, "hey", 3), 3);
	EQ(read(s, buf, 4), 3);
	FAILS(open("sock", O_RDWR), ENXIO);
	FAILS(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&sun, sizeof(sun)), EADDRINUSE);
	EQ(unlink("sock"), 0);
	FAILS(connect(c, (void *)&sun, sizeof(sun)), ENOENT);
}

PROPERTY(device_nodes_keep_their_numbers)
{
	SKIP_IF(!is_root(), "not root");
	SKIP_IF(mknod("null", S_IFCHR | 0666, makedev(1, 3)) && errno == EPERM, "no device nodes here");
	EQ(stat_of("null").st_rdev, makedev(1, 3));
	EQ(mknod("big", S_IFBLK | 0600, makedev(259, 70000)), 0);
	EQ(stat_of("big").st_rdev, makedev(259, 70000));
	OK(S_ISBLK(stat_of("big").st_mode));
}

/* ---- watching ---- */

PROPERTY(inotify_tells_what_this_system_does)
{
	char buf[4096];
	int fd = inotify_init1(IN_NONBLOCK), wd;
	uint32_t seen = 0;
	ssize_t n;

	NEED(fd >= 0);
	wd = inotify_add_watch(fd, ".", IN_ALL_EVENTS);
	OK(wd >= 0);
	make_file("f", "x");
	EQ(rename("f", "g"), 0);
	EQ(chmod("g", 0600), 0);
	EQ(unlink("g"), 0);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);

			seen |= e->mask;
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	OK(seen & IN_CREATE);
	OK(seen & IN_MODIFY);
	OK(seen & IN_CLOSE_WRITE);
	OK(seen & IN_MOVED_FROM);
	OK(seen & IN_MOVED_TO);
	OK(seen & IN_ATTRIB);
	OK(seen & IN_DELETE);
}
