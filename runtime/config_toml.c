/* SPDX-License-Identifier: Apache-2.0 */
/*
 * containerd's config.toml (versions 2 and 3): two tables at its end. podman: a drop-in file in containers.conf.d that
 * is all husk's own.
 */
#include <string.h>

#include "config_edit.h"
#include "toml_scan.h"

#define CRI_V2 "io.containerd.grpc.v1.cri"
#define CRI_V3 "io.containerd.cri.v1.runtime"
#define NKEYS 5 /* of the runtime's table */

int config_program_ok(const char *program, struct error *err)
{
	if (*program != '/')
		return error_set(err, 0, "%s: the path must be absolute", program);
	for (const char *p = program; *p; p++)
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\' || *p == '\'')
			return error_set(
				err, 0,
				"%s: a path with quotes, backslashes, control or non-ASCII characters cannot be "
				"entered; "
				"install husk somewhere else, or give --path",
				program);
	return 0;
}

const char *config_splice(struct arena *a, const char *text, size_t from, size_t to, const char *replacement)
{
	return arena_printf(a, "%.*s%s%s", (int)from, text, replacement, text + to);
}

static const char *quoted(struct arena *a, const char *s)
{
	return arena_printf(a, "\"%s\"", s);
}

/* ---- containerd ---- */

/* What there is: the runtime's table and its BinaryName, if it is registered. */
struct containerd {
	struct toml toml;
	const char *cri; /* name of the plugin in this version */
	int version;	 /* 0: the document is empty */
	bool registered;
	const struct toml_item *binary;
	const char *program;
};

static void runtime_keys(const struct containerd *c, const char *runtime, const char *keys[NKEYS + 2])
{
	const char *k[NKEYS + 2] = { "plugins", c->cri, "containerd", "runtimes", runtime, "options", NULL };

	memcpy(keys, k, sizeof(k));
}

static int read_version(const char *doc, const char *text, struct containerd *c, struct error *err)
{
	static const char *const key[] = { "version" };
	const struct toml_item *it = toml_value(&c->toml, key, 1);

	if (!c->toml.n)
		c->version = 0;
	else if (it && toml_word(text, it, "2"))
		c->version = 2;
	else if (it && toml_word(text, it, "3"))
		c->version = 3;
	else
		return error_set(
			err, 0,
			"%s: its version is %s, husk edits 2 and 3; `containerd config migrate` rewrites an old one",
			doc, it ? "another one" : "1 (there is no \"version\")");
	c->cri = c->version == 3 ? CRI_V3 : CRI_V2;
	return 0;
}

/* Our tables can be added below the others only when each of their parents is a table of its own. */
static int check_parents(const char *doc, const struct containerd *c, struct error *err)
{
	const char *keys[NKEYS + 2];

	runtime_keys(c, CONFIG_RUNTIME_NAME, keys);
	for (size_t i = 0; i < c->toml.n; i++) {
		const struct toml_item *it = &c->toml.v[i];
		size_t own = it->ntable + 1; /* a dotted assignment makes a table of its first own key */

		if (it->kind == TOML_TABLE)
			continue;
		if ((it->kind == TOML_ARRAY_TABLE && toml_above(it, keys, NKEYS)) ||
		    (it->kind == TOML_VALUE && toml_above(it, keys, NKEYS)) ||
		    (it->kind == TOML_VALUE && own < it->nkeys && own <= NKEYS && toml_below(it, keys, own)))
			return error_set(
				err, 0,
				"%s: line %u writes \"%s\" inline or as a list, so no table can be added below it: "
				"write it as [tables], or enter husk by hand",
				doc, it->line, it->keys[it->nkeys - 1]);
	}
	return 0;
}

static int containerd_read(struct arena *a, const char *doc, const char *text, struct containerd *c, struct error *err)
{
	const char *keys[NKEYS + 2];

	*c = (struct containerd){ 0 };
	if (toml_scan(a, doc, text, &c->toml, err) < 0 || read_version(doc, text, c, err) < 0 ||
	    check_parents(doc, c, err) < 0)
		return -1;
	runtime_keys(c, CONFIG_RUNTIME_NAME, keys);
	for (size_t i = 0; i < c->toml.n; i++)
		c->registered |= toml_below(&c->toml.v[i], keys, NKEYS);
	keys[NKEYS + 1] = "BinaryName";
	c->binary = toml_value(&c->toml, keys, NKEYS + 2);
	if (c->binary)
		c->program = toml_string(a, text, c->binary);
	if (c->registered && !c->program)
		return error_set(err, 0,
				 "%s: it has a runtime \"%s\" without a plain options.BinaryName, so husk did not make "
				 "it: edit it "
				 "by hand",
				 doc, CONFIG_RUNTIME_NAME);
	return 0;
}

/* husk's cgroups are made by whom runc's are. */
static bool runc_uses_systemd(const char *text, const struct containerd *c)
{
	const char *keys[NKEYS + 2];
	const struct toml_item *it;

	runtime_keys(c, "runc", keys);
	keys[NKEYS + 1] = "SystemdCgroup";
	it = toml_value(&c->toml, keys, NKEYS + 2);
	return it && toml_word(text, it, "true");
}

int config_containerd_add(struct arena *a, const char *doc, const char *text, const char *program, const char **out,
			  struct error *err)
{
	struct containerd c;
	const char *table;
	size_t len = strlen(text);

	if (containerd_read(a, doc, text, &c, err) < 0)
		return -1;
	if (c.registered) {
		*out = strcmp(c.program, program)
			       ? config_splice(a, text, c.binary->value, c.binary->value_end, quoted(a, program))
			       : text;
		return 0;
	}
	table = arena_printf(a, "plugins.\"%s\".containerd.runtimes." CONFIG_RUNTIME_NAME, c.cri);
	*out = arena_printf(a,
			    "%s%s%s\n[%s]\n  runtime_type = \"io.containerd.runc.v2\"\n"
			    "  privileged_without_host_devices = true\n"
			    "  pod_annotations = [\"run.husk.*\"]\n  container_annotations = [\"run.husk.*\"]\n"
			    "[%s.options]\n  BinaryName = \"%s\"\n%s",
			    text, len && text[len - 1] != '\n' ? "\n" : "", c.version ? "" : "version = 2\n", table,
			    table, program, runc_uses_systemd(text, &c) ? "  SystemdCgroup = true\n" : "");
	return 0;
}

int config_containerd_remove(struct arena *a, const char *doc, const char *text, const char **program, const char **out,
			     struct error *err)
{
	const char *keys[NKEYS + 2];
	const struct toml_item *standard;
	struct containerd c;

	*program = NULL;
	*out = text;
	if (containerd_read(a, doc, text, &c, err) < 0)
		return -1;
	if (!c.registered)
		return 0;
	runtime_keys(&c, CONFIG_RUNTIME_NAME, keys);
	keys[3] = "default_runtime_name";
	standard = toml_value(&c.toml, keys, 4);
	if (standard) {
		const char *name = toml_string(a, text, standard);

		if (!name || !strcmp(name, CONFIG_RUNTIME_NAME))
			return error_set(
				err, 0,
				"%s: line %u: default_runtime_name is \"%s\": pods would not start without it; "
				"change that "
				"first",
				doc, standard->line, CONFIG_RUNTIME_NAME);
	}
	keys[3] = "runtimes";
	*program = c.program;
	/* from the last item to the first, so that the places of the others stay true */
	for (size_t i = c.toml.n; i-- > 0;) {
		const struct toml_item *it = &c.toml.v[i];
		size_t from = it->start;

		if (!toml_below(it, keys, NKEYS))
			continue;
		if (it->kind != TOML_VALUE && it->nkeys == NKEYS && from >= 2 && text[from - 1] == '\n' &&
		    text[from - 2] == '\n')
			from--; /* the empty line that sets the table off */
		*out = config_splice(a, *out, from, it->end, "");
	}
	return 0;
}

/* ---- podman ---- */

static const char *const podman_keys[] = { "engine", "runtimes", CONFIG_RUNTIME_NAME };

int config_podman_add(struct arena *a, const char *doc, const char *text, const char *program, const char **out,
		      struct error *err)
{
	const char *was, *ignored;

	if (config_podman_remove(a, doc, text, &was, &ignored, err) < 0)
		return -1;
	*out = was && !strcmp(was, program) ? text : arena_printf(a, "[engine.runtimes]\nhusk = [\"%s\"]\n", program);
	return 0;
}

int config_podman_remove(struct arena *a, const char *doc, const char *text, const char **program, const char **out,
			 struct error *err)
{
	const struct toml_item *it;
	struct toml toml;
	const char *value;
	size_t len;

	*program = NULL;
	*out = text;
	if (toml_scan(a, doc, text, &toml, err) < 0)
		return -1;
	if (!toml.n)
		return 0;
	it = toml_value(&toml, podman_keys, 3);
	if (!it || toml.n != 2)
		return error_set(
			err, 0,
			"%s: husk would write this file as a whole, but somebody else has put something in it: "
			"move that to another file",
			doc);
	value = text + it->value;
	len = it->value_end - it->value;
	if (len < 5 || value[0] != '[' || value[1] != '"' || value[len - 1] != ']' || value[len - 2] != '"' ||
	    memchr(value + 2, '"', len - 4))
		return error_set(err, 0, "%s: line %u: the list of husk's paths was changed: edit it by hand", doc,
				 it->line);
	*program = arena_strndup(a, value + 2, len - 4);
	*out = "";
	return 0;
}

int config_podman_main(struct arena *a, const char *doc, const char *text, int removing, struct error *err)
{
	static const char *const standard_keys[] = { "engine", "runtime" };
	const struct toml_item *it;
	struct toml toml;
	const char *name;

	if (toml_scan(a, doc, text, &toml, err) < 0)
		return -1;
	it = toml_value(&toml, podman_keys, 3);
	if (it && !removing)
		return error_set(err, 0, "%s: line %u has an entry for husk already: take it out, or leave it as it is",
				 doc, it->line);
	it = toml_value(&toml, standard_keys, 2);
	name = it && removing ? toml_string(a, text, it) : NULL;
	if (name && !strcmp(name, CONFIG_RUNTIME_NAME))
		return error_set(err, 0,
				 "%s: line %u: runtime is \"%s\": podman would not start without it; change that first",
				 doc, it->line, CONFIG_RUNTIME_NAME);
	return 0;
}
