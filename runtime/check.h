/* SPDX-License-Identifier: Apache-2.0 */
/* What `husk check` looks at: one function per line of its output. */
#ifndef HUSK_RUNTIME_CHECK_H
#define HUSK_RUNTIME_CHECK_H

#include <stdint.h>

enum check_result { CHECK_PASS, CHECK_WARN, CHECK_FAIL };

struct check_line {
	const char *name;
	enum check_result result;
	char detail[512]; /* what was found */
	char mend[512];	  /* what to do about it; empty when it passes */
};

struct vmm_files;

/* Host features (check_host.c). Fill detail and mend, return the result. */
enum check_result check_kernel(struct check_line *l);
enum check_result check_cpu(struct check_line *l);
enum check_result check_tun(struct check_line *l);
enum check_result check_vhost(struct check_line *l);
enum check_result check_tc(struct check_line *l);
enum check_result check_cgroup(struct check_line *l);
enum check_result check_userns(struct check_line *l);
enum check_result check_landlock(struct check_line *l);
enum check_result check_seccomp(struct check_line *l);
enum check_result check_thp(struct check_line *l);
enum check_result check_root_dir(struct check_line *l, const char *root);

/* The VM itself (check_vm.c). */
enum check_result check_files(struct check_line *l, struct vmm_files *files);
enum check_result check_kvm(struct check_line *l, const struct vmm_files *files);
enum check_result check_boot(struct check_line *l, const struct vmm_files *files, uint32_t cpus);

/* Set a text; returns the result, for `return check_say(...)`. */
enum check_result check_say(struct check_line *l, enum check_result r, const char *mend, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
