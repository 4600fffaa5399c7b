/* SPDX-License-Identifier: Apache-2.0 */
/*
 * husk-agent: PID 1 of the guest. Boots the user space of the VM, then serves the host over vsock.
 *
 * One thread, one loop. Only the host may connect: a container that opens a vsock socket of its own
 * reaches nobody (the kernel has no loopback transport, the VMM refuses), and a peer that is not
 * the host is turned away here.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "cgroup.h"
#include "container.h"
#include "grow.h"
#include "log.h"
#include "loop.h"
#include "net_slot.h"
#include "reaper.h"
#include "session.h"
#include "util.h"
#include "wire.h"

static struct watch listener = { .fd = -1 }, ready = { .fd = -1 };

static void on_connection(void *arg, uint32_t events)
{
	struct sockaddr_vm peer = { 0 };
	socklen_t len = sizeof(peer);
	int fd = accept4(listener.fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC), r;

	(void)arg;
	(void)events;
	if (fd < 0)
		return;
	if (peer.svm_cid != VMADDR_CID_HOST) {
		close(fd);
		return;
	}
	r = session_add(fd);
	if (r)
		log_line("new session: %s", strerror(-r));
}

/* Refused by the VMM, as it should be: the attempt was the message. */
static void on_ready(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	watch_close(&ready);
}

/* 0, or -errno: -ENODEV when the VM has no vsock device. */
static int listen_vsock(void)
{
	struct sockaddr_vm any = { .svm_family = AF_VSOCK, .svm_port = WIRE_PORT, .svm_cid = VMADDR_CID_ANY };
	struct sockaddr_vm host = { .svm_family = AF_VSOCK, .svm_port = WIRE_READY_PORT, .svm_cid = VMADDR_CID_HOST };

	listener.fn = on_connection;
	ready.fn = on_ready;
	listener.fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener.fd < 0 || bind(listener.fd, (struct sockaddr *)&any, sizeof(any)) || listen(listener.fd, 64))
		return -errno;
	ready.fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (ready.fd < 0)
		return -errno;
	if (connect(ready.fd, (struct sockaddr *)&host, sizeof(host)) && errno != EINPROGRESS && errno != ECONNRESET)
		return -errno;
	return 0;
}

static void read_command_line(void)
{
	char text[32], *colon;
	uint64_t first, n;

	if (boot_word("husk.exit=1", NULL, 0))
		reboot(RB_AUTOBOOT);
	if (!boot_word("husk.nics=", text, sizeof(text)))
		return;
	colon = strchr(text, ':');
	if (colon)
		*colon = '\0';
	if (colon && !number_parse(text, &first) && !number_parse(colon + 1, &n) && first <= 255 && n <= 255)
		net_slot_layout((uint32_t)first, (uint32_t)n);
	else
		log_line("husk.nics= on the command line is not FIRST:COUNT");
}

static int serve(void)
{
	int r = loop_init();

	if (r == 0)
		r = reaper_init();
	if (r == 0)
		r = container_init();
	if (r == 0)
		r = watch_set(&listener, EPOLLIN);
	if (r == 0)
		r = watch_set(&ready, EPOLLIN | EPOLLOUT);
	if (r == 0) {
		int err = grow_init(BOOT_CGROUP "/" CGROUP_PARENT);

		if (err)
			log_line("memory does not grow: %s", strerror(-err));
	}
	while (r >= 0)
		r = loop_once(-1);
	return r;
}

int main(void)
{
	int r;

	boot_mark();
	session_boot_ns[0] = now_ns();
	if (getpid() != 1) {
		(void)fprintf(stderr, "husk-agent is the init of a husk guest; it does nothing elsewhere\n");
		return 2;
	}
	/*
	 * nobody but root's own ptrace rights looks into us, or into children before they execute
	 */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	umask(0022);
	boot_mounts();
	session_boot_ns[1] = now_ns();
	read_command_line();
	/* early: the host's first request is on its way while the rest is done */
	r = listen_vsock();
	if (r) {
		log_line("no vsock (%s): nobody can reach this VM; powering off", strerror(-r));
		boot_poweroff();
	}
	session_boot_ns[2] = now_ns();
	boot_settings();
	boot_fatal(serve(), "event loop");
}
