/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-blk device (virtio 1.2, 5.2): configuration space, start and stop. vCPU threads; resize and limits come
 * from the loop thread. The guest controls the write cache's mode. Requests are in blk_request.c, the thread that
 * serves them in blk_worker.c.
 *
 * The file is used through the host's page cache. So a write is in the host's memory when it is reported, and survives
 * the end of this process, but not the host's; FLUSH makes it durable. A driver that did not negotiate FLUSH, or that
 * switched the write cache off, gets each write reported when it is durable (5.2.6.2).
 */
#include "blk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blk_internal.h"

#define BIT(n) (1ull << (n))
#define FEATURES                                                                               \
	(BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) | \
	 BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_TOPOLOGY))
#define FEATURES_RW (BIT(VIRTIO_BLK_F_CONFIG_WCE) | BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))

#define SEGMENT_MAX (4u << 20) /* bytes */

static struct blk *blk_of(const struct virtio_dev *d)
{
	return (struct blk *)(uintptr_t)d;
}

static void config_read(struct virtio_dev *d, uint32_t off, void *buf, uint32_t len)
{
	struct blk *b = blk_of(d);
	struct virtio_blk_config c = b->config;

	c.capacity = atomic_load(&b->sectors);
	c.wce = atomic_load(&b->writeback);
	memcpy(buf, (uint8_t *)&c + off, len);
}

static void config_write(struct virtio_dev *d, uint32_t off, const void *buf, uint32_t len)
{
	struct blk *b = blk_of(d);
	const uint8_t *value = buf;

	if (off == offsetof(struct virtio_blk_config, wce) && len == 1 &&
	    (d->driver_features & BIT(VIRTIO_BLK_F_CONFIG_WCE)))
		atomic_store(&b->writeback, value[0] & 1);
}

static int activate(struct virtio_dev *d)
{
	atomic_store(&blk_of(d)->writeback, (d->driver_features & BIT(VIRTIO_BLK_F_FLUSH)) != 0);
	return blk_worker_run(blk_of(d), true);
}

static void reset(struct virtio_dev *d)
{
	blk_worker_run(blk_of(d), false);
}

static const struct virtio_ops blk_ops = {
	.name = "blk",
	.id = VIRTIO_ID_BLK,
	.features = FEATURES,
	.nqueues = 1,
	.queue_max = BLK_QUEUE_SIZE,
	.config_len = sizeof(struct virtio_blk_config),
	.config_read = config_read,
	.config_write = config_write,
	.activate = activate,
	.reset = reset,
};

static int read_size(const struct blk *b, uint64_t *bytes)
{
	struct stat st;

	if (b->is_device)
		return ioctl(b->fd, BLKGETSIZE64, bytes) ? -errno : 0;
	if (fstat(b->fd, &st))
		return -errno;
	*bytes = (uint64_t)st.st_size;
	return 0;
}

static uint8_t exponent(uint32_t n)
{
	uint8_t e = 0;

	while (n > 1) {
		n >>= 1;
		e++;
	}
	return e;
}

/* Block sizes: a device's own, and of a file what its file system likes. */
static void describe(struct blk *b, const struct stat *st)
{
	int logical = (int)BLK_SECTOR;
	unsigned int physical = 4096, minimum = 0, optimum = 0;

	if (b->is_device) {
		if (ioctl(b->fd, BLKSSZGET, &logical) || logical < (int)BLK_SECTOR || logical > 4096)
			logical = (int)BLK_SECTOR;
		if (ioctl(b->fd, BLKPBSZGET, &physical) || physical < (unsigned int)logical)
			physical = (unsigned int)logical;
		ioctl(b->fd, BLKIOMIN, &minimum);
		ioctl(b->fd, BLKIOOPT, &optimum);
	} else if (st->st_blksize >= (blksize_t)BLK_SECTOR && st->st_blksize <= 65536) {
		physical = (unsigned int)st->st_blksize;
	}
	b->config = (struct virtio_blk_config){
		.size_max = SEGMENT_MAX,
		.seg_max = BLK_SEGMENTS,
		.blk_size = (uint32_t)logical,
		.physical_block_exp = exponent(physical / (unsigned int)logical),
		.min_io_size = (uint16_t)(minimum / (unsigned int)logical),
		.opt_io_size = optimum / (unsigned int)logical,
		.num_queues = (uint16_t)b->dev.nqueues,
		.max_discard_sectors = BLK_RANGE_MAX,
		.max_discard_seg = 1,
		.discard_sector_alignment = physical / BLK_SECTOR,
		.max_write_zeroes_sectors = BLK_RANGE_MAX,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};
}

static int open_file(struct blk *b)
{
	int flags = fcntl(b->fd, F_GETFL), ret;
	uint64_t bytes = 0;
	struct stat st;

	if (flags < 0 || fstat(b->fd, &st))
		return -errno;
	if ((flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY || (!b->readonly && (flags & O_ACCMODE) != O_RDWR))
		return -EACCES;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EINVAL;
	b->is_device = S_ISBLK(st.st_mode);
	ret = read_size(b, &bytes);
	atomic_store(&b->sectors, bytes / BLK_SECTOR);
	describe(b, &st);
	return ret;
}

struct virtio_dev *blk_create(const struct gmem *mem, struct blk_worker *w, int fd, bool readonly, const char *serial,
			      unsigned int queues)
{
	struct blk *b;
	int ret;

	if (queues == 0 || queues > BLK_QUEUES_MAX || strlen(serial) > BLK_SERIAL_MAX) {
		errno = EINVAL;
		return NULL;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->ops = blk_ops;
	b->ops.nqueues = queues;
	if (!readonly)
		b->ops.features |= FEATURES_RW;
	else
		b->ops.features |= BIT(VIRTIO_BLK_F_RO);
	if (queues > 1)
		b->ops.features |= BIT(VIRTIO_BLK_F_MQ);
	b->dev.ops = &b->ops;
	b->dev.mem = mem;
	b->dev.nqueues = queues;
	b->worker = w;
	b->fd = fd;
	b->readonly = readonly;
	atomic_store(&b->writeback, true);
	memcpy(b->serial, serial, strlen(serial));
	ret = open_file(b);
	if (ret == 0)
		ret = blk_worker_add(w, b);
	if (ret) {
		free(b);
		errno = -ret;
		return NULL;
	}
	return &b->dev;
}

void blk_destroy(struct virtio_dev *d)
{
	struct blk *b = blk_of(d);

	blk_worker_del(b);
	close(b->fd);
	free(b);
}

int blk_resize(struct virtio_dev *d)
{
	struct blk *b = blk_of(d);
	uint64_t bytes = 0;
	int ret = read_size(b, &bytes);

	if (ret)
		return ret;
	/* Requests behind a new, nearer end fail from here on; those on their way meet the end of the file. */
	if (atomic_exchange(&b->sectors, bytes / BLK_SECTOR) != bytes / BLK_SECTOR)
		virtio_config_changed(d);
	return 0;
}

void blk_limit(struct virtio_dev *d, const struct blk_limits *l)
{
	blk_worker_limits(blk_of(d), l);
}
