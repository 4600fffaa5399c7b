/* SPDX-License-Identifier: Apache-2.0 */
// link: vmm
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "tests/unit/runner.h"

static void start(void)
{
	loop = loop_create();
	runner_start();
}

static void stop(void)
{
	runner_stop();
	loop_free(loop);
}

struct counter {
	struct loop_watch w;
	_Atomic int calls, running;
	int sleep_us;
	struct loop_watch *remove; /* in the callback */
};

static void count(void *arg, uint32_t events)
{
	struct counter *c = arg;
	eventfd_t n;

	(void)events;
	c->running = 1;
	eventfd_read(c->w.fd, &n);
	if (c->sleep_us)
		usleep((useconds_t)c->sleep_us);
	if (c->remove)
		loop_del(loop, c->remove);
	c->calls++;
	c->running = 0;
}

static void counter_init(struct counter *c)
{
	*c = (struct counter){ .w = { .fd = eventfd(0, EFD_NONBLOCK), .events = EPOLLIN, .fn = count, .arg = c } };
}

static bool reaches(_Atomic int *v, int want)
{
	for (int i = 0; i < 2000 && *v < want; i++)
		usleep(1000);
	return *v >= want;
}

TEST(a_watch_hears_its_descriptor_until_it_is_removed)
{
	struct counter c;

	start();
	counter_init(&c);
	REQUIRE(loop_add(loop, &c.w) == 0);
	eventfd_write(c.w.fd, 1);
	CHECK(reaches(&c.calls, 1));
	loop_del(loop, &c.w);
	eventfd_write(c.w.fd, 1);
	usleep(20000);
	CHECK_EQ(c.calls, 1);
	loop_del(loop, &c.w); /* twice does no harm */
	stop();
	close(c.w.fd);
}

TEST(events_wanted_can_change)
{
	struct counter c;

	start();
	counter_init(&c);
	REQUIRE(loop_add(loop, &c.w) == 0);
	REQUIRE(loop_mod(loop, &c.w, 0) == 0);
	eventfd_write(c.w.fd, 1);
	usleep(20000);
	CHECK_EQ(c.calls, 0);
	REQUIRE(loop_mod(loop, &c.w, EPOLLIN) == 0);
	CHECK(reaches(&c.calls, 1));
	loop_del(loop, &c.w);
	CHECK_EQ(loop_mod(loop, &c.w, EPOLLIN), -ENOENT);
	stop();
	close(c.w.fd);
}

TEST(removal_from_another_thread_waits_for_the_callback)
{
	struct counter c;

	start();
	counter_init(&c);
	c.sleep_us = 100000;
	REQUIRE(loop_add(loop, &c.w) == 0);
	eventfd_write(c.w.fd, 1);
	CHECK(reaches(&c.running, 1));
	loop_del(loop, &c.w);
	CHECK_EQ(c.running, 0);
	CHECK_EQ(c.calls, 1);
	stop();
	close(c.w.fd);
}

TEST(a_callback_may_remove_itself_and_others_of_its_batch)
{
	struct counter a, b, c;

	counter_init(&a);
	counter_init(&b);
	counter_init(&c);
	a.remove = &b.w;
	b.remove = &a.w;
	c.remove = &c.w;
	loop = loop_create();
	REQUIRE(loop_add(loop, &a.w) == 0 && loop_add(loop, &b.w) == 0 && loop_add(loop, &c.w) == 0);
	eventfd_write(a.w.fd, 1);
	eventfd_write(b.w.fd, 1);
	eventfd_write(c.w.fd, 1);
	runner_start();
	CHECK(reaches(&c.calls, 1));
	usleep(20000);
	CHECK_EQ(a.calls + b.calls, 1); /* whichever came first removed the other */
	eventfd_write(c.w.fd, 1);
	usleep(20000);
	CHECK_EQ(c.calls, 1);
	stop();
}

/* The watch is freed right after its removal, and its memory overwritten, thousands of times, under fire. */
TEST(a_removed_watch_is_never_touched_again)
{
	start();
	for (int i = 0; i < 3000; i++) {
		struct counter *c = malloc(sizeof(*c));

		counter_init(c);
		REQUIRE(loop_add(loop, &c->w) == 0);
		eventfd_write(c->w.fd, 1);
		if (i % 3 == 0)
			usleep(10);
		loop_del(loop, &c->w);
		close(c->w.fd);
		memset(c, 0x5a, sizeof(*c));
		free(c);
	}
	stop();
}

static _Atomic int called;

static void call(void *arg)
{
	(void)arg;
	called++;
}

TEST(calls_run_in_the_loop_and_are_bounded)
{
	int queued = 0;

	loop = loop_create();
	while (loop_call(loop, call, NULL) == 0 && queued < 100000)
		queued++;
	CHECK(queued >= 128 && queued < 100000);
	CHECK_EQ(loop_call(loop, call, NULL), -EAGAIN);
	runner_start();
	CHECK(reaches(&called, queued));
	CHECK_EQ(loop_call(loop, call, NULL), 0);
	CHECK(reaches(&called, queued + 1));
	stop();
}

TEST(watches_are_bounded_and_reusable)
{
	static struct counter c[4097];
	int n = 0, ret = 0;

	loop = loop_create();
	while (n < 4096) {
		counter_init(&c[n]);
		if (c[n].w.fd < 0)
			break; /* this machine's limit of descriptors is lower */
		ret = loop_add(loop, &c[n].w);
		if (ret)
			break;
		n++;
	}
	if (c[n].w.fd >= 0)
		CHECK_EQ(ret, -EMFILE);
	loop_del(loop, &c[5].w);
	CHECK_EQ(loop_add(loop, &c[5].w), 0);
	loop_free(loop);
}
