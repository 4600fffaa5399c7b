/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk pause, husk resume: freeze and thaw a container's processes inside the guest; the VM itself goes on, so that the
 * agent answers and other containers of a pod run. Pausing writes dirty files back: `docker commit` reads them then.
 */
#include <fcntl.h>

#include "husk.h"
#include "options.h"
#include "util.h"
#include "vm.h"

#define LOCK_MS 10000
#define FREEZE_NS (20ull * 1000000000u)

static int pause_locked(struct container *c, struct error *err)
{
	enum container_status status = container_status(c);
	CLEAN_FD int mark = -1;

	if (status == STATUS_PAUSED)
		return error_set(err, 0, "container already paused");
	if (status != STATUS_RUNNING && status != STATUS_CREATED)
		return error_set(err, 0, "container not running");
	/* first the mark: if we die in between, resume still works */
	mark = openat(c->dirfd, FILE_PAUSED, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (vm_simple_request(c, WIRE_PAUSE, mono_ns() + FREEZE_NS, err) < 0) {
		unlinkat(c->dirfd, FILE_PAUSED, 0);
		return -1;
	}
	return 0;
}

static int resume_locked(struct container *c, struct error *err)
{
	enum container_status status = container_status(c);

	if (status == STATUS_STOPPED || status == STATUS_CREATING)
		return error_set(err, 0, "container not running");
	if (status != STATUS_PAUSED)
		return error_set(err, 0, "container not paused");
	if (vm_simple_request(c, WIRE_RESUME, mono_ns() + FREEZE_NS, err) < 0)
		return -1;
	unlinkat(c->dirfd, FILE_PAUSED, 0);
	return 0;
}

static int freeze(const struct globals *g, int argc, char **argv, const char *about,
		  int (*fn)(struct container *c, struct error *err), struct error *err)
{
	static const char usage[] = "ID";
	static const struct option table[] = { { 0 } };
	struct container c;
	int first, rc;

	first = verb_options(table, usage, about, argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 1, 1, usage, err) < 0)
		return -1;
	rc = container_open(&c, g->root, argv[first], false, err);
	if (!rc)
		rc = container_lock(&c, LOCK_MS, err);
	if (!rc)
		rc = fn(&c, err);
	container_close(&c);
	return rc;
}

int cmd_pause(const struct globals *g, int argc, char **argv, struct error *err)
{
	return freeze(g, argc, argv, "Freeze a container's processes.", pause_locked, err);
}

int cmd_resume(const struct globals *g, int argc, char **argv, struct error *err)
{
	return freeze(g, argc, argv, "Let a paused container's processes go on.", resume_locked, err);
}
