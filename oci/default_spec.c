/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config.json that `husk spec` writes: a shell on a terminal in ./rootfs, as the other runtimes' default.
 */
#include "oci/features.h"
#include "oci/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void write_process(struct json_writer *w)
{
	static const char *const args[] = { "sh" };
	static const char *const env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
					   "TERM=xterm" };
	static const char *const caps[] = { "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE" };
	static const char *const sets[] = { "bounding", "effective", "permitted" };

	json_write_object(w, "process");
	json_write_bool(w, "terminal", true);
	json_write_object(w, "user");
	json_write_int(w, "uid", 0);
	json_write_int(w, "gid", 0);
	json_write_end(w, '}');
	json_write_strings(w, "args", args, COUNT(args));
	json_write_strings(w, "env", env, COUNT(env));
	json_write_string(w, "cwd", "/");
	json_write_object(w, "capabilities");
	for (size_t i = 0; i < COUNT(sets); i++)
		json_write_strings(w, sets[i], caps, COUNT(caps));
	json_write_end(w, '}');
	json_write_array(w, "rlimits");
	json_write_object(w, NULL);
	json_write_string(w, "type", "RLIMIT_NOFILE");
	json_write_int(w, "hard", 1024);
	json_write_int(w, "soft", 1024);
	json_write_end(w, '}');
	json_write_end(w, ']');
	json_write_bool(w, "noNewPrivileges", true);
	json_write_end(w, '}');
}

static void write_mounts(struct json_writer *w, bool rootless)
{
	static const struct {
		const char *destination, *type, *source, *options[8];
	} mounts[] = {
		{ "/proc", "proc", "proc", { NULL } },
		{ "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
		{ "/dev/pts",
		  "devpts",
		  "devpts",
		  { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
		{ "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
		{ "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
		{ "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
		{ "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "ro" } },
	};

	json_write_array(w, "mounts");
	for (size_t i = 0; i < COUNT(mounts); i++) {
		size_t n = 0;

		while (mounts[i].options[n])
			n++;
		/* group 5 has no number in a user namespace of one id */
		if (rootless && mounts[i].type[0] == 'd')
			n--;
		json_write_object(w, NULL);
		json_write_string(w, "destination", mounts[i].destination);
		json_write_string(w, "type", mounts[i].type);
		json_write_string(w, "source", mounts[i].source);
		if (n)
			json_write_strings(w, "options", mounts[i].options, n);
		json_write_end(w, '}');
	}
	json_write_end(w, ']');
}

static void write_idmap(struct json_writer *w, const char *key, unsigned id)
{
	json_write_array(w, key);
	json_write_object(w, NULL);
	json_write_int(w, "containerID", 0);
	json_write_uint(w, "hostID", id);
	json_write_int(w, "size", 1);
	json_write_end(w, '}');
	json_write_end(w, ']');
}

static void write_linux(struct json_writer *w, bool rootless, unsigned uid, unsigned gid)
{
	static const char *const masked[] = { "/proc/acpi",	   "/proc/asound",	  "/proc/kcore",
					      "/proc/keys",	   "/proc/latency_stats", "/proc/timer_list",
					      "/proc/timer_stats", "/proc/sched_debug",	  "/sys/firmware",
					      "/proc/scsi" };
	static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
						"/proc/sysrq-trigger" };
	static const char *const namespaces[] = { "pid", "network", "ipc", "uts", "mount", "cgroup", "user" };

	json_write_object(w, "linux");
	if (rootless) {
		write_idmap(w, "uidMappings", uid);
		write_idmap(w, "gidMappings", gid);
	} else {
		json_write_object(w, "resources");
		json_write_array(w, "devices");
		json_write_object(w, NULL);
		json_write_bool(w, "allow", false);
		json_write_string(w, "access", "rwm");
		json_write_end(w, '}');
		json_write_end(w, ']');
		json_write_end(w, '}');
	}
	json_write_array(w, "namespaces");
	for (size_t i = 0; i < COUNT(namespaces) - (rootless ? 0 : 1); i++) {
		json_write_object(w, NULL);
		json_write_string(w, "type", namespaces[i]);
		json_write_end(w, '}');
	}
	json_write_end(w, ']');
	json_write_strings(w, "maskedPaths", masked, COUNT(masked));
	json_write_strings(w, "readonlyPaths", readonly, COUNT(readonly));
	json_write_end(w, '}');
}

int default_spec_document(bool rootless, unsigned uid, unsigned gid, char **out, struct error *err)
{
	struct json_writer w = { 0 };

	(void)err; /* only memory could fail */
	json_write_object(&w, NULL);
	json_write_string(&w, "ociVersion", OCI_VERSION_MAX);
	write_process(&w);
	json_write_object(&w, "root");
	json_write_string(&w, "path", "rootfs");
	json_write_bool(&w, "readonly", true);
	json_write_end(&w, '}');
	json_write_string(&w, "hostname", "husk");
	write_mounts(&w, rootless);
	write_linux(&w, rootless, uid, gid);
	json_write_end(&w, '}');
	*out = json_write_done(&w, NULL);
	return 0;
}
