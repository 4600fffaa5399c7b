/* SPDX-License-Identifier: Apache-2.0 */
/* husk check: can this host run husk? Line by line: pass, warn or fail with the mend; ends with a measured boot. */
#include <stdio.h>

#include "../oci/json.h"
#include "check.h"
#include "husk.h"
#include "options.h"
#include "util.h"
#include "vmm.h"

#define LINES_MAX 20

static const char *const words[] = { [CHECK_PASS] = "pass", [CHECK_WARN] = "warn", [CHECK_FAIL] = "FAIL" };

static void print_line(const struct check_line *l)
{
	printf("%-4s  %-18s %s\n", words[l->result], l->name, l->detail);
	if (*l->mend)
		printf("      %-18s -> %s\n", "", l->mend);
	fflush(stdout);
}

static void print_json(const struct check_line *l, size_t n, enum check_result worst)
{
	static const char *const json_words[] = { [CHECK_PASS] = "pass", [CHECK_WARN] = "warn", [CHECK_FAIL] = "fail" };
	struct json_writer w = { 0 };
	CLEAN_FREE char *text = NULL;

	json_write_object(&w, NULL);
	json_write_string(&w, "result", json_words[worst]);
	json_write_array(&w, "checks");
	for (size_t i = 0; i < n; i++) {
		json_write_object(&w, NULL);
		json_write_string(&w, "name", l[i].name);
		json_write_string(&w, "result", json_words[l[i].result]);
		json_write_string(&w, "detail", l[i].detail);
		if (*l[i].mend)
			json_write_string(&w, "mend", l[i].mend);
		json_write_end(&w, '}');
	}
	json_write_end(&w, ']');
	json_write_end(&w, '}');
	text = json_write_done(&w, NULL);
	fputs(text, stdout);
}

int cmd_check(const struct globals *g, int argc, char **argv, struct error *err)
{
	static const char usage[] = "[--json] [--no-boot]";
	static const struct {
		const char *name;
		enum check_result (*fn)(struct check_line *l);
	} host[] = {
		{ "kernel", check_kernel },	     { "cpu", check_cpu },
		{ "tun device", check_tun },	     { "vhost-net", check_vhost },
		{ "traffic control", check_tc },     { "cgroups", check_cgroup },
		{ "user namespaces", check_userns }, { "seccomp", check_seccomp },
		{ "landlock", check_landlock },	     { "huge pages", check_thp },
	};
	bool json = false, no_boot = false;
	const struct option table[] = {
		{ "json", 0, OPT_FLAG, &json, "", "as JSON" },
		{ "no-boot", 0, OPT_FLAG, &no_boot, "", "do not boot a VM at the end" },
		{ 0 },
	};
	struct vmm_files files = { .kernel_fd = -1, .initrd_fd = -1 };
	struct check_line lines[LINES_MAX] = { 0 }, *l = lines;
	enum check_result worst = CHECK_PASS;
	int first;

	first = verb_options(table, usage, "Can this host run husk?", argc, argv, err);
	if (first == VERB_HELP)
		return 0;
	if (first < 0 || verb_words(argc, argv, first, 0, 0, usage, err) < 0)
		return -1;
#define RUN(text, call)                                        \
	do {                                                   \
		l->name = (text);                              \
		l->result = (call);                            \
		worst = l->result > worst ? l->result : worst; \
		if (!json)                                     \
			print_line(l);                         \
		l++;                                           \
	} while (0)
	for (size_t i = 0; i < ARRAY_LEN(host); i++)
		RUN(host[i].name, host[i].fn(l));
	RUN("state directory", check_root_dir(l, g->root));
	RUN("husk's files", check_files(l, &files));
	RUN("kvm", check_kvm(l, &files));
	if (!no_boot) {
		if ((l - 1)->result == CHECK_PASS)
			RUN("boot", check_boot(l, &files, 1));
		else
			RUN("boot", check_say(l, CHECK_FAIL, "mend the lines above first", "not tried"));
	}
#undef RUN
	vmm_files_free(&files);
	if (json)
		print_json(lines, (size_t)(l - lines), worst);
	else
		printf("\n%s\n", worst == CHECK_FAIL ? "husk cannot run containers here yet."
				 : worst == CHECK_WARN
					 ? "husk runs containers here; what is marked warn is worth a look."
					 : "husk runs containers here.");
	return worst == CHECK_FAIL ? 1 : 0;
}
