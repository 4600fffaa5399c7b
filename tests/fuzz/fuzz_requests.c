/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
/*
 * The input is a list of requests that the VM's owner makes on the control socket: each goes the whole way, with
 * descriptors of any kind, to a machine that has most devices but no vCPU and no vsock (that is fuzz_vsock's). Each is
 * answered, and what it brought belongs to the machine or is closed, once: at the end, when shares and NICs are taken
 * out again, no descriptor is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/send_fds.h"
#include "vmm/balloon.h"
#include "vmm/blk.h"
#include "vmm/ctl.h"
#include "vmm/fs.h"
#include "vmm/fs_internal.h"
#include "vmm/mem.h"
#include "vmm/net.h"
#include "vmm/vm.h"

#define SLOTS 12
#define HOT (64ull << 20)

static struct vm vm;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_len;
static int disk; /* the file of the one disk */

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* In place of the C library's: nothing is closed twice. */
int close(int fd)
{
	int ret = (int)syscall(SYS_close, fd);

	must(ret == 0 || errno != EBADF || fd < 0);
	return ret;
}

/* The same: a socket takes what is asked of a TAP. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	int type;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == TUNSETVNETHDRSZ || request == TUNSETOFFLOAD || request == TUNSETQUEUE)
		return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){ sizeof(type) });
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

static void attach(struct virtio_dev *d)
{
	must(d && mmio_attach(&vm.bus, (unsigned int)mmio_free_slot(&vm.bus), d) == 0);
}

static void create(void)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	vm.loop = loop_create();
	pthread_mutex_init(&vm.vcpus.lock, NULL);
	pthread_cond_init(&vm.vcpus.resume, NULL);
	must(vm.loop && gmem_alloc(&vm.mem, 4u << 20) == 0 && gmem_reserve(&vm.mem, HOT) == 0);
	must(mmio_init(&vm.bus, NULL, &vm.mem, SLOTS) == 0 && fs_prepare() == 0);
	attach(vm.fs = fs_create(&vm.mem, 1));
	attach(vm.own_fs = fs_create(&vm.mem, 1));
	attach(vm.balloon = balloon_create(&vm.mem, vm.loop));
	attach(vm.hot = mem_create(&vm.mem, vm.loop));
	disk = memfd_create("disk", MFD_CLOEXEC);
	must(disk >= 0 && ftruncate(disk, 65536) == 0);
	vm.blk = blk_worker_create(false);
	attach(vm.disk[vm.ndisks++] = blk_create(&vm.mem, vm.blk, disk, false, "", 1));
	/* the address is chosen by the kernel, in the abstract name space */
	must(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 && listen(listener, 64) == 0);
	address_len = sizeof(address);
	must(getsockname(listener, (struct sockaddr *)&address, &address_len) == 0);
	vm.ctl = ctl_create(vm.loop, listener, getuid(), vm_request, &vm);
	must(vm.ctl);
}

static void stop(void *arg)
{
	(void)arg;
	loop_stop(vm.loop);
}

static void turn(void)
{
	for (int i = 0; i < 3; i++) {
		loop_call(vm.loop, stop, NULL);
		loop_run(vm.loop);
		if (vm.vcpus.paused) { /* as the last vCPU does it */
			void (*paused)(void *arg) = vm.vcpus.paused;

			vm.vcpus.paused = NULL;
			paused(vm.vcpus.paused_arg);
		}
	}
}

static int open_kind(unsigned int kind)
{
	switch (kind) {
	case 0:
		return open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	case 1:
		return open("/dev/null", O_PATH | O_CLOEXEC);
	case 2:
		return memfd_create("file", MFD_CLOEXEC);
	default: /* a TAP */
		return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
}

static void send_request(int fd, const struct ctl_req *req, const uint8_t *payload, unsigned int nfds,
			 unsigned int kind)
{
	union send_fds u;
	struct iovec iov[2] = { { (void *)(uintptr_t)req, sizeof(*req) }, { (void *)(uintptr_t)payload, req->len } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	int fds[CTL_FDS_MAX];

	for (unsigned int i = 0; i < nfds; i++)
		fds[i] = open_kind(kind);
	send_fds_put(&m, &u, fds, nfds);
	must(sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)(sizeof(*req) + req->len));
	for (unsigned int i = 0; i < nfds; i++)
		close(fds[i]);
}

/* Every request has one answer, of the size that it says. */
static struct ctl_rep answer(int fd)
{
	static char payload[CTL_PAYLOAD_MAX];
	struct ctl_rep rep;

	must(recv(fd, &rep, sizeof(rep), MSG_DONTWAIT) == sizeof(rep));
	must(rep.magic == CTL_MAGIC && rep.status <= 0 && rep.len <= sizeof(payload));
	if (rep.len)
		must(recv(fd, payload, sizeof(payload), MSG_DONTWAIT) == (ssize_t)rep.len);
	return rep;
}

static int32_t request(int fd, uint32_t op, uint32_t arg, const void *payload, uint32_t len)
{
	struct ctl_req req = { CTL_MAGIC, op, arg, len };

	send_request(fd, &req, payload, 0, 0);
	turn();
	return answer(fd).status;
}

/* The machine is as before, but for what it was told of disk, balloon and memory. */
static void clear(int fd)
{
	char name[CTL_PAYLOAD_MAX + 1];
	uint64_t at = 0, ino;
	uint32_t type;

	for (uint32_t slot = 0; slot < SLOTS; slot++)
		request(fd, CTL_DEL_NIC, slot, NULL, 0);
	for (struct virtio_dev *d = vm.fs; d; d = d == vm.fs ? vm.own_fs : NULL)
		while (at = 0, fs_share_next((struct fs *)d, &at, name, &ino, &type))
			must(request(fd, CTL_DEL_SHARE, 0, name, (uint32_t)strlen(name) + 1) == 0);
	if (vcpus_paused(&vm))
		must(request(fd, CTL_RESUME, 0, NULL, 0) == 0);
	vm.ended = false;
}

static int lowest_free(void)
{
	int fd = fcntl(0, F_DUPFD, 0);

	close(fd);
	return fd;
}

/* Of one input byte: small numbers, and those at the edges. */
static uint32_t number(uint8_t b)
{
	static const uint32_t edge[] = { UINT32_MAX, INT32_MAX, 1u << 31, 0x10000, 65, 64, 68, 1u << 20 };

	return b < 248 ? b : edge[b - 248];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd, before;

	if (!vm.loop)
		create();
	before = lowest_free();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(connect(fd, (struct sockaddr *)&address, address_len) == 0);
	for (size_t n; size >= 4; data += 4 + n, size -= 4 + n) {
		struct ctl_req req = { CTL_MAGIC, data[0], number(data[1]), 0 };

		n = data[3] < size - 4 ? data[3] : size - 4;
		if (req.op == CTL_CONNECT)
			continue;
		req.len = (uint32_t)n;
		send_request(fd, &req, data + 4, data[2] >> 2 & 15, data[2] & 3);
		turn();
		answer(fd);
	}
	clear(fd);
	close(fd);
	turn();
	must(lowest_free() == before); /* a descriptor is left */
	return 0;
}
