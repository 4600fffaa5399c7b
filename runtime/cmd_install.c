/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk install, husk uninstall: enter husk in the configuration of Docker, containerd or podman, and take it out again.
 *
 * Everything is planned before anything is written, so one engine's strange configuration leaves all as they were. What
 * install changes it keeps beside the file as FILE.before-husk. Uninstall gives that copy back when the file is still
 * what install made of it; otherwise it takes out only husk's own lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config_edit.h"
#include "husk.h"
#include "options.h"
#include "text_diff.h"
#include "util.h"

#define CONFIG_MAX (1u << 20) /* bytes */
#define BACKUP_SUFFIX ".before-husk"
#define PODMAN_MAIN "/etc/containers/containers.conf"

struct engine {
	const char *name, *file;
	const char *programs[3]; /* one of them is there when the engine is */
	config_add_fn add;
	config_remove_fn remove;
	bool whole; /* the file is husk's alone */
	const char *next, *use;
};

static const struct engine engines[] = {
	{ "docker",
	  "/etc/docker/daemon.json",
	  { "/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd" },
	  config_docker_add,
	  config_docker_remove,
	  false,
	  "systemctl reload docker",
	  "docker run --runtime husk ..." },
	{ "containerd",
	  "/etc/containerd/config.toml",
	  { "/usr/bin/containerd", "/usr/local/bin/containerd", NULL },
	  config_containerd_add,
	  config_containerd_remove,
	  false,
	  "systemctl restart containerd",
	  "a RuntimeClass with handler: husk" },
	{ "podman",
	  "/etc/containers/containers.conf.d/husk.conf",
	  { "/usr/bin/podman", "/usr/local/bin/podman", NULL },
	  config_podman_add,
	  config_podman_remove,
	  true,
	  NULL,
	  "podman --runtime husk run ..." },
};
#define NENGINES ARRAY_LEN(engines)

struct job {
	struct arena *arena;
	const char *root, *program; /* root: "" or a directory without a slash at its end */
	bool remove, dry;
};

/* What becomes of one engine's file. */
struct plan {
	const struct engine *engine;
	const char *path, *backup;
	bool exists, was_registered, drop_backup;
	struct stat st;
	const char *before, *after; /* before: "" when the file does not exist; after NULL: the file goes */
	const char *stale;	    /* a copy that stays, because the file was changed since */
};

static bool there(const struct job *j, const char *path)
{
	struct stat st;

	return path && stat(arena_printf(j->arena, "%s%s", j->root, path), &st) == 0;
}

static bool engine_is_there(const struct job *j, const struct engine *e)
{
	if (there(j, e->file))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(e->programs) && !j->remove; i++)
		if (there(j, e->programs[i]))
			return true;
	return false;
}

/* A whole file as text in the arena; *out is NULL when there is none. Links are refused: rename would replace them. */
static int read_config(const struct job *j, const char *path, struct stat *st, const char **out, struct error *err)
{
	CLEAN_FREE char *text = NULL;
	size_t len;

	*out = NULL;
	if (lstat(path, st) < 0)
		return errno == ENOENT ? 0 : error_set(err, errno, "%s", path);
	if (!S_ISREG(st->st_mode))
		return error_set(err, 0,
				 "%s is not a regular file, but something like a link that another tool manages: "
				 "enter husk where that tool has its source",
				 path);
	text = file_read_at(AT_FDCWD, path, CONFIG_MAX, &len);
	if (!text)
		return error_set(err, errno, "%s", path);
	if (strlen(text) != len)
		return error_set(err, 0,
				 "%s: there are NUL bytes in it: husk does not edit what it does not understand", path);
	*out = arena_strdup(j->arena, text);
	return 0;
}

static int check_podman(const struct job *j, struct error *err)
{
	const char *path = arena_printf(j->arena, "%s%s", j->root, PODMAN_MAIN), *text;
	struct stat st;

	if (read_config(j, path, &st, &text, err) < 0)
		return -1;
	return text ? config_podman_main(j->arena, path, text, j->remove, err) : 0;
}

static int plan_install(const struct job *j, struct plan *p, struct error *err)
{
	const char *registered, *ignored;

	if (p->engine->remove(j->arena, p->path, p->before, &registered, &ignored, err) < 0) {
		/* the default runtime may be husk: that is no hindrance here; add() says whatever else is wrong */
		*err = (struct error){ 0 };
		registered = p->before;
	}
	p->was_registered = registered != NULL;
	return p->engine->add(j->arena, p->path, p->before, j->program, &p->after, err);
}

static int plan_uninstall(const struct job *j, struct plan *p, struct error *err)
{
	const char *program, *copy, *again = NULL;
	struct error ignored;
	struct stat st;

	if (!p->exists) {
		p->after = p->before;
		return 0;
	}
	if (p->engine->remove(j->arena, p->path, p->before, &program, &p->after, err) < 0)
		return -1;
	if (!program)
		return 0;
	p->was_registered = true;
	if (read_config(j, p->backup, &st, &copy, err) < 0)
		return -1;
	if (p->engine->add(j->arena, p->path, copy ? copy : "", program, &again, &ignored) == 0 &&
	    !strcmp(again, p->before)) {
		p->after = copy;
		p->drop_backup = copy != NULL;
	} else if (copy) {
		p->stale = p->backup;
	}
	if (p->engine->whole)
		p->after = NULL;
	return 0;
}

static int plan_one(const struct job *j, const struct engine *e, struct plan *p, struct error *err)
{
	const char *text;

	*p = (struct plan){ .engine = e, .path = arena_printf(j->arena, "%s%s", j->root, e->file) };
	p->backup = arena_printf(j->arena, "%s" BACKUP_SUFFIX, p->path);
	if ((e->whole && check_podman(j, err) < 0) || read_config(j, p->path, &p->st, &text, err) < 0)
		return -1;
	p->exists = text != NULL;
	p->before = text ? text : "";
	return j->remove ? plan_uninstall(j, p, err) : plan_install(j, p, err);
}

static bool plan_changes(const struct plan *p)
{
	return p->after ? strcmp(p->after, p->before) != 0 : p->exists;
}

/* ---- doing it ---- */

static int write_config(const char *path, const char *text, const struct stat *like, struct error *err)
{
	int rc = file_replace_at(AT_FDCWD, path, text, strlen(text), like ? like->st_mode & 0777 : 0644);

	if (!rc && like && (like->st_uid != geteuid() || like->st_gid != getegid()) &&
	    chown(path, like->st_uid, like->st_gid) < 0)
		rc = -errno;
	return rc < 0 ? error_set(err, -rc, "%s", path) : 0;
}

static int make_directory(const char *file, struct error *err)
{
	CLEAN_FREE char *dir = xstrdup(file);
	int rc;

	*strrchr(dir, '/') = '\0';
	rc = mkdir_parents(dir, 0755);
	return rc < 0 ? error_set(err, -rc, "%s", dir) : 0;
}

static int plan_do(const struct plan *p, struct error *err)
{
	if (!p->after) {
		if (unlink(p->path) < 0)
			return error_set(err, errno, "%s", p->path);
		return 0;
	}
	if (make_directory(p->path, err) < 0)
		return -1;
	/* what another install entered already is not what the file was before husk */
	if (p->exists && !p->was_registered && write_config(p->backup, p->before, &p->st, err) < 0)
		return -1;
	if (write_config(p->path, p->after, p->exists ? &p->st : NULL, err) < 0)
		return -1;
	if (p->drop_backup && unlink(p->backup) < 0 && errno != ENOENT)
		return error_set(err, errno, "%s", p->backup);
	return 0;
}

static void plan_say(const struct job *j, const struct plan *p)
{
	const struct engine *e = p->engine;

	if (!plan_changes(p)) {
		printf("%s: %s: %s\n", e->name, p->path,
		       j->remove ? "husk is not registered; nothing to do"
				 : "husk is registered already; nothing to do");
		return;
	}
	printf("%s:\n", e->name);
	text_diff(stdout, p->path, p->exists ? p->before : NULL, p->after);
	if (j->dry) {
		printf("not written (--dry-run)\n");
		return;
	}
	if (!p->after)
		printf("removed %s\n", p->path);
	else
		printf("%s %s\n", p->drop_backup ? "as it was before:" : "written:", p->path);
	if (!j->remove && p->exists && !p->was_registered)
		printf("as it was: %s\n", p->backup);
	if (p->stale)
		printf("changed since husk was registered: only husk's lines are gone; the copy of that time: %s\n",
		       p->stale);
	if (e->next)
		printf("next: %s\n", e->next);
	if (!j->remove)
		printf("then: %s\n", e->use);
}

static int do_all(const struct job *j, const struct plan *plans, size_t n, struct error *err)
{
	mode_t mask = umask(0);
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		if (plan_changes(&plans[i]) && !j->dry)
			rc = plan_do(&plans[i], err);
		if (!rc)
			plan_say(j, &plans[i]);
	}
	umask(mask);
	return rc;
}

/* ---- which engines ---- */

static int choose(const struct job *j, int argc, char **argv, int first, const struct engine **out, size_t *n,
		  struct error *err)
{
	bool wanted[NENGINES] = { false };

	for (int i = first; i < argc; i++) {
		size_t e = 0;

		while (e < NENGINES && strcmp(argv[i], engines[e].name))
			e++;
		if (e == NENGINES)
			return error_set(err, 0, "%s %s: the engines are docker, containerd and podman", argv[0],
					 argv[i]);
		wanted[e] = true;
	}
	*n = 0;
	for (size_t e = 0; e < NENGINES; e++)
		if (wanted[e] || (first == argc && engine_is_there(j, &engines[e])))
			out[(*n)++] = &engines[e];
	if (*n || j->remove)
		return 0;
	return error_set(err, 0,
			 "neither docker nor containerd nor podman is installed%s%s: name the engine to register with",
			 *j->root ? " under " : "", j->root);
}

static const char *own_program(struct arena *a, struct error *err)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path));

	if (n < 0 || (size_t)n == sizeof(path)) {
		error_set(err, n < 0 ? errno : ENAMETOOLONG, "/proc/self/exe: where husk is; give --path");
		return NULL;
	}
	return arena_strndup(a, path, (size_t)n);
}

static int check_program(const struct job *j, struct error *err)
{
	const char *path = arena_printf(j->arena, "%s%s", j->root, j->program);

	if (config_program_ok(j->program, err) < 0)
		return -1;
	return access(path, X_OK) == 0 ? 0
				       : error_set(err, errno, "%s: no runtime to register (--path names it)", path);
}

static int run(struct job *j, const char *root, const char *path, int argc, char **argv, int first, struct error *err)
{
	const struct engine *chosen[NENGINES];
	struct plan plans[NENGINES];
	size_t n = 0, len;

	j->root = arena_strdup(j->arena, root ? root : "");
	for (len = strlen(j->root); len && j->root[len - 1] == '/'; len--)
		;
	j->root = arena_strndup(j->arena, j->root, len);
	if (choose(j, argc, argv, first, chosen, &n, err) < 0)
		return -1;
	if (!j->remove) {
		j->program = path ? path : own_program(j->arena, err);
		if (!j->program || check_program(j, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < n; i++)
		if (plan_one(j, chosen[i], &plans[i], err) < 0)
			return error_wrap(err, "%s: nothing was changed", chosen[i]->name);
	if (!n)
		printf("no engine has a configuration; nothing to do\n");
	return do_all(j, plans, n, err);
}

int cmd_install(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[options] [docker|containerd|podman]...";
	const char *root = NULL, *path = NULL;
	struct job j = { 0 };
	const struct option table[] = {
		{ "dry-run", 'n', OPT_FLAG, &j.dry, "", "show the difference, write nothing" },
		{ "root", 0, OPT_STRING, &root, "DIR", "the system below DIR instead of /" },
		{ "path", 0, OPT_STRING, &path, "FILE", "the runtime to register (default: this program)" },
		{ 0 },
	};
	int first, rc;

	(void)g;
	first = verb_options(table, usage, "Register husk with the engines (default: all that are installed).", argc,
			     argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0)
		return -1;
	j.arena = arena_new();
	rc = run(&j, root, path, argc, argv, first, err);
	arena_free(j.arena);
	return rc;
}

int cmd_uninstall(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[options] [docker|containerd|podman]...";
	const char *root = NULL;
	struct job j = { .remove = true };
	const struct option table[] = {
		{ "dry-run", 'n', OPT_FLAG, &j.dry, "", "show the difference, write nothing" },
		{ "root", 0, OPT_STRING, &root, "DIR", "the system below DIR instead of /" },
		{ 0 },
	};
	int first, rc;

	(void)g;
	first = verb_options(table, usage, "Take husk out of the engines' configuration.", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0)
		return -1;
	j.arena = arena_new();
	rc = run(&j, root, NULL, argc, argv, first, err);
	arena_free(j.arena);
	return rc;
}
