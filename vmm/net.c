/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net over a TAP device (virtio 1.2, 5.1).
 *
 * Runs in the event loop thread; activate and reset come from a vCPU thread while no callback runs. The guest
 * controls the rings, the frames and the header before each frame.
 *
 * Nothing is copied here: frames go between the guest's buffers and the TAP by readv and writev. The header in front
 * of a frame (struct virtio_net_hdr_v1) is the one the TAP speaks, and the kernel checks it on its own copy when
 * it takes a frame from us, so a guest that changes it meanwhile gains nothing.
 *
 * With vhost-net the kernel serves both queues of a pair (vhost.c), and only the control queue is served here.
 *
 * Receive holds buffers ahead: chains are popped into a flat iovec until the largest frame fits, one readv fills the
 * first of them, and the rest waits for the next frame. Without mergeable buffers a frame has one chain only.
 */
#include "net.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "log.h"
#include "vhost.h"

#define QUEUE_SIZE 256
#define HDR_LEN sizeof(struct virtio_net_hdr_v1)
#define FRAME_MAX (65536 + 18 + HDR_LEN) /* a 64 KiB segment, Ethernet header with a VLAN tag, our header */
#define RX_IOV_MAX 1024			 /* IOV_MAX: what one readv takes */
#define BUDGET 64			 /* frames of one callback, so that no queue starves the loop */

#define BIT(n) (1ULL << (n))
#define OFFLOADS                                                                                    \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) |     \
	 BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_HOST_TSO4) | \
	 BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN))
#define FEATURES                                                                                  \
	(OFFLOADS | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MRG_RXBUF) | \
	 BIT(VIRTIO_NET_F_STATUS))
#define FEATURES_MQ (FEATURES | BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_MQ))

struct net;

/* One receive and one transmit queue, and the TAP queue behind them. */
struct pair {
	struct net *net;
	struct vq *rx, *tx;
	int tap, vhost; /* vhost -1: we serve the queues */
	bool served;	/* by vhost-net, now */
	struct loop_watch tap_watch, rx_kick, tx_kick;

	/* receive buffers that are popped and not yet filled, oldest first */
	struct iovec iov[RX_IOV_MAX];
	unsigned int niov;
	size_t room; /* bytes in iov */
	struct {
		uint16_t head;
		uint16_t niov;
		uint32_t len;
	} held[QUEUE_SIZE];
	unsigned int nheld;
};

struct net {
	struct virtio_dev dev; /* first: ops get a virtio_dev */
	struct virtio_ops ops; /* a copy: features and queue count depend on the number of pairs */
	struct virtio_net_config config;
	struct loop *loop;
	struct loop_watch ctrl_kick;
	unsigned int pairs;
	size_t frame_max; /* what the TAP may hand over as one frame, header included, as negotiated */
	bool active;
	uint64_t vhost_features; /* what all vhosts know */
	struct vq_chain chain;	 /* scratch of the loop thread */
	struct pair pair[];
};

static struct net *net_of(struct virtio_dev *d)
{
	return (struct net *)(void *)d;
}

static void drain(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0) /* EAGAIN: another wake-up took it */
		return;
}

static bool merges(const struct net *n)
{
	return n->dev.driver_features & BIT(VIRTIO_NET_F_MRG_RXBUF);
}

/* The driver broke the rules: the device needs a reset, nothing of it runs until then. */
static void net_fault(struct net *n, const char *why)
{
	for (unsigned int i = 0; i < n->pairs; i++)
		loop_mod(n->loop, &n->pair[i].tap_watch, 0);
	virtio_fault(&n->dev, why);
}

/* ---- receive: TAP to guest ---- */

/*
 * Hold enough buffers for the largest frame (5.1.6.3.1: the driver must offer that much).
 * Returns 1 when a frame may be read, 0 when the driver has to supply buffers first, negative on a broken ring.
 */
static int rx_hold(struct net *n, struct pair *p)
{
	while (merges(n) ? p->room < n->frame_max : p->nheld == 0) {
		struct vq_chain *c = &n->chain;
		int r;

		if (p->nheld == QUEUE_SIZE || p->niov == RX_IOV_MAX)
			return 1;
		r = vq_pop(p->rx, c);
		if (r < 0)
			return r;
		if (r == 0)
			return 0; /* less would cut, and so lose, the largest frames */
		if (c->nread || c->write_len < HDR_LEN || c->write_len > UINT32_MAX)
			return -EPROTO;
		if (c->nwrite > RX_IOV_MAX - p->niov) {
			vq_unpop(p->rx, c->head);
			return 1;
		}
		memcpy(p->iov + p->niov, c->iov, c->nwrite * sizeof(c->iov[0]));
		p->held[p->nheld].head = c->head;
		p->held[p->nheld].niov = c->nwrite;
		p->held[p->nheld].len = (uint32_t)c->write_len;
		p->nheld++;
		p->niov += c->nwrite;
		p->room += c->write_len;
	}
	return 1;
}

/* Write `len` bytes at offset `off` of the held buffers. */
static void rx_patch(struct pair *p, size_t off, const void *src, size_t len)
{
	const uint8_t *s = src;

	for (unsigned int i = 0; i < p->niov && len; i++) {
		size_t step;

		if (off >= p->iov[i].iov_len) {
			off -= p->iov[i].iov_len;
			continue;
		}
		step = p->iov[i].iov_len - off < len ? p->iov[i].iov_len - off : len;
		memcpy((uint8_t *)p->iov[i].iov_base + off, s, step);
		s += step;
		len -= step;
		off = 0;
	}
}

/* A frame of `len` bytes, header included, is in the first held buffers: give them to the driver. */
static int rx_give(struct pair *p, size_t len)
{
	unsigned int used = 0, iovs = 0;
	size_t sum = 0;
	uint16_t count;

	do {
		sum += p->held[used].len;
		iovs += p->held[used].niov;
		used++;
	} while (sum < len && used < p->nheld);

	count = (uint16_t)used;
	rx_patch(p, offsetof(struct virtio_net_hdr_v1, num_buffers), &count, sizeof(count));

	for (unsigned int i = 0; i < used; i++) {
		uint32_t part = len < p->held[i].len ? (uint32_t)len : p->held[i].len;

		if (vq_push(p->rx, p->held[i].head, part) < 0)
			return -EPROTO;
		len -= part;
	}
	p->nheld -= used;
	p->niov -= iovs;
	p->room -= sum;
	memmove(p->held, p->held + used, p->nheld * sizeof(p->held[0]));
	memmove(p->iov, p->iov + iovs, p->niov * sizeof(p->iov[0]));
	return 0;
}

static void rx_run(struct net *n, struct pair *p)
{
	unsigned int budget = BUDGET;
	int r = 1;

	vq_disable_kick(p->rx);
	while (budget--) {
		unsigned int cnt;
		ssize_t len;

		r = rx_hold(n, p);
		if (r == 0 && vq_enable_kick(p->rx))
			continue;
		if (r <= 0)
			break;
		cnt = merges(n) ? p->niov : p->held[0].niov;
		len = readv(p->tap, p->iov, (int)cnt);
		if (len < 0)
			/*
			 * EAGAIN: no frame; EBADFD or EIO: the TAP is gone or down, the link is dead until it
			 * is replaced
			 */
			break;
		if ((size_t)len < HDR_LEN)
			continue;
		r = rx_give(p, (size_t)len);
		if (r < 0)
			break;
	}
	if (r < 0) {
		net_fault(n, "receive queue");
		return;
	}
	virtio_notify(&n->dev, p->rx);
	/* no buffers: frames wait in the TAP until the driver kicks; else level-triggered epoll comes back */
	loop_mod(n->loop, &p->tap_watch, r == 0 ? 0 : EPOLLIN);
}

static void on_tap(void *arg, uint32_t events)
{
	struct pair *p = arg;

	if (events & EPOLLIN)
		rx_run(p->net, p);
	else if (events & (EPOLLERR | EPOLLHUP)) /* the interface was deleted */
		loop_mod(p->net->loop, &p->tap_watch, 0);
}

static void on_rx_kick(void *arg, uint32_t events)
{
	struct pair *p = arg;

	(void)events;
	drain(p->rx->kick);
	rx_run(p->net, p);
}

/* ---- transmit: guest to TAP ---- */

static void tx_run(struct net *n, struct pair *p)
{
	struct vq_chain *c = &n->chain;
	unsigned int budget = BUDGET;
	int r;

	while ((r = vq_take(p->tx, c)) > 0) {
		/* A frame the TAP refuses (EINVAL: lying header, EIO: link down, EAGAIN: its queue is full) is
		 * dropped, as on any wire; a frame of impossible size never reaches it. */
		if (c->read_len > HDR_LEN && c->read_len <= FRAME_MAX) {
			ssize_t sent = writev(p->tap, c->iov, c->nread);

			(void)sent;
		}
		if (vq_push(p->tx, c->head, 0) < 0) {
			r = -EPROTO;
			break;
		}
		if (--budget == 0) { /* come back after the other queues had their turn */
			uint64_t one = 1;
			ssize_t w = write(p->tx->kick, &one, sizeof(one));

			(void)w;
			break;
		}
	}
	if (r < 0)
		net_fault(n, "transmit queue");
	else
		virtio_notify(&n->dev, p->tx);
}

static void on_tx_kick(void *arg, uint32_t events)
{
	struct pair *p = arg;

	(void)events;
	drain(p->tx->kick);
	tx_run(p->net, p);
}

/* ---- control queue: only the number of queue pairs (5.1.6.5.5) ---- */

static uint8_t ctrl_command(struct net *n, const struct vq_chain *c)
{
	struct virtio_net_ctrl_hdr hdr;
	struct virtio_net_ctrl_mq mq;

	if (chain_read(c, 0, &hdr, sizeof(hdr)) != sizeof(hdr))
		return VIRTIO_NET_ERR;
	if (hdr.class != VIRTIO_NET_CTRL_MQ || hdr.cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
		return VIRTIO_NET_ERR;
	if (chain_read(c, sizeof(hdr), &mq, sizeof(mq)) != sizeof(mq))
		return VIRTIO_NET_ERR;
	if (mq.virtqueue_pairs < 1 || mq.virtqueue_pairs > n->pairs)
		return VIRTIO_NET_ERR;
	/* Detached TAP queues get no flows, so that none arrives on a pair the driver doesn't serve. */
	for (unsigned int i = 0; i < n->pairs; i++) {
		struct ifreq ifr = { .ifr_flags = i < mq.virtqueue_pairs ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

		if (ioctl(n->pair[i].tap, TUNSETQUEUE, &ifr) < 0 && errno != EINVAL) /* EINVAL: is so already */
			return VIRTIO_NET_ERR;
	}
	return VIRTIO_NET_OK;
}

static void on_ctrl_kick(void *arg, uint32_t events)
{
	struct net *n = arg;
	struct vq *q = &n->dev.vq[2 * n->pairs];
	int r;

	(void)events;
	drain(q->kick);
	while ((r = vq_pop(q, &n->chain)) > 0) {
		uint8_t ack = ctrl_command(n, &n->chain);
		uint32_t written = (uint32_t)chain_write(&n->chain, 0, &ack, sizeof(ack));

		if (vq_push(q, n->chain.head, written) < 0) {
			r = -EPROTO;
			break;
		}
	}
	if (r < 0)
		net_fault(n, "control queue");
	else
		virtio_notify(&n->dev, q);
}

/* ---- device ---- */

static void net_config_read(struct virtio_dev *d, uint32_t off, void *buf, uint32_t len)
{
	memcpy(buf, (const uint8_t *)&net_of(d)->config + off, len);
}

/* What the guest can take from us is what the TAP may produce (5.1.6.3). */
static unsigned int tap_offloads(uint64_t features)
{
	unsigned int o = 0;

	if (features & BIT(VIRTIO_NET_F_GUEST_CSUM)) {
		o |= TUN_F_CSUM;
		if (features & BIT(VIRTIO_NET_F_GUEST_TSO4))
			o |= TUN_F_TSO4;
		if (features & BIT(VIRTIO_NET_F_GUEST_TSO6))
			o |= TUN_F_TSO6;
		if ((o & (TUN_F_TSO4 | TUN_F_TSO6)) && (features & BIT(VIRTIO_NET_F_GUEST_ECN)))
			o |= TUN_F_TSO_ECN;
	}
	return o;
}

static int watch(struct net *n, struct loop_watch *w, int fd, loop_fn fn, void *arg)
{
	*w = (struct loop_watch){ .fd = fd, .events = EPOLLIN, .fn = fn, .arg = arg };
	return loop_add(n->loop, w);
}

static void pair_stop(struct net *n, struct pair *p)
{
	if (p->served)
		vhost_stop(p->vhost);
	p->served = false;
	loop_del(n->loop, &p->tap_watch);
	loop_del(n->loop, &p->rx_kick);
	loop_del(n->loop, &p->tx_kick);
	p->nheld = p->niov = 0;
	p->room = 0;
}

static void net_reset(struct virtio_dev *d)
{
	struct net *n = net_of(d);

	if (!n->active)
		return;
	for (unsigned int i = 0; i < n->pairs; i++)
		pair_stop(n, &n->pair[i]);
	if (n->pairs > 1)
		loop_del(n->loop, &n->ctrl_kick);
	n->active = false;
}

static int pair_start(struct net *n, struct pair *p)
{
	int r;

	p->nheld = p->niov = 0;
	p->room = 0;
	if (ioctl(p->tap, TUNSETOFFLOAD, tap_offloads(n->dev.driver_features)) < 0)
		return -errno;
	if (!p->rx->running || !p->tx->running)
		return 0; /* the driver set up fewer pairs than there are */
	if (p->vhost >= 0) {
		r = vhost_start(p->vhost, n->dev.mem, n->dev.driver_features & n->vhost_features, p->rx, p->tx, p->tap);
		p->served = r == 0;
		if (p->served)
			return 0;
		log_line("net: vhost-net does not start: %s; served without it", strerror(-r));
	}
	r = watch(n, &p->tap_watch, p->tap, on_tap, p);
	if (r == 0)
		r = watch(n, &p->rx_kick, p->rx->kick, on_rx_kick, p);
	if (r == 0)
		r = watch(n, &p->tx_kick, p->tx->kick, on_tx_kick, p);
	return r;
}

static int net_activate(struct virtio_dev *d)
{
	struct net *n = net_of(d);
	int r = 0;

	n->active = true;
	n->frame_max = FRAME_MAX;
	if (!(d->driver_features & (BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6))))
		n->frame_max = HDR_LEN + 18u + n->config.mtu;
	for (unsigned int i = 0; i < n->pairs && r == 0; i++)
		r = pair_start(n, &n->pair[i]);
	if (r == 0 && n->pairs > 1)
		r = watch(n, &n->ctrl_kick, d->vq[2 * n->pairs].kick, on_ctrl_kick, n);
	if (r < 0)
		net_reset(d);
	return r;
}

static const struct virtio_ops net_ops = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.features = FEATURES,
	.nqueues = 2,
	.queue_max = QUEUE_SIZE,
	.config_len = sizeof(struct virtio_net_config),
	.config_read = net_config_read,
	.activate = net_activate,
	.reset = net_reset,
};

struct virtio_dev *net_create(const struct gmem *mem, struct loop *loop, const uint8_t mac[6], uint16_t mtu,
			      const int *tap, const int *vhost, unsigned int pairs)
{
	uint64_t known = UINT64_MAX;
	struct net *n;

	if (pairs < 1 || pairs > CTL_PAIRS_MAX || mtu < 68) {
		errno = EINVAL;
		return NULL;
	}
	for (unsigned int i = 0; i < pairs; i++) {
		int size = HDR_LEN;

		if (ioctl(tap[i], TUNSETVNETHDRSZ, &size) < 0)
			return NULL;
	}
	for (unsigned int i = 0; vhost && i < pairs; i++) {
		uint64_t features = 0;
		int ret = vhost_open(vhost[i], &features);

		if (ret == 0 && !(features & BIT(VIRTIO_F_VERSION_1)))
			ret = -ENOTSUP;
		if (ret) {
			errno = -ret;
			return NULL;
		}
		known &= features;
	}
	n = calloc(1, sizeof(*n) + pairs * sizeof(n->pair[0]));
	if (!n)
		return NULL;
	n->ops = net_ops;
	n->ops.nqueues = 2 * pairs;
	if (pairs > 1) {
		n->ops.features = FEATURES_MQ;
		n->ops.nqueues++;
	}
	n->dev.ops = &n->ops;
	n->dev.mem = mem;
	n->dev.nqueues = n->ops.nqueues;
	n->loop = loop;
	n->pairs = pairs;
	n->vhost_features = known;
	memcpy(n->config.mac, mac, 6);
	n->config.status = VIRTIO_NET_S_LINK_UP;
	n->config.max_virtqueue_pairs = (uint16_t)pairs;
	n->config.mtu = mtu;
	for (unsigned int i = 0; i < pairs; i++) {
		n->pair[i].net = n;
		n->pair[i].tap = tap[i];
		n->pair[i].vhost = vhost ? vhost[i] : -1;
		n->pair[i].rx = &n->dev.vq[2 * i];
		n->pair[i].tx = &n->dev.vq[2 * i + 1];
	}
	return &n->dev;
}

void net_destroy(struct virtio_dev *d)
{
	struct net *n = net_of(d);

	for (unsigned int i = 0; i < n->pairs; i++) {
		close(n->pair[i].tap);
		if (n->pair[i].vhost >= 0)
			close(n->pair[i].vhost);
	}
	free(n);
}
