/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan compiler: a checked spec becomes a guest plan (flat bytes, agent/plan.h) and a host plan (what the
 * runtime must do on this side). Pure: touches no file, process or socket.
 */
#ifndef HUSK_OCI_COMPILE_H
#define HUSK_OCI_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "spec.h"

/* One thing of the host that the guest must see through virtio-fs. */
struct share {
	char *name;	/* file name under PLAN_SHARES, unique in the VM */
	char *source;	/* absolute host path, as config.json says */
	bool readonly;	/* ro or rro: enforced by the VMM */
	bool recursive; /* rbind: submounts too */
	bool is_root;	/* the container's rootfs */
};

struct compile_input {
	const char *cid;
	const char *bundle;	  /* absolute */
	const char *share_prefix; /* share names are PREFIX0, PREFIX1... */
	bool joins_vm;		  /* a further container of a pod VM: namespaces with a path join `sandbox_cid` */
	const char *sandbox_cid;
	const char *state_json;	  /* for startContainer hooks' stdin, may be NULL */
};

struct host_plan {
	struct share *shares;
	size_t nshares;
	uint64_t memory_limit;	/* bytes; 0: none */
	uint32_t vcpus;		/* wished: ceil(quota/period), bounded by cpuset; 0: no wish */
	uint32_t warnings;	/* count of warn[] */
	char **warn;		/* what is ignored on purpose, one line each */
};

struct buf {
	uint8_t *data;
	size_t len, cap;
};

/* All outputs are owned by the caller: buf_free(), host_plan_free(). */
int compile_container(const struct spec *spec, const struct compile_input *in, struct buf *plan, struct host_plan *host,
		      struct error *err);
int compile_process(const struct spec_process *process, const struct spec *container, const char *cid, struct buf *plan, struct error *err);
int compile_update(const struct spec_resources *resources, const char *cid, struct buf *plan, struct error *err);

void buf_free(struct buf *b);
void host_plan_free(struct host_plan *h);

#endif
