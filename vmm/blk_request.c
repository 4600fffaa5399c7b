/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a block request means (virtio 1.2, 5.2.6). Worker thread; the guest controls all of it. The header is read once;
 * buffers may be cut anywhere (2.7.4.2), so the header is the first 16 readable bytes, the status the last writable
 * one, and the data is what lies between.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>

#include "blk_internal.h"

/* Elements of iov[0..n) from byte `skip` on, `len` bytes, into out. Returns their number. */
static unsigned int cut(const struct iovec *iov, unsigned int n, uint64_t skip, uint64_t len, struct iovec *out)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < n && len > 0; i++) {
		uint64_t part = iov[i].iov_len;

		if (skip >= part) {
			skip -= part;
			continue;
		}
		part -= skip;
		if (part > len)
			part = len;
		out[count++] = (struct iovec){ .iov_base = (uint8_t *)iov[i].iov_base + skip, .iov_len = part };
		skip = 0;
		len -= part;
	}
	return count;
}

static bool is_inside(const struct blk *b, uint64_t sector, uint64_t count)
{
	uint64_t sectors = atomic_load(&b->sectors);

	return sector <= sectors && count <= sectors - sector;
}

static enum blk_verdict done(uint8_t *status, uint8_t value)
{
	*status = value;
	return BLK_DONE;
}

static enum blk_verdict transfer(struct blk *b, const struct vq_chain *c, struct blk_request *r, uint64_t sector,
				 uint8_t *status)
{
	bool write = r->type == VIRTIO_BLK_T_OUT;
	uint64_t len = write ? c->read_len - sizeof(struct virtio_blk_outhdr) : c->write_len - 1;

	if (len % BLK_SECTOR || !is_inside(b, sector, len / BLK_SECTOR) || (write && b->readonly))
		return done(status, VIRTIO_BLK_S_IOERR);
	if (len == 0)
		return done(status, VIRTIO_BLK_S_OK);
	r->op.kind = write ? BLK_IO_WRITE : BLK_IO_READ;
	r->op.mode = write && !atomic_load(&b->writeback) ? RWF_DSYNC : 0;
	r->op.off = sector * BLK_SECTOR;
	r->op.len = len;
	r->op.iov = r->iov;
	r->op.niov = write ? cut(c->iov, c->nread, sizeof(struct virtio_blk_outhdr), len, r->iov)
			   : cut(c->iov + c->nread, c->nwrite, 0, len, r->iov);
	r->data = write ? 0 : (uint32_t)len;
	return BLK_BEGUN;
}

/* Discard and write zeroes: one range each, as the configuration says (5.2.6.2). */
static enum blk_verdict range(struct blk *b, const struct vq_chain *c, struct blk_request *r, uint8_t *status)
{
	struct virtio_blk_discard_write_zeroes v;
	uint32_t flags;

	if (b->readonly)
		return done(status, VIRTIO_BLK_S_IOERR);
	if (c->read_len != sizeof(struct virtio_blk_outhdr) + sizeof(v) ||
	    chain_read(c, sizeof(struct virtio_blk_outhdr), &v, sizeof(v)) != sizeof(v))
		return done(status, VIRTIO_BLK_S_UNSUPP);
	flags = v.flags;
	if (flags & ~(r->type == VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0u))
		return done(status, VIRTIO_BLK_S_UNSUPP);
	if (v.num_sectors > BLK_RANGE_MAX || !is_inside(b, v.sector, v.num_sectors))
		return done(status, VIRTIO_BLK_S_IOERR);
	if (v.num_sectors == 0)
		return done(status, VIRTIO_BLK_S_OK);
	r->op.kind = BLK_IO_ALLOCATE;
	r->op.mode = FALLOC_FL_KEEP_SIZE |
		     (r->type == VIRTIO_BLK_T_DISCARD || flags ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	r->op.off = v.sector * BLK_SECTOR;
	r->op.len = (uint64_t)v.num_sectors * BLK_SECTOR;
	return BLK_BEGUN;
}

static enum blk_verdict get_id(struct blk *b, const struct vq_chain *c, uint8_t *status)
{
	char id[VIRTIO_BLK_ID_BYTES] = { 0 };
	size_t room = c->write_len - 1;

	memcpy(id, b->serial, strlen(b->serial));
	chain_write(c, 0, id, room < sizeof(id) ? room : sizeof(id));
	return done(status, VIRTIO_BLK_S_OK);
}

enum blk_verdict blk_decode(struct blk *b, const struct vq_chain *c, struct blk_request *r, uint8_t *status)
{
	struct virtio_blk_outhdr hdr;
	const struct iovec *last;

	if (c->nwrite == 0)
		return BLK_BROKEN;
	last = &c->iov[c->nread + c->nwrite - 1u];
	r->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	r->data = 0;
	r->type = VIRTIO_BLK_T_GET_ID;
	if (chain_read(c, 0, &hdr, sizeof(hdr)) != sizeof(hdr))
		return done(status, VIRTIO_BLK_S_IOERR);
	r->type = hdr.type;
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return transfer(b, c, r, hdr.sector, status);
	case VIRTIO_BLK_T_FLUSH:
		/* What has been reported as written is in the file by now: one fdatasync covers it (5.2.6.2). */
		r->op.kind = BLK_IO_SYNC;
		return BLK_BEGUN;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return range(b, c, r, status);
	case VIRTIO_BLK_T_GET_ID:
		return get_id(b, c, status);
	default:
		return done(status, VIRTIO_BLK_S_UNSUPP);
	}
}

uint8_t blk_result(struct blk_request *r, bool *again)
{
	*again = false;
	if (r->op.result == 0)
		return VIRTIO_BLK_S_OK;
	if (r->op.kind != BLK_IO_ALLOCATE || (r->op.result != -EOPNOTSUPP && r->op.result != -EINVAL))
		return VIRTIO_BLK_S_IOERR;
	/* Not every file system can zero a range; a hole reads as zeroes, too. */
	if (r->op.mode & FALLOC_FL_ZERO_RANGE) {
		r->op.mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
		*again = true;
	}
	return VIRTIO_BLK_S_UNSUPP;
}

int blk_cost(const struct vq_chain *c, uint64_t *bytes)
{
	uint32_t type = 0;

	chain_read(c, 0, &type, sizeof(type));
	if (type == VIRTIO_BLK_T_IN) {
		*bytes = c->write_len;
		return 0;
	}
	if (type != VIRTIO_BLK_T_OUT && type != VIRTIO_BLK_T_DISCARD && type != VIRTIO_BLK_T_WRITE_ZEROES)
		return -1;
	*bytes = c->read_len;
	return 1;
}
