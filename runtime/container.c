/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers on disk: <root>/<id>/.
 *
 * Every command may be killed at any moment. So state.json is replaced by rename, what changes later is a file that
 * is there or not (started, paused), and whether a container lives is never stored but looked up: pid, its start
 * time, and the boot id. The root may be shared with another runtime (dockerd hands out runc's): a directory is
 * ours when its state.json parses as ours, or, without one, when it holds nothing but names that we use.
 */
#include "container.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "util.h"

#define STATE_FILE_MAX (4u << 20)
#define LIST_MAX 65536u

const char *host_boot_id(void)
{
	static char id[64];

	if (!*id) {
		CLEAN_FREE char *text = file_read_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 128, NULL);

		if (text)
			snprintf(id, sizeof(id), "%.*s", (int)strcspn(text, "\n"), text);
	}
	return id;
}

bool process_alive(pid_t pid, uint64_t start)
{
	char letter = 0;

	return pid > 0 && start && process_start_time(pid, &letter) == start && letter != 'Z' && letter != 'X';
}

int container_id_check(const char *id, struct error *err)
{
	static const char ok[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.-";
	size_t len = strlen(id);

	if (!len || len > 255 || strspn(id, ok) != len || !strcmp(id, ".") || !strcmp(id, ".."))
		return error_set(
			err, 0,
			"invalid container ID format: %.255s (up to 255 letters, digits and _ + . -, not . or ..)",
			len ? id : "(empty)");
	return 0;
}

/* Only names that husk makes: a create that was killed before it wrote state.json. */
static bool dir_is_partial(int dirfd)
{
	static const char *const names[] = { FILE_LOCK, FILE_CONFIG,   FILE_PROXY_SOCK, FILE_VM_SOCK,
					     FILE_LOG,	FILE_TIMELINE, FILE_STARTED,	FILE_PAUSED };
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	bool ours = true;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (ours && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		ours = !strncmp(e->d_name, "." FILE_STATE, strlen("." FILE_STATE)) ||
		       !strncmp(e->d_name, "." FILE_CONFIG, strlen("." FILE_CONFIG));
		for (size_t i = 0; !ours && i < ARRAY_LEN(names); i++)
			ours = !strcmp(e->d_name, names[i]);
	}
	closedir(d);
	return ours;
}

static int state_read(struct container *c, struct error *err)
{
	CLEAN_FREE char *text = NULL;
	struct state *s = NULL;
	size_t len;

	text = file_read_at(c->dirfd, FILE_STATE, STATE_FILE_MAX, &len);
	if (!text)
		return error_set(err, errno, "%s/" FILE_STATE, c->dir);
	if (state_parse(text, len, &s, err) < 0)
		return error_wrap(err, "%s/" FILE_STATE, c->dir);
	if (strcmp(s->id, c->id)) {
		state_free(s);
		return error_set(err, 0, "%s/" FILE_STATE " belongs to another container", c->dir);
	}
	state_free(c->state);
	c->state = s;
	c->alive = s->boot_id && !strcmp(s->boot_id, host_boot_id()) && process_alive(s->pid, s->pid_start);
	return 0;
}

static int not_found(const char *id, struct error *err)
{
	error_set(err, 0, "container \"%s\" does not exist", id);
	err->code = ENOENT;
	return -1;
}

static void container_init(struct container *c, const char *root, const char *id)
{
	*c = (struct container){
		.id = xstrdup(id),
		.root = xstrdup(root),
		.dir = xasprintf("%s/%s", root, id),
		.dirfd = -1,
		.lockfd = -1,
	};
}

int container_open(struct container *c, const char *root, const char *id, bool partial, struct error *err)
{
	container_init(c, root, id);
	if (container_id_check(id, err) < 0)
		return -1;
	c->dirfd = open(c->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->dirfd < 0) {
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
			return not_found(id, err);
		return error_set(err, errno, "container \"%s\": state directory %s", id, c->dir);
	}
	if (faccessat(c->dirfd, FILE_STATE, F_OK, 0) < 0) {
		if (partial && dir_is_partial(c->dirfd))
			return 0;
		return not_found(id, err);
	}
	if (state_read(c, err) < 0) {
		/* runc's file of the same name, in a root that both use */
		if (faccessat(c->dirfd, FILE_LOCK, F_OK, 0) < 0)
			return not_found(id, err);
		return -1;
	}
	return 0;
}

void container_unlock(struct container *c)
{
	if (c->lockfd >= 0)
		close(c->lockfd);
	c->lockfd = -1;
}

void container_close(struct container *c)
{
	container_unlock(c);
	if (c->dirfd >= 0)
		close(c->dirfd);
	state_free(c->state);
	free(c->id);
	free(c->root);
	free(c->dir);
	*c = (struct container){ .dirfd = -1, .lockfd = -1 };
}

static int lock_take(struct container *c, unsigned int ms, struct error *err)
{
	uint64_t end = mono_ns() + (uint64_t)ms * 1000000;
	unsigned int pause = 1;

	c->lockfd = openat(c->dirfd, FILE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->lockfd < 0)
		return error_set(err, errno, "container \"%s\": lock file in %s", c->id, c->dir);
	while (flock(c->lockfd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			int e = errno;

			container_unlock(c);
			return error_set(err, e, "container \"%s\": lock in %s", c->id, c->dir);
		}
		if (mono_ns() >= end) {
			container_unlock(c);
			return error_set(err, 0,
					 "container \"%s\": another command works on it and did not end within %u s",
					 c->id, ms / 1000);
		}
		sleep_ms(pause);
		if (pause < 50)
			pause *= 2;
	}
	return 0;
}

int container_lock(struct container *c, unsigned int ms, struct error *err)
{
	struct stat st;

	if (lock_take(c, ms, err) < 0)
		return -1;
	/* deleted while we waited? */
	if (fstat(c->dirfd, &st) < 0 || st.st_nlink == 0)
		return not_found(c->id, err);
	if (faccessat(c->dirfd, FILE_STATE, F_OK, 0) < 0)
		return c->state ? not_found(c->id, err) : 0;
	return state_read(c, err);
}

int container_make(struct container *c, const char *root, const char *id, struct error *err)
{
	int rc;

	container_init(c, root, id);
	if (container_id_check(id, err) < 0)
		return -1;
	rc = mkdir_parents(root, 0700);
	if (rc < 0)
		return error_set(err, -rc, "state root %s: cannot make it; choose another with --root", root);
	if (mkdir(c->dir, 0700) < 0) {
		if (errno == EEXIST)
			return error_set(err, 0, "container with given ID already exists: %s", id);
		return error_set(err, errno, "state directory %s", c->dir);
	}
	c->dirfd = open(c->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->dirfd < 0) {
		error_set(err, errno, "state directory %s", c->dir);
		rmdir(c->dir);
		return -1;
	}
	return lock_take(c, 1000, err);
}

int container_save(struct container *c, const struct state *s, struct error *err)
{
	CLEAN_FREE char *text = NULL;
	size_t len;
	int rc;

	if (state_format(s, &text, &len, err) < 0)
		return -1;
	rc = file_replace_at(c->dirfd, FILE_STATE, text, len, 0600);
	if (rc < 0)
		return error_set(err, -rc, "%s/" FILE_STATE, c->dir);
	return state_read(c, err);
}

const char *state_extra(const struct state *s, const char *key)
{
	for (size_t i = 0; i < s->extra.n; i++)
		if (!strcmp(s->extra.v[i].key, key))
			return s->extra.v[i].value;
	return NULL;
}

pid_t container_pid(const struct container *c)
{
	return c->state && c->alive ? c->state->pid : 0;
}

enum container_status container_status(const struct container *c)
{
	if (!c->state || !c->alive) {
		/* before the proxy exists, the state names the creating command */
		return STATUS_STOPPED;
	}
	if (c->state->status == STATUS_CREATING)
		return STATUS_CREATING;
	if (faccessat(c->dirfd, FILE_PAUSED, F_OK, 0) == 0)
		return STATUS_PAUSED;
	return faccessat(c->dirfd, FILE_STARTED, F_OK, 0) == 0 ? STATUS_RUNNING : STATUS_CREATED;
}

int container_spec(const struct container *c, struct spec **out, struct error *err)
{
	if (spec_load_at(c->dirfd, FILE_CONFIG, out, err) < 0)
		return error_wrap(err, "container \"%s\"", c->id);
	return 0;
}

int container_remove(struct container *c, struct error *err)
{
	int fd = openat(c->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return error_set(err, errno, "state directory %s", c->dir);
	}
	/* state.json goes last: until then a killed delete can be repeated with all its facts */
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !strcmp(e->d_name, FILE_STATE))
			continue;
		if (unlinkat(c->dirfd, e->d_name, 0) < 0 && (errno == EISDIR || errno == EPERM))
			unlinkat(c->dirfd, e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
	if (unlinkat(c->dirfd, FILE_STATE, 0) < 0 && errno != ENOENT)
		return error_set(err, errno, "%s/" FILE_STATE, c->dir);
	/* a command that waits for the lock may have made the lock file anew; it gives up once the directory is gone */
	for (int i = 0; rmdir(c->dir) < 0 && errno != ENOENT; i++) {
		if (errno != ENOTEMPTY || i == 100)
			return error_set(err, errno, "state directory %s", c->dir);
		unlinkat(c->dirfd, FILE_LOCK, 0);
	}
	return 0;
}

char *container_socket_path(const struct container *c, const char *name)
{
	return xasprintf("/proc/self/fd/%d/%s", c->dirfd, name);
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int container_list(const char *root, char ***out, size_t *n, struct error *err)
{
	DIR *d = opendir(root);
	struct dirent *e;
	char **v = NULL;
	size_t count = 0, cap = 0;

	*out = NULL;
	*n = 0;
	if (!d)
		return errno == ENOENT ? 0 : error_set(err, errno, "state root %s", root);
	while ((e = readdir(d)) && count < LIST_MAX) {
		struct error ignored;
		struct container c;

		if (container_id_check(e->d_name, &ignored) < 0)
			continue;
		if (container_open(&c, root, e->d_name, false, &ignored) == 0) {
			if (count == cap) {
				cap = cap ? cap * 2 : 16;
				v = xrealloc(v, cap * sizeof(*v));
			}
			v[count++] = xstrdup(e->d_name);
		}
		container_close(&c);
	}
	closedir(d);
	if (count)
		qsort(v, count, sizeof(*v), name_compare);
	*out = v;
	*n = count;
	return 0;
}
