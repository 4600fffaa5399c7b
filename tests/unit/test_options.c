/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "vmm/control.h"
#include "vmm/options.h"

static struct options o;

static void parse(char **argv)
{
	int n = 0;

	while (argv[n])
		n++;
	options_parse(&o, n, argv);
}

/* True when the command line is refused: status 1 and a message. */
static bool refused(char **argv)
{
	int fd[2], st;
	char text[512];
	ssize_t n;
	pid_t pid;

	if (pipe(fd))
		return false;
	pid = fork();
	if (pid == 0) {
		dup2(fd[1], STDERR_FILENO);
		parse(argv);
		_exit(0);
	}
	close(fd[1]);
	n = read(fd[0], text, sizeof(text));
	close(fd[0]);
	waitpid(pid, &st, 0);
	return WIFEXITED(st) && WEXITSTATUS(st) == 1 && n > 20;
}

#define ARGS(...) ((char *[]){ "husk-vmm", "--kernel", "/dev/null", "--mem", "64", __VA_ARGS__, NULL })

TEST(a_full_command_line_is_understood)
{
	dup2(STDERR_FILENO, 10);
	dup2(STDERR_FILENO, 11);
	parse(ARGS("--cpus", "2", "--max-cpus", "4", "--share", "a:b:fd:10:ro:private", "--owner", "fd:11", "--nics",
		   "1"));
	CHECK_EQ(o.mem_bytes, 64u << 20);
	CHECK_EQ(o.cpus, 2);
	CHECK_EQ(o.max_cpus, 4);
	CHECK_EQ(o.nshares, 1);
	CHECK_EQ(o.share[0].name_len, 3);
	CHECK_EQ(o.share[0].fd, 10);
	CHECK_EQ(o.share[0].flags, CTL_SHARE_RO | CTL_SHARE_PRIVATE);
	CHECK_EQ(o.owner_fd, 11);
	CHECK(o.jail && o.agent && !o.debug);
}

TEST(sizes_are_rounded_up_to_what_can_be_given_out)
{
	parse(ARGS("--mem", "65", "--mem-max", "1001", "--dax", "1", "--dax-own", "128"));
	CHECK_EQ(o.mem_bytes, 66ull << 20);
	CHECK_EQ(o.mem_max_bytes, 1002ull << 20);
	CHECK_EQ(o.dax_bytes, 128ull << 20);
	CHECK_EQ(o.dax_own_bytes, 128ull << 20);
	parse(ARGS("--mem-max", "32"));
	CHECK_EQ(o.mem_max_bytes, o.mem_bytes);
	CHECK(refused(ARGS("--mem", "1048577")));
	CHECK(refused(ARGS("--mem-max", "524289")));
	CHECK(refused(ARGS("--dax", "65537")));
	CHECK(refused(ARGS("--boot-timeout", "0")));
}

TEST(what_is_not_given_has_its_default)
{
	parse(ARGS("--debug"));
	CHECK_EQ(o.cpus, 1);
	CHECK_EQ(o.max_cpus, 1);
	CHECK_EQ(o.nics, 4);
	CHECK_EQ(o.boot_timeout_ms, 30000);
	CHECK_EQ(o.console_fd, STDERR_FILENO);
	CHECK_STR(o.cmdline, "");
	CHECK(o.initrd_fd < 0 && o.listen_fd < 0 && o.owner_fd < 0 && !o.dax_bytes && !o.mem_auto && !o.merge);
	parse(ARGS("--no-agent", "--no-jail", "--ksm", "--mem-auto", "--plain-registers"));
	CHECK_EQ(o.nics, 0);
	CHECK(!o.agent && !o.jail && o.merge && o.mem_auto && o.plain_registers && o.console_fd < 0);
	parse(ARGS("--no-agent", "--nics", "2"));
	CHECK_EQ(o.nics, 2);
	parse((char *[]){ "husk-vmm", "--version", "what follows does not matter", NULL });
	CHECK_EQ(o.action, ACTION_VERSION);
}

TEST(mistakes_are_refused_with_a_message)
{
	dup2(STDERR_FILENO, 10);
	CHECK(refused(ARGS("--mem", "16")));
	CHECK(refused(ARGS("--mem", "64x")));
	CHECK(refused(ARGS("--mem", "-64")));
	CHECK(refused(ARGS("--mem", "99999999999999999999")));
	CHECK(refused(ARGS("--cpus", "0")));
	CHECK(refused(ARGS("--cpus", "65")));
	CHECK(refused(ARGS("--cpus")));
	CHECK(refused(ARGS("--owner", "fd:999")));
	CHECK(refused(ARGS("--owner", "10")));
	CHECK(refused(ARGS("--owner", "fd:10x")));
	CHECK(refused(ARGS("--owner", "fd:2")));
	CHECK(refused(ARGS("--share", ":fd:10")));
	CHECK(refused(ARGS("--share", "name")));
	CHECK(refused(ARGS("--share", "name:fd:10:rw")));
	CHECK(refused(ARGS("--bogus", "1")));
	CHECK(refused(ARGS("stray")));
	CHECK(refused((char *[]){ "husk-vmm", "--mem", "64", NULL }));
	CHECK(refused((char *[]){ "husk-vmm", "--kernel", "/nonexistent", "--mem", "64", NULL }));
}

TEST(descriptors_that_are_not_named_are_closed)
{
	struct stat in, null;

	for (int fd = 20; fd < 30; fd++)
		dup2(STDERR_FILENO, fd);
	dup2(STDERR_FILENO, 500);
	setenv("SECRET", "x", 1);
	parse(ARGS("--share", "a:fd:22", "--share", "b:fd:25", "--share", "c:fd:25", "--owner", "fd:23"));
	options_close_others(&o);
	for (int fd = 20; fd < 30; fd++)
		CHECK_EQ(fcntl(fd, F_GETFD) >= 0, fd == 22 || fd == 23 || fd == 25);
	CHECK(fcntl(500, F_GETFD) < 0);
	CHECK(fcntl(o.kernel_fd, F_GETFD) >= 0);
	CHECK(fcntl(STDERR_FILENO, F_GETFD) >= 0);
	REQUIRE(fstat(STDIN_FILENO, &in) == 0 && stat("/dev/null", &null) == 0);
	CHECK_EQ(in.st_rdev, null.st_rdev);
	CHECK(!getenv("SECRET"));
	dup2(STDERR_FILENO, STDOUT_FILENO); /* for the report */
}
