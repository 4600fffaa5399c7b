/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The features document. Engines switch things on by it, so it is made from the parser's own tables and from what the
 * runtime says that it serves: what is recognised but refused is not listed.
 */
#include "oci/features.h"

#include "oci/caps.h"
#include "oci/compile.h"
#include "oci/json.h"
#include "oci/spec_internal.h"
#include "oci/spec_mounts.h"

static void write_names(struct json_writer *w, const char *key, const struct name_value *table)
{
	json_write_array(w, key);
	for (; table->name; table++)
		json_write_string(w, NULL, table->name);
	json_write_end(w, ']');
}

static void write_enabled(struct json_writer *w, const char *key, bool on)
{
	json_write_object(w, key);
	json_write_bool(w, "enabled", on);
	json_write_end(w, '}');
}

static void write_mount_options(struct json_writer *w, unsigned serves)
{
	json_write_array(w, "mountOptions");
	for (const struct mount_option *o = mount_options; o->name; o++)
		if (o->kind != OPT_IDMAP || (serves & HOST_SERVES_IDMAP))
			json_write_string(w, NULL, o->name);
	json_write_end(w, ']');
}

static void write_seccomp(struct json_writer *w)
{
	json_write_object(w, "seccomp");
	json_write_bool(w, "enabled", true);
	write_names(w, "actions", seccomp_actions);
	write_names(w, "operators", seccomp_operators);
	write_names(w, "archs", seccomp_archs);
	write_names(w, "knownFlags", seccomp_flags);
	write_names(w, "supportedFlags", seccomp_flags);
	json_write_end(w, '}');
}

static void write_linux(struct json_writer *w, const struct features_input *in)
{
	static const char *const namespaces[] = { "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts" };

	json_write_object(w, "linux");
	json_write_strings(w, "namespaces", namespaces, sizeof(namespaces) / sizeof(namespaces[0]));
	json_write_array(w, "capabilities");
	for (int i = 0; i <= CAPS_LAST; i++)
		if (caps_name(i))
			json_write_string(w, NULL, caps_name(i));
	json_write_end(w, ']');
	json_write_object(w, "cgroup");
	json_write_bool(w, "v1", true);
	json_write_bool(w, "v2", true);
	json_write_bool(w, "systemd", in->systemd);
	json_write_bool(w, "systemdUser", false);
	json_write_bool(w, "rdma", false);
	json_write_end(w, '}');
	write_seccomp(w);
	write_enabled(w, "apparmor", false);
	write_enabled(w, "selinux", false);
	write_enabled(w, "intelRdt", in->host_serves & HOST_SERVES_RDT);
	if (in->host_serves & HOST_SERVES_MEMPOLICY) {
		json_write_object(w, "memoryPolicy");
		write_names(w, "modes", mempolicy_modes);
		write_names(w, "flags", mempolicy_flags);
		json_write_end(w, '}');
	}
	json_write_object(w, "mountExtensions");
	write_enabled(w, "idmap", in->host_serves & HOST_SERVES_IDMAP);
	json_write_end(w, '}');
	write_enabled(w, "netDevices", in->host_serves & HOST_SERVES_NETDEVS);
	json_write_end(w, '}');
}

int features_document(const struct features_input *in, char **out, struct error *err)
{
	static const char *const hooks[] = { "prestart",       "createRuntime", "createContainer",
					     "startContainer", "poststart",	"poststop" };
	struct json_writer w = { 0 };

	(void)err; /* only memory could fail */
	json_write_object(&w, NULL);
	json_write_string(&w, "ociVersionMin", OCI_VERSION_MIN);
	json_write_string(&w, "ociVersionMax", OCI_VERSION_MAX);
	json_write_strings(&w, "hooks", hooks, sizeof(hooks) / sizeof(hooks[0]));
	write_mount_options(&w, in->host_serves);
	write_linux(&w, in);
	json_write_object(&w, "annotations");
	json_write_string(&w, "run.husk.version", in->version);
	json_write_string(&w, "run.husk.commit", in->commit);
	json_write_end(&w, '}');
	json_write_strings(&w, "potentiallyUnsafeConfigAnnotations", NULL, 0);
	json_write_end(&w, '}');
	*out = json_write_done(&w, NULL);
	return 0;
}
