/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/settle.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/window.h"
#include "dlx/ladder.h"
#include "lib/backoff.h"
#include "lib/log.h"
#include "lib/xalloc.h"

/* Copies on their way at once, and how long the broker may be silent. */
#define PUBLISH_WINDOW	   1024
#define CONFIRM_TIMEOUT_MS 60000

/* AMQP reply codes of faults that are not the message's own. */
enum { CODE_DENIED = 403, CODE_NOT_FOUND = 404, CODE_PRECONDITION = 406 };

/* Those of a broker in trouble. */
enum { CODE_RESOURCE = 506, CODE_INTERNAL = 541 };

/* When it lasts for more tries (two minutes), the message makes the trouble. */
#define TRIES_OF_TROUBLE 8

struct settle {
	struct loop *loop;
	const char *user;
	struct meter *meter;
	const struct settle_cbs *cbs;
	void *arg;
	struct rmq_publisher *publisher;
	uint32_t frame_max; /* of the publish connection; 0: not known yet */
};

/* A copy and its original, until the original is acked or gone. */
struct settlement {
	struct settle *settle;
	struct delivery *delivery;
	bool dead;	/* to the dead-letter queue; else to the ladder */
	int64_t due_us; /* ladder: not back before */
	struct ladder_route route;
	struct buf props;
	struct rmq_ticket *ticket; /* while the publisher has it */
	struct loop_timer *timer;  /* while backing off */
	unsigned tries;
	unsigned internal_errors; /* among them */
};

struct settle *
settle_new(struct loop *loop, const char *user, struct meter *meter,
    const struct settle_cbs *cbs, void *arg)
{
	const struct rmq_publisher_options options = {
		.correlation_header = ENVELOPE_ID_HEADER,
		.window = PUBLISH_WINDOW,
		.confirm_timeout_ms = CONFIRM_TIMEOUT_MS,
	};
	struct settle *settle = xcalloc(1, sizeof(*settle));

	settle->loop = loop;
	settle->user = user;
	settle->meter = meter;
	settle->cbs = cbs;
	settle->arg = arg;
	settle->publisher = rmq_publisher_new(loop, &options);
	return settle;
}

void
settle_free(struct settle *settle)
{
	if (settle == NULL)
		return;
	rmq_publisher_free(settle->publisher);
	free(settle);
}

void
settle_attach(struct settle *settle, struct rmq_conn *conn)
{
	settle->frame_max = rmq_conn_frame_max(conn);
	rmq_publisher_attach(settle->publisher, conn);
}

void
settle_detach(struct settle *settle)
{
	rmq_publisher_detach(settle->publisher);
}

void
settle_wake(struct settle *settle)
{
	rmq_publisher_wake(settle->publisher);
}

struct rmq_publisher *
settle_publisher(struct settle *settle)
{
	return settle->publisher;
}

void
settle_ok(struct delivery *d)
{
	rmq_ack(d->channel, d->tag);
	window_settled(d, METER_OK);
}

/* Its verdict may have been lost with the connection that its ack was on. */
static void
tell_duplicate(const struct delivery *d)
{
	const struct window_env *env = &d->window->env;
	struct verdict verdict;

	verdict_init(&verdict, OUTCOME_OK, "duplicate");
	events_outcome(env->events, env->pipeline->name, &d->envelope,
	    &(struct events_attempt){
		.verdict = &verdict,
		.outcome = OUTCOME_OK,
		.next = "ack",
	    });
}

void
settle_duplicate(struct delivery *d)
{
	log_info("duplicate", LOG_STR("pipeline", d->window->env.name),
	    LOG_BYTES("id", d->envelope.id.ptr, d->envelope.id.len));
	tell_duplicate(d);
	rmq_ack(d->channel, d->tag);
	window_settled(d, METER_DUPLICATE);
}

static void
settlement_free(struct settlement *s)
{
	if (s->ticket != NULL)
		rmq_publisher_forget(s->settle->publisher, s->ticket);
	loop_timer_free(s->settle->loop, s->timer);
	buf_clear(&s->props);
	s->delivery->settlement = NULL;
	free(s);
}

void
settle_forget(struct delivery *d)
{
	settlement_free(d->settlement);
}

static void
log_dead(const struct settlement *s)
{
	const struct envelope *e = &s->delivery->envelope;

	log_warn("dead_letter",
	    LOG_STR("pipeline", s->delivery->window->env.name),
	    LOG_BYTES("id", e->id.ptr, e->id.len),
	    LOG_STR("reason", envelope_reason_name(e->reason)),
	    LOG_INT("attempts", e->attempt),
	    LOG_BYTES("class", e->class.ptr, e->class.len),
	    LOG_BYTES("error", e->error.ptr, e->error.len));
}

/* The copy is safe: now, and only now, the original may go. */
static void
confirmed(struct settlement *s)
{
	struct delivery *d = s->delivery;
	struct meter_pipeline *meter = &d->window->meter;
	bool dead = s->dead;

	rmq_ack(d->channel, d->tag);
	if (dead) {
		metrics_inc(meter->dead[d->envelope.reason]);
		log_dead(s);
		events_dead(d->window->env.events, d->window->env.name,
		    &d->envelope);
	}
	settlement_free(s);
	window_settled(d, dead ? METER_DEAD : METER_RETRY);
}

/*
 * Writes the copy's properties. A retry whose own headers would have to be
 * cut is not one: its handler would see another message.
 */
static void
write_props(struct settlement *s)
{
	struct delivery *d = s->delivery;
	enum envelope_fit fit;

	buf_reset(&s->props);
	fit = envelope_write(&d->envelope, s->settle->user,
	    s->settle->frame_max, &s->props);
	if (fit != ENVELOPE_FIT_CUT)
		return;
	log_warn("headers_cut", LOG_STR("pipeline", d->window->env.name),
	    LOG_BYTES("id", d->envelope.id.ptr, d->envelope.id.len));
	if (s->dead)
		return;
	s->dead = true;
	envelope_dead(&d->envelope, ENVELOPE_MALFORMED,
	    loop_wall_ms(s->settle->loop),
	    "headers leave no room in a frame for those of a retry");
	buf_reset(&s->props);
	(void)envelope_write(&d->envelope, s->settle->user,
	    s->settle->frame_max, &s->props);
}

/* Of its delay, rounded up; what passed since the verdict is waited already. */
static int64_t
left_ms(const struct settlement *s)
{
	return (s->due_us - loop_now_us(s->settle->loop) + 999) / 1000;
}

static void on_sent(void *arg, const struct rmq_sent_result *result);

static void
send_copy(struct settlement *s)
{
	const struct window *w = s->delivery->window;
	const struct envelope *e = &s->delivery->envelope;
	struct rmq_publish publish = {
		.body = s->delivery->message->body,
		.mandatory = true,
		.correlation = e->id,
	};

	write_props(s);
	publish.props.ptr = buf_peek(&s->props);
	publish.props.len = s->props.len;
	if (s->dead) {
		publish.exchange = w->env.names->dead;
		publish.routing_key = w->names.dead_key;
	} else {
		ladder_route(&s->route, ladder_units(left_ms(s)));
		/* No delay is longer than the cap that the levels are for. */
		assert(s->route.level < w->names.levels);
		publish.exchange = w->names.level[s->route.level];
		publish.routing_key = s->route.key;
	}
	s->ticket =
	    rmq_publisher_send(s->settle->publisher, &publish, on_sent, s);
}

static void
on_backed_off(void *arg)
{
	send_copy(arg);
}

static void
back_off(struct settlement *s)
{
	static const struct backoff backoff = {
		.first_ms = 1000,
		.factor = 2,
		.cap_ms = 60000,
	};

	if (s->timer == NULL)
		s->timer = loop_timer_new(s->settle->loop, on_backed_off, s);
	loop_timer_start(s->settle->loop, s->timer,
	    backoff_delay_ms(&backoff, s->tries, 0));
}

/* Whether it is for its own sake that the broker refuses it; counts. */
static bool
blames_message(struct settlement *s, const struct rmq_sent_result *result)
{
	if (result->sent != RMQ_SENT_REFUSED)
		return false;
	switch (result->code) {
	case CODE_DENIED:
	case CODE_NOT_FOUND:
		return false;
	case CODE_PRECONDITION:
		/* A max_message_size that was lowered: no copy is smaller. */
		return strstr(result->text, "message size") == NULL;
	case CODE_RESOURCE:
	case CODE_INTERNAL:
		return ++s->internal_errors >= TRIES_OF_TROUBLE;
	default:
		return true;
	}
}

/* The broker takes no copy with these properties: they go as bytes. */
static void
wrap_up(struct settlement *s, const struct rmq_sent_result *result)
{
	struct envelope *e = &s->delivery->envelope;
	char *why;

	if (e->raw_props.len > 0)
		return;
	why = xasprintf("refused by the broker: %u %s", result->code,
	    result->text);
	s->dead = true;
	e->props = (struct rmq_props){ 0 };
	e->raw_props = s->delivery->message->props;
	envelope_dead(e, ENVELOPE_MALFORMED, loop_wall_ms(s->settle->loop),
	    why);
	free(why);
}

static void
log_unsent(const struct settlement *s, const struct rmq_sent_result *result)
{
	const struct envelope *e = &s->delivery->envelope;
	enum log_level level =
	    result->sent == RMQ_SENT_REFUSED ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN;

	log_event(level, "copy_not_taken",
	    LOG_STR("pipeline", s->delivery->window->env.name),
	    LOG_BYTES("id", e->id.ptr, e->id.len),
	    LOG_STR("to", s->dead ? "dead" : "ladder"),
	    LOG_STR("result", rmq_sent_name(result->sent)),
	    LOG_UINT("code", result->code), LOG_STR("text", result->text),
	    LOG_UINT("tries", s->tries));
}

static void
on_sent(void *arg, const struct rmq_sent_result *result)
{
	struct settlement *s = arg;
	struct settle *settle = s->settle;

	s->ticket = NULL;
	s->tries++;
	metrics_observe(settle->meter->confirm_seconds,
	    (double)result->latency_us * 1e-6);
	if (result->sent == RMQ_SENT_OK) {
		confirmed(s);
		return;
	}
	log_unsent(s, result);
	if (result->sent == RMQ_SENT_RETURNED)
		metrics_inc(s->delivery->window->meter.returned);
	if (blames_message(s, result))
		wrap_up(s, result);
	back_off(s);
	if (result->sent == RMQ_SENT_RETURNED || result->code == CODE_NOT_FOUND)
		settle->cbs->astray(settle->arg);
}

static struct settlement *
settlement_new(struct settle *settle, struct delivery *d)
{
	struct settlement *s = xcalloc(1, sizeof(*s));

	s->settle = settle;
	s->delivery = d;
	d->settlement = s;
	return s;
}

void
settle_retry(struct settle *settle, struct delivery *d, int64_t due_us)
{
	struct settlement *s = settlement_new(settle, d);

	s->due_us = due_us;
	send_copy(s);
}

void
settle_dead(struct settle *settle, struct delivery *d)
{
	struct settlement *s = settlement_new(settle, d);

	s->dead = true;
	send_copy(s);
}
