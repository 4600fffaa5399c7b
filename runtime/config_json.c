/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker's daemon.json: the member "runtimes" of the root object gets {"husk": {"path": PROGRAM}}. oci/json.c decides
 * whether the document is valid; then a walk over its text finds the places, so that layout and order stay as they are.
 */
#include <string.h>

#include "../oci/json.h"
#include "config_edit.h"

/* An object in the text: where its braces are, and its last member. Only for text that json_parse() took. */
struct place {
	size_t open, close; /* of '{' and '}' */
	size_t last_end;    /* behind the last member's value; 0: it has no member */
	/* the member that was looked for */
	size_t key, value, end; /* key's quote, value's first byte, behind the value; key 0: not there */
	size_t before;		/* behind the previous member's value, or behind '{' */
	size_t after;		/* the next member's key; 0: it is the last */
};

static size_t skip_blank(const char *t, size_t i)
{
	return i + strspn(t + i, " \t\r\n");
}

static size_t skip_string(const char *t, size_t i)
{
	for (i++; t[i] && t[i] != '"'; i++)
		if (t[i] == '\\' && t[i + 1])
			i++;
	return t[i] ? i + 1 : i;
}

static size_t skip_value(const char *t, size_t i)
{
	int depth = 0;

	do {
		if (t[i] == '"') {
			i = skip_string(t, i);
			continue;
		}
		if (t[i] == '{' || t[i] == '[')
			depth++;
		else if (t[i] == '}' || t[i] == ']')
			depth--;
		else if (!depth)
			return i + strcspn(t + i, " \t\r\n,]}");
		i++;
	} while (depth > 0 && t[i]);
	return i;
}

/* Walk the object at @open. -1: a key that is written with escapes, or the key twice. */
static int find_member(const char *doc, const char *t, size_t open, const char *key, struct place *p, struct error *err)
{
	size_t i = skip_blank(t, open + 1), keylen = strlen(key), previous = open + 1;

	*p = (struct place){ .open = open };
	while (t[i] == '"') {
		size_t k = i, k_end = skip_string(t, i), v = skip_blank(t, skip_blank(t, k_end) + 1), end;
		bool found = k_end - k == keylen + 2 && !memcmp(t + k + 1, key, keylen);

		if (memchr(t + k, '\\', k_end - k))
			return error_set(err, 0, "%s: the name %.*s is written with escapes: edit it by hand", doc,
					 (int)(k_end - k), t + k);
		if (found && p->key)
			return error_set(err, 0, "%s: \"%s\" stands in it twice: edit it by hand", doc, key);
		end = skip_value(t, v);
		if (p->key && !p->after)
			p->after = k;
		if (found) {
			p->key = k;
			p->value = v;
			p->end = end;
			p->before = previous;
		}
		previous = p->last_end = end;
		i = skip_blank(t, end);
		if (t[i] != ',')
			break;
		i = skip_blank(t, i + 1);
	}
	p->close = i;
	return 0;
}

/* The blanks before the root object's first member: one level of indentation. NULL: it is on the line of '{'. */
static const char *indentation(struct arena *a, const char *t, const struct place *root)
{
	size_t first = skip_blank(t, root->open + 1), line = first;

	if (!root->last_end)
		return "    ";
	while (line > root->open && t[line - 1] != '\n')
		line--;
	return line > root->open ? arena_strndup(a, t + line, first - line) : NULL;
}

/* Put `"key": value` in as the last member; @indent is that of the members, @outer that of the closing brace. */
static const char *append_member(struct arena *a, const char *t, const struct place *obj, const char *indent,
				 const char *outer, const char *member)
{
	if (obj->last_end)
		return config_splice(a, t, obj->last_end, obj->last_end,
				     indent ? arena_printf(a, ",\n%s%s", indent, member)
					    : arena_printf(a, ", %s", member));
	return config_splice(a, t, obj->open, obj->close + 1,
			     indent ? arena_printf(a, "{\n%s%s\n%s}", indent, member, outer)
				    : arena_printf(a, "{%s}", member));
}

/* The document checked, its root object, and the runtime's entry if it has one. */
struct docker {
	struct json *root;
	struct place top, runtimes,
		entry;	  /* top.key: "runtimes" is there; runtimes.key: "husk" is there; entry: "path" */
	const char *path; /* entry's */
};

static int docker_read(struct arena *a, const char *doc, const char *t, struct docker *d, struct error *err)
{
	struct json *runtimes = NULL, *husk = NULL;

	*d = (struct docker){ 0 };
	if (json_parse(a, doc, t, strlen(t), &d->root, err) < 0 ||
	    json_get_object(d->root, "runtimes", &runtimes, err) < 0 ||
	    (runtimes && json_get_object(runtimes, CONFIG_RUNTIME_NAME, &husk, err) < 0) ||
	    find_member(doc, t, skip_blank(t, 0), "runtimes", &d->top, err) < 0)
		return -1;
	if (d->top.key && !runtimes)
		return error_set(err, 0, "%s: runtimes is null: edit it by hand", doc);
	if (runtimes && find_member(doc, t, d->top.value, CONFIG_RUNTIME_NAME, &d->runtimes, err) < 0)
		return -1;
	if (d->runtimes.key && !husk)
		return error_set(err, 0, "%s: runtimes.%s is null: edit it by hand", doc, CONFIG_RUNTIME_NAME);
	if (!husk)
		return 0;
	if (json_get_string(husk, "path", &d->path, err) < 0 ||
	    find_member(doc, t, d->runtimes.value, "path", &d->entry, err) < 0)
		return -1;
	if (!d->path)
		return error_set(err, 0, "%s: runtimes.%s has no \"path\", so husk did not make it: edit it by hand",
				 doc, CONFIG_RUNTIME_NAME);
	return 0;
}

int config_docker_add(struct arena *a, const char *doc, const char *text, const char *program, const char **out,
		      struct error *err)
{
	bool empty = !text[strspn(text, " \t\r\n")]; /* dockerd takes that, too */
	const char *t = empty ? "{}\n" : text, *indent, *member, *quoted = arena_printf(a, "\"%s\"", program);
	struct docker d;

	if (docker_read(a, doc, t, &d, err) < 0)
		return -1;
	if (d.path) {
		*out = strcmp(d.path, program) ? config_splice(a, t, d.entry.value, d.entry.end, quoted) : text;
		return 0;
	}
	indent = indentation(a, t, &d.top);
	member = indent ? arena_printf(a, "\"" CONFIG_RUNTIME_NAME "\": {\n%s%s%s\"path\": %s\n%s%s}", indent, indent,
				       indent, quoted, indent, indent)
			: arena_printf(a, "\"" CONFIG_RUNTIME_NAME "\": {\"path\": %s}", quoted);
	if (d.top.key) {
		*out = append_member(a, t, &d.runtimes, indent ? arena_printf(a, "%s%s", indent, indent) : NULL, indent,
				     member);
		return 0;
	}
	member = indent ? arena_printf(a, "\"runtimes\": {\n%s%s%s\n%s}", indent, indent, member, indent)
			: arena_printf(a, "\"runtimes\": {%s}", member);
	*out = append_member(a, t, &d.top, indent, "", member);
	return 0;
}

/* The member that find_member() found, with the comma that goes with it. */
static const char *remove_member(struct arena *a, const char *t, const struct place *p)
{
	if (p->after)
		return config_splice(a, t, p->key, p->after, "");
	if (p->before == p->open + 1) /* the only one */
		return config_splice(a, t, p->open + 1, p->close, "");
	return config_splice(a, t, p->before, p->end, "");
}

int config_docker_remove(struct arena *a, const char *doc, const char *text, const char **program, const char **out,
			 struct error *err)
{
	const char *standard = NULL;
	struct docker d;

	*program = NULL;
	*out = text;
	if (!text[strspn(text, " \t\r\n")])
		return 0;
	if (docker_read(a, doc, text, &d, err) < 0 || json_get_string(d.root, "default-runtime", &standard, err) < 0)
		return -1;
	if (!d.path)
		return 0;
	if (standard && !strcmp(standard, CONFIG_RUNTIME_NAME))
		return error_set(
			err, 0,
			"%s: \"default-runtime\" is \"%s\": Docker would not start without it; change that first", doc,
			CONFIG_RUNTIME_NAME);
	*program = d.path;
	if (!d.runtimes.after && d.runtimes.before == d.runtimes.open + 1)
		*out = remove_member(a, text, &d.top); /* "runtimes" has nothing else */
	else
		*out = remove_member(a, text, &d.runtimes);
	return 0;
}
