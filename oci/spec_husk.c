/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What concerns the VM as such: husk's annotations (run.husk.*), the pod annotations of the engines, the vm
 * object, and the two host-side settings of the linux object, intelRdt and memoryPolicy.
 */
#include <ctype.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>

#include "oci/spec_internal.h"

#ifndef MPOL_WEIGHTED_INTERLEAVE
#define MPOL_WEIGHTED_INTERLEAVE 6
#endif

#define HUSK_PREFIX_TEXT "run.husk."

/* ---- run.husk.* ---- */

static bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end || v < min || v > max)
		return false;
	*out = v;
	return true;
}

static int husk_number(struct parse *p, const struct json *a, uint32_t min, uint32_t max, struct opt_u32 *out)
{
	uint64_t v;

	if (!number_parse(a->text, min, max, &v))
		return json_error(p->err, a, "\"%.32s\" is not a number from %u to %u", a->text, min, max);
	*out = (struct opt_u32){ true, (uint32_t)v };
	return 0;
}

static int husk_bool(struct parse *p, const struct json *a, struct opt_bool *out)
{
	bool on = strcmp(a->text, "true") == 0 || strcmp(a->text, "1") == 0;

	if (!on && strcmp(a->text, "false") != 0 && strcmp(a->text, "0") != 0)
		return json_error(p->err, a, "\"%.32s\" is neither true nor false", a->text);
	*out = (struct opt_bool){ true, on };
	return 0;
}

static int husk_network(struct parse *p, const struct json *a, enum husk_net *out)
{
	if (strcmp(a->text, "none") == 0)
		*out = HUSK_NET_NONE;
	else if (strcmp(a->text, "auto") == 0)
		*out = HUSK_NET_AUTO;
	else
		return json_error(p->err, a, "\"%.32s\" is neither auto nor none", a->text);
	return 0;
}

static int husk_dax(struct parse *p, const struct json *a, enum husk_dax *out)
{
	static const char *const names[] = { "auto", "none", "all" };

	for (unsigned int k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		if (strcmp(a->text, names[k]) == 0) {
			*out = (enum husk_dax)k;
			return 0;
		}
	}
	return json_error(p->err, a, "\"%.32s\" is neither auto, none nor all", a->text);
}

static int parse_own(struct parse *p, const struct json *a, struct spec_husk *out)
{
	const char *name = a->key + strlen(HUSK_PREFIX_TEXT);

	if (strcmp(name, "memory") == 0)
		return husk_number(p, a, 32, 1u << 24, &out->memory);
	if (strcmp(name, "vcpus") == 0)
		return husk_number(p, a, 1, 254, &out->vcpus);
	if (strcmp(name, "boot_timeout") == 0)
		return husk_number(p, a, 100, 600000, &out->boot_timeout);
	if (strcmp(name, "debug") == 0)
		return husk_bool(p, a, &out->debug);
	if (strcmp(name, "ksm") == 0)
		return husk_bool(p, a, &out->ksm);
	if (strcmp(name, "network") == 0)
		return husk_network(p, a, &out->network);
	if (strcmp(name, "net_queues") == 0)
		return husk_number(p, a, 1, 8, &out->net_queues);
	if (strcmp(name, "inotify") == 0)
		return husk_bool(p, a, &out->inotify);
	if (strcmp(name, "dax") == 0)
		return husk_dax(p, a, &out->dax);
	if (strncmp(a->key, VOLUME_PREFIX, strlen(VOLUME_PREFIX)) == 0)
		return 0; /* parse_volumes() */
	/* the specification forbids an error here */
	parse_warn(p, "annotations: %.64s is unknown to this version of husk", a->key);
	return 0;
}

/* ---- pods: containerd's CRI plugin, CRI-O, podman ---- */

#define CRI "io.kubernetes.cri."
#define CRIO "io.kubernetes.cri-o."

static void pod_role(struct spec_pod *pod, const char *text)
{
	if (!text)
		return;
	if (strcmp(text, "sandbox") == 0)
		pod->role = POD_SANDBOX;
	else if (strcmp(text, "container") == 0)
		pod->role = POD_CONTAINER;
}

static void parse_pod(const struct spec *spec, struct spec_pod *pod)
{
	static const char *const ids[] = { CRI "sandbox-id", CRIO "SandboxID" };
	const char *text;
	uint64_t v;

	pod_role(pod, spec_annotation(spec, CRIO "ContainerType"));
	pod_role(pod, spec_annotation(spec, CRI "container-type"));
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]) && !pod->sandbox_id; i++) {
		text = spec_annotation(spec, ids[i]);
		if (text && text[0])
			pod->sandbox_id = text;
	}
	/* hints: a value that is no number is nobody's error */
	text = spec_annotation(spec, CRI "sandbox-memory");
	if (text && number_parse(text, 1, INT64_MAX, &v))
		pod->sandbox_memory = (struct opt_i64){ true, (int64_t)v };
	text = spec_annotation(spec, CRI "sandbox-cpu-quota");
	if (text && number_parse(text, 1, INT64_MAX, &v))
		pod->sandbox_quota = (struct opt_i64){ true, (int64_t)v };
	text = spec_annotation(spec, CRI "sandbox-cpu-period");
	if (text && number_parse(text, 1, INT64_MAX, &v))
		pod->sandbox_period = (struct opt_u64){ true, v };
	text = spec_annotation(spec, CRI "sandbox-cpu-shares");
	if (text && number_parse(text, 1, INT64_MAX, &v))
		pod->sandbox_shares = (struct opt_u64){ true, v };
}

int parse_husk(struct parse *p, const struct json *annotations, struct spec *out)
{
	json_for_each(a, annotations)
	{
		if (a->key[0] == '\0')
			return json_error(p->err, annotations, "the name of an annotation is empty");
		if (strncmp(a->key, HUSK_PREFIX_TEXT, strlen(HUSK_PREFIX_TEXT)) == 0 && parse_own(p, a, &out->husk) < 0)
			return -1;
	}
	parse_pod(out, &out->pod);
	return 0;
}

/* ---- vm ---- */

static int vm_path(struct parse *p, const struct json *obj, const char *key, const char **out)
{
	if (json_get_string(obj, key, out, p->err) < 0)
		return -1;
	if (*out && (*out)[0] == '\0')
		*out = NULL;
	return *out ? path_check(json_member(obj, key), *out, p->err) : 0;
}

static int vm_image(struct parse *p, const struct json *image, struct spec_vm *out)
{
	static const char *const formats[] = { "raw", "qcow2", "vdi", "vmdk", "vhd" };
	bool known = false;

	if (vm_path(p, image, "path", &out->image_path) < 0 ||
	    json_need_string(image, "format", &out->image_format, p->err) < 0)
		return -1;
	if (!out->image_path)
		return json_error(p->err, image, "path is missing");
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		known |= strcmp(formats[i], out->image_format) == 0;
	if (!known)
		return json_error(p->err, image, "\"%.32s\" is not an image format", out->image_format);
	return 0;
}

int parse_vm(struct parse *p, const struct json *vm, struct spec_vm *out)
{
	struct json *hypervisor = NULL, *kernel = NULL, *image = NULL;

	out->set = true;
	parse_warn(p, "vm is ignored: a container runs on husk's own kernel");
	if (json_get_object(vm, "hypervisor", &hypervisor, p->err) < 0 ||
	    json_get_object(vm, "kernel", &kernel, p->err) < 0 || json_get_object(vm, "image", &image, p->err) < 0)
		return -1;
	if (hypervisor && (vm_path(p, hypervisor, "path", &out->hypervisor_path) < 0 ||
			   json_get_strings(p->arena, hypervisor, "parameters", &out->hypervisor_params, p->err) < 0))
		return -1;
	if (kernel) {
		if (vm_path(p, kernel, "path", &out->kernel_path) < 0 ||
		    vm_path(p, kernel, "initrd", &out->initrd_path) < 0 ||
		    json_get_strings(p->arena, kernel, "parameters", &out->kernel_params, p->err) < 0)
			return -1;
		if (!out->kernel_path)
			return json_error(p->err, kernel, "path is missing");
	}
	return image ? vm_image(p, image, out) : 0;
}

/* ---- intelRdt ---- */

/* A directory name directly below /sys/fs/resctrl. */
static bool clos_valid(const char *id)
{
	return id[0] && strcmp(id, ".") != 0 && strcmp(id, "..") != 0 && !strpbrk(id, "/\n") && strlen(id) < 256;
}

int parse_rdt(struct parse *p, const struct json *rdt, struct spec_rdt *out)
{
	const char *l3 = NULL, *mb = NULL;
	struct strings schemata = { 0 };
	bool cmt = false, mbm = false;

	out->set = true;
	if (json_get_string(rdt, "closID", &out->clos_id, p->err) < 0 ||
	    json_get_string(rdt, "l3CacheSchema", &l3, p->err) < 0 ||
	    json_get_string(rdt, "memBwSchema", &mb, p->err) < 0 ||
	    json_get_strings(p->arena, rdt, "schemata", &schemata, p->err) < 0 ||
	    json_get_bool(rdt, "enableCMT", &cmt, p->err) < 0 || json_get_bool(rdt, "enableMBM", &mbm, p->err) < 0 ||
	    json_get_bool(rdt, "enableMonitoring", &out->monitoring, p->err) < 0)
		return -1;
	if (out->clos_id && out->clos_id[0] == '\0')
		out->clos_id = NULL;
	if (out->clos_id && !clos_valid(out->clos_id))
		return json_error(p->err, json_member(rdt, "closID"), "\"%.64s\" is not a directory name",
				  out->clos_id);
	if (l3 && l3[0])
		strings_add(p->arena, &out->schemata, l3);
	if (mb && mb[0])
		strings_add(p->arena, &out->schemata, mb);
	for (size_t i = 0; i < schemata.n; i++)
		strings_add(p->arena, &out->schemata, schemata.v[i]);
	out->monitoring |= cmt || mbm;
	return 0;
}

/* ---- memoryPolicy ---- */

const struct name_value mempolicy_modes[] = {
	{ "MPOL_BIND", MPOL_BIND },
	{ "MPOL_DEFAULT", MPOL_DEFAULT },
	{ "MPOL_INTERLEAVE", MPOL_INTERLEAVE },
	{ "MPOL_LOCAL", MPOL_LOCAL },
	{ "MPOL_PREFERRED", MPOL_PREFERRED },
	{ "MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY },
	{ "MPOL_WEIGHTED_INTERLEAVE", MPOL_WEIGHTED_INTERLEAVE },
	{ NULL, 0 },
};

const struct name_value mempolicy_flags[] = {
	{ "MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING },
	{ "MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES },
	{ "MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES },
	{ NULL, 0 },
};

int parse_mempolicy(struct parse *p, const struct json *policy, struct spec_mempolicy *out)
{
	const struct name_value *mode;
	struct strings flags = { 0 };
	const char *name = NULL;

	out->set = true;
	out->nodes = "";
	if (json_need_string(policy, "mode", &name, p->err) < 0 ||
	    json_get_string(policy, "nodes", &out->nodes, p->err) < 0 ||
	    json_get_strings(p->arena, policy, "flags", &flags, p->err) < 0)
		return -1;
	mode = name_find(mempolicy_modes, name);
	if (!mode)
		return json_error(p->err, policy, "\"%.64s\" is not a memory policy", name);
	out->mode = (int)mode->value;
	for (size_t i = 0; i < flags.n; i++) {
		const struct name_value *flag = name_find(mempolicy_flags, flags.v[i]);

		if (!flag)
			return json_error(p->err, policy, "\"%.64s\" is not a flag of memory policies", flags.v[i]);
		out->mode_flags |= (uint32_t)flag->value;
	}
	if ((out->mode_flags & MPOL_F_STATIC_NODES) && (out->mode_flags & MPOL_F_RELATIVE_NODES))
		return json_error(p->err, policy, "nodes cannot be both static and relative");
	if (out->nodes[0] && cpulist_count(out->nodes) < 1)
		return json_error(p->err, policy, "nodes \"%.64s\" is not a list such as \"0-1,3\"", out->nodes);
	if ((out->mode == MPOL_DEFAULT || out->mode == MPOL_LOCAL) && (out->nodes[0] || out->mode_flags))
		return json_error(p->err, policy, "%s takes neither nodes nor flags", name);
	if (out->mode != MPOL_DEFAULT && out->mode != MPOL_LOCAL && out->mode != MPOL_PREFERRED && !out->nodes[0])
		return json_error(p->err, policy, "%s needs nodes", name);
	return 0;
}
