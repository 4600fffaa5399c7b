/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From arguments and environment to a running program. Runs in the child, as the last steps before
 * execve(2). The image controls /etc/passwd, every executable and the directories of PATH.
 *
 * Under a seccomp filter that was loaded early, calls newer than the filter's author may be
 * refused: each of them has an older one behind it.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <stdio.h>
#include <unistd.h>

#include "path.h"
#include "sys.h"
#include "util.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PASSWD_MAX (1u << 20) /* bytes of /etc/passwd that are looked at */
#define HOOK_OUTPUT_MAX 512u  /* bytes of a failed hook's output in the error text */

/* ---- argv, envp, HOME ---- */

static const char *env_get(const char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; *envp; envp++)
		if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

static const char **list_to_array(const struct plan_list *l, size_t extra)
{
	size_t count = l ? l->count : 0;
	const char **a = calloc(count + extra + 1, sizeof(*a));
	const char *s = l ? l->first : NULL;

	for (size_t i = 0; a && i < count; i++, s = plan_list_next(s))
		a[i] = s;
	return a;
}

/*
 * "name:password:uid:gid:comment:home:shell": the home of uid, NULL when the line is somebody
 * else's.
 */
static char *passwd_home(char *line, uint32_t uid)
{
	char *field[7];
	uint64_t n;

	for (int i = 0; i < 7; i++)
		field[i] = strsep(&line, ":");
	if (!field[5] || number_parse(field[2], &n) || n != uid || field[5][0] != '/')
		return NULL;
	return field[5];
}

/* Home directory of uid in the image's /etc/passwd; "/" when it has none. */
static void find_home(int root, uint32_t uid, char *home, size_t cap)
{
	int fd = path_open(root, "/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY);
	char line[4096], *found = NULL;
	size_t seen = 0;
	struct stat st;
	FILE *file;

	(void)snprintf(home, cap, "/");
	if (fd < 0)
		return;
	file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fdopen(fd, "re") : NULL;
	if (!file) {
		close(fd);
		return;
	}
	while (!found && seen < PASSWD_MAX && fgets(line, sizeof(line), file)) {
		seen += strlen(line) + 1;
		line[strcspn(line, "\n")] = '\0';
		found = passwd_home(line, uid);
	}
	if (found)
		(void)snprintf(home, cap, "%s", found);
	(void)fclose(file);
}

int launch_prepare(struct launch *l, const struct plan_list *args, const struct plan_list *env, int root, uint32_t uid,
		   struct fault *f)
{
	const char *home;

	memset(l, 0, sizeof(*l));
	l->argv = list_to_array(args, 0);
	l->envp = list_to_array(env, 1);
	if (!l->argv || !l->envp)
		return fault_set(f, STAGE_SETUP, ENOMEM, "arguments and environment");
	home = env_get(l->envp, "HOME");
	if (!home) {
		memcpy(l->home, "HOME=", 5);
		find_home(root, uid, l->home + 5, sizeof(l->home) - 5);
		l->envp[env ? env->count : 0] = l->home;
	}
	return 0;
}

/* ---- the executable ---- */

/*
 * 0 when the process may execute `file`. Links of /proc that jump elsewhere (/proc/self/exe is the
 * agent) are no executables: ELOOP.
 */
static int check_executable(const char *file)
{
	int fd = sys_openat2(AT_FDCWD, file, O_PATH | O_CLOEXEC, 0, SYS_RESOLVE_NO_MAGICLINKS);
	struct stat st;
	int r;

	if (fd == -EPERM || fd == -ENOSYS) { /* a seccomp filter that does not know openat2 */
		fd = open(file, O_PATH | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	if (fd < 0)
		return fd;
	r = fstat(fd, &st) ? -errno : S_ISDIR(st.st_mode) ? -EISDIR : 0;
	close(fd);
	if (r || !S_ISREG(st.st_mode))
		return r ? r : -EACCES;
	r = (int)sys_result(syscall(SYS_faccessat2, AT_FDCWD, file, X_OK, AT_EACCESS));
	if (r == -ENOSYS || r == -EPERM)
		r = (int)sys_result(syscall(SYS_faccessat, AT_FDCWD, file, X_OK));
	return r;
}

/*
 * Search PATH for a bare name. What cannot be executed there is passed over, as Go's LookPath does
 * for runc.
 */
static int search_path(struct launch *l, const char *name)
{
	const char *dirs = env_get(l->envp, "PATH");

	if (!dirs)
		dirs = DEFAULT_PATH;
	for (;;) {
		size_t n = strcspn(dirs, ":");
		int len = snprintf(l->file, sizeof(l->file), "%.*s%s%s", (int)n, dirs, n ? "/" : "./", name);

		if (len > 0 && (size_t)len < sizeof(l->file) && check_executable(l->file) == 0)
			return 0;
		if (!dirs[n])
			return -ENOENT;
		dirs += n + 1;
	}
}

int launch_lookup(struct launch *l, struct fault *f)
{
	const char *name = l->argv[0];
	int r;

	if (!name)
		return fault_set(f, STAGE_STATE, EINVAL, "the container has no process to run");
	if (!strchr(name, '/')) {
		r = *name ? search_path(l, name) : -ENOENT;
	} else {
		r = (size_t)snprintf(l->file, sizeof(l->file), "%s", name) < sizeof(l->file) ? check_executable(name)
											     : -ENAMETOOLONG;
	}
	return r ? fault_set(f, STAGE_LOOKUP, r, "%s", name) : 0;
}

int launch_exec(struct launch *l, struct fault *f)
{
	execve(l->file, (char *const *)l->argv, (char *const *)l->envp);
	return fault_set(f, STAGE_EXEC, errno, "%s", l->file);
}

/* ---- hooks ---- */

struct hook_run {
	pid_t pid;
	int in, out;	   /* our ends */
	const char *state; /* what is left to write to its stdin */
	size_t state_left;
	char text[HOOK_OUTPUT_MAX];
	size_t text_len;
};

static void __attribute__((noreturn))
hook_child(const char *file, const char **argv, const char **envp, int in, int out)
{
	(void)dup2(in, 0);
	(void)dup2(out, 1);
	(void)dup2(out, 2);
	signal(SIGPIPE, SIG_DFL);
	execve(file, (char *const *)argv, (char *const *)envp);
	dprintf(2, "%s: %s", file, strerror(errno));
	_exit(127);
}

/* Feed stdin, collect output, until both are closed or the time is over. */
static int hook_talk(struct hook_run *h, uint64_t deadline)
{
	char buf[512];

	while (h->out >= 0) {
		struct pollfd p[2] = { { .fd = h->out, .events = POLLIN }, { .fd = h->in, .events = POLLOUT } };
		uint64_t now = now_ns();
		ssize_t n;

		if (deadline && now >= deadline)
			return -ETIMEDOUT;
		if (poll(p, 2, deadline ? (int)((deadline - now) / NS_PER_MS + 1) : -1) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents) {
			n = h->state_left ? write(h->in, h->state, h->state_left) : -1;
			if (n > 0) {
				h->state += n;
				h->state_left -= (size_t)n;
			}
			if ((n < 0 && errno != EAGAIN && errno != EINTR) || !h->state_left)
				fd_close(&h->in);
		}
		if (p[0].revents) {
			n = read(h->out, buf, sizeof(buf));
			for (ssize_t i = 0; i < n && h->text_len < sizeof(h->text) - 1; i++)
				h->text[h->text_len++] = buf[i];
			if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
				fd_close(&h->out);
		}
	}
	return 0;
}

/* The hook may close its output and go on: its end is what counts. */
static int hook_wait(struct hook_run *h, uint64_t deadline, int *status)
{
	for (;;) {
		pid_t p = waitpid(h->pid, status, deadline ? WNOHANG : 0);

		if (p == h->pid)
			return 0;
		if (p < 0 && errno != EINTR)
			return -errno;
		if (deadline && now_ns() >= deadline)
			return -ETIMEDOUT;
		if (deadline)
			usleep(2000);
	}
}

static int hook_start(struct hook_run *h, const char *file, const char **argv, const char **envp)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC))
		return -errno;
	if (pipe2(out, O_CLOEXEC)) {
		int r = -errno;

		close(in[0]);
		close(in[1]);
		return r;
	}
	h->pid = fork();
	if (h->pid == 0)
		hook_child(file, argv, envp, in[0], out[1]);
	h->in = in[1];
	h->out = out[0];
	fcntl(h->in, F_SETFL, O_NONBLOCK);
	fcntl(h->out, F_SETFL, O_NONBLOCK);
	close(in[0]);
	close(out[1]);
	return h->pid < 0 ? -errno : 0;
}

int launch_hook(const struct plan_item *hook, struct fault *f)
{
	const struct plan_int *limit = hook->body;
	const char *file = hook->str[0], **argv, **envp;
	struct hook_run h = { .in = -1, .out = -1, .state = hook->str[1], .state_left = strlen(hook->str[1]) };
	uint64_t deadline = limit->value > 0 ? now_ns() + (uint64_t)limit->value * NS_PER_S : 0;
	int r, status = 0;

	argv = list_to_array(&hook->list[0], 1);
	envp = list_to_array(&hook->list[1], 0);
	if (!argv || !envp) {
		free(argv);
		free(envp);
		return fault_set(f, STAGE_HOOK, ENOMEM, "%s", file);
	}
	if (!argv[0])
		argv[0] = file;
	signal(SIGPIPE, SIG_IGN);
	r = hook_start(&h, file, argv, envp);
	if (r == 0)
		r = hook_talk(&h, deadline);
	if (r == 0)
		r = hook_wait(&h, deadline, &status);
	if (r && h.pid > 0) {
		kill(h.pid, SIGKILL);
		(void)waitpid(h.pid, NULL, 0);
	}
	signal(SIGPIPE, SIG_DFL);
	fd_close(&h.in);
	fd_close(&h.out);
	free(argv);
	free(envp);
	h.text[h.text_len] = '\0';
	if (r == -ETIMEDOUT)
		return fault_set(f, STAGE_HOOK, ETIMEDOUT, "%s: not done after %d s: killed", file, limit->value);
	if (r)
		return fault_set(f, STAGE_HOOK, r, "%s: %s", file, strerror(-r));
	if (WIFSIGNALED(status))
		return fault_set(f, STAGE_HOOK, EIO, "%s: killed by signal %d: %s", file, WTERMSIG(status), h.text);
	if (WEXITSTATUS(status))
		return fault_set(f, STAGE_HOOK, EIO, "%s: exit status %d: %s", file, WEXITSTATUS(status), h.text);
	return 0;
}
