/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much D-Bus as it takes to ask systemd for a scope. Messages that arrive are bounded and every length in them is
 * checked, although it is systemd that sends them.
 */
#include "dbus.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "util.h"
#include "vmm.h"

#define MESSAGE_MAX (1u << 20)
#define FIELD_PATH 1
#define FIELD_INTERFACE 2
#define FIELD_MEMBER 3
#define FIELD_ERROR 4
#define FIELD_REPLY_SERIAL 5
#define FIELD_DESTINATION 6
#define FIELD_SIGNATURE 8
#define TYPE_CALL 1
#define TYPE_RETURN 2
#define TYPE_ERROR 3
#define TYPE_SIGNAL 4
#define MANAGER "org.freedesktop.systemd1.Manager"

/* ---- marshalling ---- */

static void put(struct dbus_body *b, const void *data, size_t len)
{
	if (b->len + len > b->cap) {
		b->cap = (b->len + len) * 2;
		b->data = xrealloc(b->data, b->cap);
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

void dbus_align(struct dbus_body *b, size_t n)
{
	static const uint8_t zero[8];

	if (b->len % n)
		put(b, zero, n - b->len % n);
}

void dbus_put_u8(struct dbus_body *b, uint8_t v)
{
	put(b, &v, sizeof(v));
}

void dbus_put_u32(struct dbus_body *b, uint32_t v)
{
	dbus_align(b, 4);
	put(b, &v, sizeof(v));
}

void dbus_put_u64(struct dbus_body *b, uint64_t v)
{
	dbus_align(b, 8);
	put(b, &v, sizeof(v));
}

void dbus_put_string(struct dbus_body *b, const char *s)
{
	dbus_put_u32(b, (uint32_t)strlen(s));
	put(b, s, strlen(s) + 1);
}

void dbus_put_signature(struct dbus_body *b, const char *s)
{
	dbus_put_u8(b, (uint8_t)strlen(s));
	put(b, s, strlen(s) + 1);
}

size_t dbus_array_begin(struct dbus_body *b, size_t align)
{
	size_t mark;

	dbus_put_u32(b, 0);
	mark = b->len;
	dbus_align(b, align);
	return mark;
}

void dbus_array_end(struct dbus_body *b, size_t mark, size_t align)
{
	size_t first = (mark + align - 1) / align * align;
	uint32_t len = (uint32_t)(b->len - first);

	memcpy(b->data + mark - sizeof(len), &len, sizeof(len));
}

void dbus_body_free(struct dbus_body *b)
{
	free(b->data);
	*b = (struct dbus_body){ 0 };
}

/* ---- reading ---- */

struct reader {
	const uint8_t *p;
	size_t len, off;
	bool bad;
};

static const void *take(struct reader *r, size_t align, size_t n)
{
	size_t off = (r->off + align - 1) / align * align;

	if (r->bad || off > r->len || n > r->len - off) {
		r->bad = true;
		return NULL;
	}
	r->off = off + n;
	return r->p + off;
}

static uint32_t take_u32(struct reader *r)
{
	const void *p = take(r, 4, sizeof(uint32_t));
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

/* A string or object path into out[DBUS_NAME], cut to fit. */
static void take_string(struct reader *r, char *out)
{
	uint32_t len = take_u32(r);
	const char *p = len < MESSAGE_MAX ? take(r, 1, (size_t)len + 1) : NULL;

	*out = '\0';
	if (!p || p[len])
		r->bad = true;
	else
		snprintf(out, DBUS_NAME, "%s", p);
}

struct message {
	uint8_t type;
	uint32_t reply_serial;
	char member[DBUS_NAME], error[DBUS_NAME], signature[DBUS_NAME];
	struct reader body;
	uint8_t *data; /* owned */
};

static void take_field(struct reader *r, struct message *m)
{
	const uint8_t *code = take(r, 8, 1), *sig_len = take(r, 1, 1);
	const char *sig = sig_len ? take(r, 1, (size_t)*sig_len + 1) : NULL;
	char skip[DBUS_NAME];

	if (!sig || sig[*sig_len]) {
		r->bad = true;
	} else if (!strcmp(sig, "s") || !strcmp(sig, "o")) {
		take_string(r, *code == FIELD_MEMBER ? m->member : *code == FIELD_ERROR ? m->error : skip);
	} else if (!strcmp(sig, "u")) {
		uint32_t v = take_u32(r);

		if (*code == FIELD_REPLY_SERIAL)
			m->reply_serial = v;
	} else if (!strcmp(sig, "g")) {
		const uint8_t *len = take(r, 1, 1);
		const char *text = len ? take(r, 1, (size_t)*len + 1) : NULL;

		if (text && !text[*len] && *code == FIELD_SIGNATURE)
			snprintf(m->signature, sizeof(m->signature), "%s", text);
	} else {
		r->bad = true;
	}
}

static int receive_exactly(int fd, void *data, size_t len, uint64_t deadline)
{
	uint8_t *p = data;

	while (len) {
		uint64_t now = mono_ns();
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (now >= deadline)
			return -ETIMEDOUT;
		if (poll(&pfd, 1, (int)((deadline - now) / 1000000 + 1)) < 0 && errno != EINTR)
			return -errno;
		if (!pfd.revents)
			continue;
		n = recv(fd, p, len, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return n ? -errno : -EPIPE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int receive(struct dbus *d, struct message *m, uint64_t deadline)
{
	uint8_t head[16];
	uint32_t body_len, fields_len;
	size_t fields, total;
	struct reader r;
	int rc = receive_exactly(d->fd, head, sizeof(head), deadline);

	*m = (struct message){ 0 };
	if (rc)
		return rc;
	memcpy(&body_len, head + 4, 4);
	memcpy(&fields_len, head + 12, 4);
	if (head[0] != 'l' || head[3] != 1 || body_len > MESSAGE_MAX || fields_len > MESSAGE_MAX)
		return -EPROTO;
	fields = ((size_t)fields_len + 7) & ~(size_t)7; /* 16 bytes of head are aligned already */
	total = fields + body_len;
	m->type = head[1];
	m->data = xmalloc(total);
	rc = receive_exactly(d->fd, m->data, total, deadline);
	r = (struct reader){ .p = m->data, .len = fields_len };
	while (!rc && !r.bad && r.off < r.len)
		take_field(&r, m);
	m->body = (struct reader){ .p = m->data + fields, .len = body_len };
	if (!rc && r.bad)
		rc = -EPROTO;
	if (rc)
		free(m->data);
	return rc;
}

/* JobRemoved(u id, o job, s unit, s result) */
static void note_signal(struct dbus *d, struct message *m)
{
	char job[DBUS_NAME], unit[DBUS_NAME], result[DBUS_NAME];

	if (strcmp(m->member, "JobRemoved") || strcmp(m->signature, "uoss"))
		return;
	take_u32(&m->body);
	take_string(&m->body, job);
	take_string(&m->body, unit);
	take_string(&m->body, result);
	if (m->body.bad)
		return;
	snprintf(d->job[d->njobs % DBUS_JOBS].path, DBUS_NAME, "%s", job);
	snprintf(d->job[d->njobs % DBUS_JOBS].result, sizeof(d->job[0].result), "%.60s", result);
	d->njobs++;
}

/* ---- calls ---- */

static int fail(int rc, struct error *err)
{
	return rc == -ETIMEDOUT ? error_set(err, 0, "systemd does not answer (timed out)")
				: error_set(err, -rc, "connection to systemd");
}

static void put_field(struct dbus_body *b, uint8_t code, const char *signature, const char *value)
{
	dbus_align(b, 8);
	dbus_put_u8(b, code);
	dbus_put_signature(b, signature);
	if (*signature == 'g')
		dbus_put_signature(b, value);
	else
		dbus_put_string(b, value);
}

static int send_call(struct dbus *d, const char *member, const char *signature, const struct dbus_body *body)
{
	struct dbus_body b = { 0 };
	size_t mark;
	int rc;

	dbus_put_u8(&b, 'l');
	dbus_put_u8(&b, TYPE_CALL);
	dbus_put_u8(&b, 0);
	dbus_put_u8(&b, 1);
	dbus_put_u32(&b, body ? (uint32_t)body->len : 0);
	dbus_put_u32(&b, ++d->serial);
	mark = dbus_array_begin(&b, 8);
	put_field(&b, FIELD_PATH, "o", "/org/freedesktop/systemd1");
	put_field(&b, FIELD_DESTINATION, "s", "org.freedesktop.systemd1");
	put_field(&b, FIELD_INTERFACE, "s", MANAGER);
	put_field(&b, FIELD_MEMBER, "s", member);
	if (*signature)
		put_field(&b, FIELD_SIGNATURE, "g", signature);
	dbus_array_end(&b, mark, 8);
	dbus_align(&b, 8);
	if (body)
		put(&b, body->data, body->len);
	rc = 0;
	for (size_t off = 0; !rc && off < b.len;) {
		ssize_t n = send(d->fd, b.data + off, b.len - off, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			rc = -errno;
		else if (n > 0)
			off += (size_t)n;
	}
	dbus_body_free(&b);
	return rc;
}

int dbus_call(struct dbus *d, const char *member, const char *signature, const struct dbus_body *body, char *object,
	      char *error_name, uint64_t deadline, struct error *err)
{
	int rc = send_call(d, member, signature, body);

	if (error_name)
		*error_name = '\0';
	while (!rc) {
		struct message m;

		rc = receive(d, &m, deadline);
		if (rc)
			break;
		if (m.type == TYPE_SIGNAL) {
			note_signal(d, &m);
		} else if (m.reply_serial == d->serial && m.type == TYPE_RETURN) {
			if (object && *m.signature == 'o')
				take_string(&m.body, object);
			free(m.data);
			return 0;
		} else if (m.reply_serial == d->serial && m.type == TYPE_ERROR) {
			char text[DBUS_NAME] = "";

			if (*m.signature == 's')
				take_string(&m.body, text);
			if (error_name)
				snprintf(error_name, DBUS_NAME, "%s", m.error);
			free(m.data);
			return error_set(err, 0, "systemd: %s: %s", member, *text ? text : m.error);
		}
		free(m.data);
	}
	return fail(rc, err);
}

int dbus_wait_job(struct dbus *d, const char *job, uint64_t deadline, struct error *err)
{
	for (;;) {
		struct message m;
		int rc;

		for (unsigned int i = 0; i < d->njobs && i < DBUS_JOBS; i++) {
			if (strcmp(d->job[i].path, job))
				continue;
			if (!strcmp(d->job[i].result, "done"))
				return 0;
			return error_set(err, 0, "systemd: the job ended with \"%s\"", d->job[i].result);
		}
		rc = receive(d, &m, deadline);
		if (rc)
			return fail(rc, err);
		if (m.type == TYPE_SIGNAL)
			note_signal(d, &m);
		free(m.data);
	}
}

/* ---- connection ---- */

static int authenticate(struct dbus *d, uint64_t deadline)
{
	char uid[16], hello[64], line[256];
	size_t n = 0, len;

	snprintf(uid, sizeof(uid), "%u", (unsigned int)geteuid());
	len = (size_t)snprintf(hello, sizeof(hello), "%cAUTH EXTERNAL ", 0);
	for (const char *p = uid; *p; p++)
		len += (size_t)snprintf(hello + len, sizeof(hello) - len, "%02x", (unsigned char)*p);
	len += (size_t)snprintf(hello + len, sizeof(hello) - len, "\r\n");
	if (send(d->fd, hello, len, MSG_NOSIGNAL) != (ssize_t)len)
		return -EPIPE;
	for (;;) { /* one line, and not a byte of what may follow it */
		ssize_t got = recv(d->fd, line, sizeof(line), MSG_PEEK | MSG_DONTWAIT);
		const char *end = got > 0 ? memchr(line, '\n', (size_t)got) : NULL;
		struct pollfd p = { .fd = d->fd, .events = POLLIN };

		n = end ? (size_t)(end - line) + 1 : 0;
		if (end)
			break;
		if (!got || got == (ssize_t)sizeof(line))
			return -EPROTO;
		if (mono_ns() >= deadline)
			return -ETIMEDOUT;
		if (poll(&p, 1, got > 0 ? 1 : 100) < 0 && errno != EINTR)
			return -errno;
	}
	if (receive_exactly(d->fd, line, n, deadline))
		return -EPIPE;
	if (n < 3 || strncmp(line, "OK ", 3))
		return -EACCES;
	return send(d->fd, "BEGIN\r\n", 7, MSG_NOSIGNAL) == 7 ? 0 : -EPIPE;
}

int dbus_open(struct dbus *d, const char *socket_path, uint64_t deadline, struct error *err)
{
	int rc;

	*d = (struct dbus){ .fd = unix_connect(socket_path) };
	if (d->fd < 0)
		return error_set(err, -d->fd, "systemd's socket %s (is systemd running?)", socket_path);
	rc = authenticate(d, deadline);
	return rc ? fail(rc, err) : 0;
}

void dbus_close(struct dbus *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}
