/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/dlx/fake_broker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/xalloc.h"

#define REQUESTS_MAX 128

enum act { ACT_DECLARE, ACT_PASSIVE, ACT_BIND };

struct request {
	enum act act;
	const char *kind; /* "queue" or "exchange" */
	char *name;
	char *source; /* of a binding */
	char *key;
	rmq_reply_cb *cb;
	void *arg;
};

struct rmq_channel {
	struct fake_broker *fake;
	const struct rmq_channel_cbs *cbs;
	void *arg;
	struct loop_timer *timer; /* answers soon */
	bool opened, abandoned, pumping;
	struct request requests[REQUESTS_MAX];
	size_t asked, answered;
};

struct rmq_conn *
fake_broker_conn(struct fake_broker *fake)
{
	return (struct rmq_conn *)(void *)fake;
}

static const struct fake_broker *
fake_of(const struct rmq_conn *conn)
{
	return (const struct fake_broker *)(const void *)conn;
}

bool
rmq_conn_is_open(const struct rmq_conn *conn)
{
	return fake_of(conn)->open;
}

const char *
rmq_fault_name(enum rmq_fault fault)
{
	return fault == RMQ_FAULT_SERVER ? "server" : "io";
}

bool
fake_broker_has_made(const struct fake_broker *fake, const char *what)
{
	size_t i;

	for (i = 0; i < fake->made_count; i++) {
		if (strcmp(fake->made[i], what) == 0)
			return true;
	}
	return false;
}

void
fake_broker_clear(struct fake_broker *fake)
{
	while (fake->made_count > 0)
		free(fake->made[--fake->made_count]);
}

static void
make(struct fake_broker *fake, char *what)
{
	assert(fake->made_count < 256);
	fake->made[fake->made_count++] = what;
}

static unsigned
traits_of(const struct fake_broker *fake, const struct request *request)
{
	unsigned traits = fake->everything;
	char *what = xasprintf("%s %s", request->kind, request->name);
	size_t i, len;

	for (i = 0; i < 4 && fake->some[i].name != NULL; i++) {
		len = strlen(fake->some[i].name);
		if (fake->some[i].name[len - 1] == '*'
			? strncmp(what, fake->some[i].name, len - 1) == 0
			: strcmp(what, fake->some[i].name) == 0)
			traits ^= fake->some[i].traits;
	}
	if (fake_broker_has_made(fake, what))
		traits |= FAKE_EXISTS;
	free(what);
	return traits;
}

static uint16_t
no(struct rmq_close *why, uint16_t code, const char *text)
{
	why->fault = RMQ_FAULT_SERVER;
	why->code = code;
	snprintf(why->text, sizeof(why->text), "%s", text);
	return code;
}

static uint16_t
declare(struct fake_broker *fake, const struct request *request,
    unsigned traits, struct rmq_close *why)
{
	if ((traits & (FAKE_NO_CONFIGURE | FAKE_HIDDEN)) != 0)
		return no(why, 403, "ACCESS_REFUSED - configure access");
	if ((traits & FAKE_NODE_DOWN) != 0)
		return no(why, 404, "NOT_FOUND - home node is down");
	if ((traits & FAKE_EXCLUSIVE) != 0)
		return no(why, 405, "RESOURCE_LOCKED - exclusive");
	if ((traits & FAKE_INVALID) != 0)
		return no(why, 406, "PRECONDITION_FAILED - invalid arg");
	if ((traits & FAKE_DIFFERENT) != 0)
		return no(why, 406, "PRECONDITION_FAILED - inequivalent arg");
	if ((traits & FAKE_EXISTS) == 0)
		make(fake, xasprintf("%s %s", request->kind, request->name));
	return 0;
}

static uint16_t
passive(const struct request *request, unsigned traits, struct rmq_close *why)
{
	if ((traits & FAKE_HIDDEN) != 0)
		return no(why, 403, "ACCESS_REFUSED - access");
	if ((traits & FAKE_NODE_DOWN) != 0)
		return no(why, 404, "NOT_FOUND - home node is down");
	if ((traits & FAKE_EXCLUSIVE) != 0)
		return no(why, 405, "RESOURCE_LOCKED - exclusive");
	if ((traits & FAKE_EXISTS) == 0)
		return no(why, 404,
		    *request->kind == 'q' ? "NOT_FOUND - no queue"
					  : "NOT_FOUND - no exchange");
	return 0;
}

/* The reply code that a request leads to, 0 for "yes". */
static uint16_t
judge(struct fake_broker *fake, const struct request *request,
    struct rmq_close *why)
{
	unsigned traits = traits_of(fake, request);

	switch (request->act) {
	case ACT_DECLARE:
		fake->declares++;
		return declare(fake, request, traits, why);
	case ACT_PASSIVE:
		fake->passives++;
		return passive(request, traits, why);
	case ACT_BIND:
		fake->bindings++;
		if ((traits & FAKE_NO_BIND) != 0)
			return no(why, 403, "ACCESS_REFUSED - write access");
		if ((traits & FAKE_NODE_DOWN) != 0)
			return no(why, 404, "NOT_FOUND - home node is down");
		if ((traits & FAKE_EXISTS) == 0)
			return no(why, 404, "NOT_FOUND - no queue");
		make(fake,
		    xasprintf("binding %s -> %s (%s)", request->source,
			request->name, request->key));
		return 0;
	}
	return 0;
}

static void
answer(struct rmq_channel *channel, const struct rmq_close *why)
{
	struct request *request = &channel->requests[channel->answered++];
	struct rmq_reply reply = { .ok = why == NULL, .error = why };

	request->cb(request->arg, &reply);
}

static void
channel_free(struct rmq_channel *channel)
{
	size_t i;

	for (i = 0; i < channel->asked; i++) {
		free(channel->requests[i].name);
		free(channel->requests[i].source);
		free(channel->requests[i].key);
	}
	loop_timer_free(channel->fake->loop, channel->timer);
	free(channel);
}

/* All that is outstanding is "no", then the channel is gone. */
static void
channel_end(struct rmq_channel *channel, const struct rmq_close *why)
{
	while (!channel->abandoned && channel->answered < channel->asked)
		answer(channel, why);
	if (!channel->abandoned)
		channel->cbs->closed(channel->arg, why);
	channel_free(channel);
}

/* Answers one request, or opens. */
static void
channel_pump(void *arg)
{
	struct rmq_channel *channel = arg;
	struct fake_broker *fake = channel->fake;
	struct rmq_close why = { .fault = RMQ_FAULT_IO };

	if (fake->silent)
		return;
	channel->pumping = true;
	if (fake->lose_after == 0) {
		fake->open = false;
		channel_end(channel, &why);
		return;
	}
	fake->lose_after--;
	if (!channel->opened) {
		channel->opened = true;
		channel->cbs->opened(channel->arg);
	} else if (channel->answered < channel->asked) {
		if (judge(fake, &channel->requests[channel->answered], &why) !=
		    0) {
			channel_end(channel, &why);
			return;
		}
		answer(channel, NULL);
	}
	channel->pumping = false;
	if (channel->abandoned)
		channel_free(channel);
	else if (channel->answered < channel->asked)
		loop_timer_start(fake->loop, channel->timer, 1);
}

struct rmq_channel *
rmq_channel_open(struct rmq_conn *conn, const struct rmq_channel_cbs *cbs,
    void *arg)
{
	struct fake_broker *fake = (struct fake_broker *)(void *)conn;
	struct rmq_channel *channel;

	assert(fake->open);
	if (fake->no_channels)
		return NULL;
	channel = xcalloc(1, sizeof(*channel));
	channel->fake = fake;
	channel->cbs = cbs;
	channel->arg = arg;
	channel->timer = loop_timer_new(fake->loop, channel_pump, channel);
	loop_timer_start(fake->loop, channel->timer, 1);
	fake->channels++;
	return channel;
}

void
rmq_channel_abandon(struct rmq_channel *channel)
{
	channel->abandoned = true;
	if (!channel->pumping)
		channel_free(channel);
}

static void
ask(struct rmq_channel *channel, const struct request *request,
    const char *name, const char *source, const char *key)
{
	struct request *mine;

	assert(channel->opened && channel->asked < REQUESTS_MAX);
	mine = &channel->requests[channel->asked++];
	*mine = *request;
	mine->name = xstrdup(name);
	mine->source = xstrdup(source);
	mine->key = xstrdup(key);
	loop_timer_start(channel->fake->loop, channel->timer, 1);
}

static enum act
declare_act(unsigned flags)
{
	assert((flags & RMQ_DURABLE) != 0);
	return (flags & RMQ_PASSIVE) != 0 ? ACT_PASSIVE : ACT_DECLARE;
}

void
rmq_exchange_declare(struct rmq_channel *channel, const char *name,
    const char *type, unsigned flags, struct rmq_slice args, rmq_reply_cb *cb,
    void *arg)
{
	struct request request = { .act = declare_act(flags),
		.kind = "exchange",
		.cb = cb,
		.arg = arg };

	assert(type != NULL && args.len == 0);
	ask(channel, &request, name, "", "");
}

void
rmq_queue_declare(struct rmq_channel *channel, const char *name, unsigned flags,
    struct rmq_slice args, rmq_reply_cb *cb, void *arg)
{
	struct request request = { .act = declare_act(flags),
		.kind = "queue",
		.cb = cb,
		.arg = arg };

	assert(args.len > 0 || (flags & RMQ_PASSIVE) != 0);
	ask(channel, &request, name, "", "");
}

void
rmq_exchange_bind(struct rmq_channel *channel, const char *destination,
    const char *source, const char *key, struct rmq_slice args,
    rmq_reply_cb *cb, void *arg)
{
	struct request request = { .act = ACT_BIND,
		.kind = "exchange",
		.cb = cb,
		.arg = arg };

	assert(args.len == 0);
	ask(channel, &request, destination, source, key);
}

void
rmq_queue_bind(struct rmq_channel *channel, const char *queue,
    const char *exchange, const char *key, struct rmq_slice args,
    rmq_reply_cb *cb, void *arg)
{
	struct request request = { .act = ACT_BIND,
		.kind = "queue",
		.cb = cb,
		.arg = arg };

	assert(args.len == 0);
	ask(channel, &request, queue, exchange, key);
}
