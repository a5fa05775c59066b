/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The one rule: nothing is acked but what the handler called ok, or what has
 * a confirmed copy; once, and on the channel that delivered it. And the order
 * of ordered pipelines: nothing starts before what is in front of it is
 * acked. The window,
 * the settler, the policy and the breaker are the real ones; the publisher,
 * the acks and the handler are the test's, who checks at every ack.
 */
#include "tests/unit.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "consumer/window.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "tests/sim/sim_loop.h"

#define TAGS_MAX 4096

/* What is known of a delivery tag; tags are unique over all channels here. */
struct known {
	unsigned channel; /* that delivered it; 0: not used */
	bool ok;	  /* the handler said so */
	bool copied;	  /* a copy of it is confirmed */
	bool acked;
	unsigned key; /* of its lane, in an ordered pipeline */
};

struct rmq_ticket {
	TAILQ_ENTRY(rmq_ticket) link;
	struct rmq_publish publish;
	rmq_sent_cb *done;
	void *arg;
};
TAILQ_HEAD(tickets, rmq_ticket);

struct call {
	struct handler_call base;
	TAILQ_ENTRY(call) link;
	const struct attempt *attempt;
	handler_done_cb *done;
	void *arg;
};
TAILQ_HEAD(calls, call);

/* The channels are numbers in disguise; 0 is none. */
static char channels[64];
static struct known known[TAGS_MAX];
static struct tickets tickets;
/* The events that were told. */
static struct buf events;
static struct calls calls;
static struct handler handler;
static unsigned astrays;

static struct {
	struct loop *loop;
	struct metrics *metrics;
	struct meter meter;
	struct budget budget;
	struct conf conf;
	struct conf_downstream downstream_conf;
	struct conf_pipeline pipeline;
	struct topology_names names;
	struct downstream *downstream;
	struct settle *settle;
	struct events *events;
	struct window window;
	struct loop_task turn;
	unsigned channel; /* the current one */
	const char *user; /* of the next delivery; NULL: none */
	uint64_t next_tag;
} world;

static struct rmq_channel *
channel_of(unsigned n)
{
	return (struct rmq_channel *)(void *)&channels[n];
}

/* The tag of a message is its id, and so its copies' too. */
static uint64_t
tag_of(struct rmq_slice id)
{
	char text[32] = "";

	assert_true(id.len < sizeof(text));
	memcpy(text, id.ptr, id.len);
	return strtoull(text, NULL, 10);
}

void
rmq_ack(struct rmq_channel *channel, uint64_t tag)
{
	struct known *k = &known[tag];

	assert_true(k->channel != 0);
	assert_false(k->acked);
	assert_ptr_equal(channel, channel_of(k->channel));
	assert_int_equal(k->channel, world.channel);
	assert_true(k->ok || k->copied);
	k->acked = true;
}

struct rmq_publisher *
rmq_publisher_new(struct loop *loop, const struct rmq_publisher_options *o)
{
	(void)loop;
	assert_string_equal(o->correlation_header, "dlo-id");
	return (struct rmq_publisher *)(void *)&tickets;
}

void
rmq_publisher_free(struct rmq_publisher *publisher)
{
	(void)publisher;
	assert_true(TAILQ_EMPTY(&tickets));
}

struct rmq_ticket *
rmq_publisher_send(struct rmq_publisher *publisher,
    const struct rmq_publish *publish, rmq_sent_cb *done, void *arg)
{
	struct rmq_ticket *ticket = xcalloc(1, sizeof(*ticket));

	(void)publisher;
	assert_true(publish->mandatory);
	assert_true(publish->correlation.len > 0);
	ticket->publish = *publish;
	ticket->done = done;
	ticket->arg = arg;
	TAILQ_INSERT_TAIL(&tickets, ticket, link);
	return ticket;
}

void
rmq_publisher_forget(struct rmq_publisher *publisher, struct rmq_ticket *t)
{
	(void)publisher;
	TAILQ_REMOVE(&tickets, t, link);
	free(t);
}

bool
rmq_publisher_tell(struct rmq_publisher *publisher,
    const struct rmq_publish *publish)
{
	(void)publisher;
	assert_string_equal(publish->exchange, "dlo.events");
	assert_false(publish->mandatory);
	buf_add(&events, publish->body.ptr, publish->body.len);
	buf_add_u8(&events, '\n');
	return true;
}

/* The rest of the interface, which nothing here comes to use. */
void
rmq_publisher_attach(struct rmq_publisher *p, struct rmq_conn *c)
{
	(void)p, (void)c;
}

void
rmq_publisher_detach(struct rmq_publisher *p)
{
	(void)p;
}

void
rmq_publisher_wake(struct rmq_publisher *p)
{
	(void)p;
}

uint32_t
rmq_conn_frame_max(const struct rmq_conn *conn)
{
	(void)conn;
	return 0;
}

const char *
rmq_sent_name(enum rmq_sent sent)
{
	return sent == RMQ_SENT_OK ? "ok" : "not ok";
}

static uint64_t
tag_of_call(const struct call *call)
{
	struct rmq_slice id = { (const uint8_t *)call->attempt->id.ptr,
		call->attempt->id.len };

	return tag_of(id);
}

/* All before it with the same key are acked, and none of it is under way. */
static void
check_turn(uint64_t tag)
{
	const struct call *call;

	if (world.pipeline.order == CONF_ORDER_NONE)
		return;
	for (uint64_t before = 1; before < tag; before++)
		if (known[before].channel == world.channel &&
		    known[before].key == known[tag].key)
			assert_true(known[before].acked);
	TAILQ_FOREACH(call, &calls, link)
		assert_int_not_equal(known[tag_of_call(call)].key,
		    known[tag].key);
}

static struct handler_call *
start_call(struct handler *h, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	struct call *call = xcalloc(1, sizeof(*call));

	call->base.handler = h;
	call->attempt = attempt;
	call->done = done;
	call->arg = arg;
	check_turn(tag_of_call(call));
	TAILQ_INSERT_TAIL(&calls, call, link);
	return &call->base;
}

static void
cancel_call(struct handler_call *base)
{
	struct call *call = container_of(base, struct call, base);

	TAILQ_REMOVE(&calls, call, link);
	free(call);
}

static void
free_handler(struct handler *h)
{
	(void)h;
	assert_true(TAILQ_EMPTY(&calls));
}

static struct handler *
make_handler(void *arg, const struct conf_downstream *conf)
{
	static const struct handler_ops ops = { start_call, cancel_call,
		free_handler };

	(void)arg, (void)conf;
	handler.ops = &ops;
	handler.capacity = HANDLER_ANY;
	return &handler;
}

static void
on_astray(void *arg)
{
	(void)arg;
	astrays++;
}

static void
on_turn(void *arg)
{
	(void)arg;
	window_work(&world.window);
}

static void
on_wake(void *arg)
{
	(void)arg;
	loop_defer(world.loop, &world.turn);
}

static uint64_t
no_partial(void *arg)
{
	(void)arg;
	return 0;
}

static size_t
nothing_unsent(void *arg)
{
	(void)arg;
	return 0;
}

static void
quiet(void *arg, const char *line, size_t len)
{
	(void)arg, (void)line, (void)len;
}

static void
fill_conf(void)
{
	static const char *const trusted[] = { "guest" };

	world.downstream_conf = (struct conf_downstream){
		.name = "d",
		.kind = CONF_KIND_NOOP,
		/* It never opens: not what is tested here. */
		.breaker = { .failures = UINT32_MAX,
		    .ratio = 1,
		    .minimum = UINT32_MAX,
		    .window_ms = 1000,
		    .open_ms = 1000,
		    .open_max_ms = 1000 },
	};
	world.pipeline = (struct conf_pipeline){
		.name = "p",
		.queue = "q",
		.downstream = &world.downstream_conf,
		.prefetch = 100,
		.concurrency = 10,
		.max_body_bytes = 100,
		.retry = { .attempts = 4,
		    .first_ms = 200,
		    .factor = 4,
		    .cap_ms = 60000,
		    .jitter = 0.5,
		    .hold_ms = 1000,
		    .deadline_ms = 3600000 },
		.dead_letter = { "q.dlq", "q.parked", "q.archive", 1000, 1 },
	};
	world.conf = (struct conf){
		.topology = { .prefix = "dlo" },
		.downstreams = &world.downstream_conf,
		.downstream_count = 1,
		.pipelines = &world.pipeline,
		.pipeline_count = 1,
		.consumer = { .drain_timeout_ms = 5000, .hold_max_ms = 30000 },
		.features = { true, true, true },
		.consumer_broker = { .trusted_users = { trusted, 1 } },
	};
}

static void
set_up_order(uint64_t seed, enum conf_order order)
{
	static const struct settle_cbs cbs = { on_astray };
	struct downstream_env env;
	struct window_env window_env;
	struct teller_env events_env;

	memset(&world, 0, sizeof(world));
	memset(known, 0, sizeof(known));
	TAILQ_INIT(&tickets);
	TAILQ_INIT(&calls);
	astrays = 0;
	log_set_sink(quiet, NULL);
	fill_conf();
	world.pipeline.order = order;
	if (order == CONF_ORDER_HEADER)
		world.pipeline.order_header = "k";
	world.channel = 1;
	world.next_tag = 1;
	world.loop = sim_loop_new(seed);
	world.metrics = metrics_new();
	meter_init(&world.meter, world.metrics);
	world.budget.max_bytes = UINT64_MAX / 2;
	world.budget.partial_bytes = no_partial;
	topology_names_init(&world.names, &world.conf);
	env = (struct downstream_env){ .loop = world.loop,
		.metrics = world.metrics,
		.handler_new = make_handler };
	world.downstream = downstream_new(&env, &world.downstream_conf, 10);
	world.settle =
	    settle_new(world.loop, "guest", &world.meter, &cbs, NULL);
	events_env = (struct teller_env){
		.loop = world.loop,
		.publisher = settle_publisher(world.settle),
		.exchange = world.names.events,
		.user = "guest",
		.instance = "test:1",
		.metrics = world.metrics,
		.unsent = nothing_unsent,
	};
	world.events = events_new(&events_env);
	loop_task_init(&world.turn, on_turn, NULL);
	window_env = (struct window_env){
		.loop = world.loop,
		.conf = &world.conf,
		.pipeline = &world.pipeline,
		.name = world.pipeline.name,
		.queue = world.pipeline.queue,
		.names = &world.names,
		.downstream = world.downstream,
		.settle = world.settle,
		.events = world.events,
		.meter = &world.meter,
		.budget = &world.budget,
		.wake = on_wake,
	};
	window_init(&world.window, &window_env);
}

static void
set_up(uint64_t seed)
{
	set_up_order(seed, CONF_ORDER_NONE);
}

static void
tear_down(void)
{
	window_clear(&world.window);
	loop_undefer(world.loop, &world.turn);
	downstream_free(world.downstream);
	events_free(world.events);
	settle_free(world.settle);
	buf_clear(&events);
	assert_int_equal(world.budget.used_bytes, 0);
	topology_names_clear(&world.names);
	metrics_free(world.metrics);
	loop_free(world.loop);
	log_set_sink(NULL, NULL);
}

static void
turn(void)
{
	loop_run_tasks(world.loop);
}

static void
on_passed(void *arg)
{
	*(bool *)arg = true;
}

static bool
is_true(void *arg)
{
	return *(bool *)arg;
}

static void
pass(int64_t ms)
{
	bool passed = false;
	struct loop_timer *timer =
	    loop_timer_new(world.loop, on_passed, &passed);

	loop_timer_start(world.loop, timer, ms);
	assert_true(
	    sim_loop_run_until(world.loop, INT64_MAX, is_true, &passed));
	loop_timer_free(world.loop, timer);
}

/* A message whose id is its tag; `headers`: the table's bytes. */
static uint64_t
deliver(struct rmq_slice headers, size_t body_bytes)
{
	uint64_t tag = world.next_tag++;
	struct rmq_props props = { 0 };
	struct rmq_delivery delivery = { .tag = tag };
	struct rmq_message *m;
	struct buf raw = { 0 };
	char id[32];

	assert_true(tag < TAGS_MAX);
	(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)tag);
	props.has[RMQ_PROP_MESSAGE_ID] = true;
	props.value[RMQ_PROP_MESSAGE_ID] = rmq_slice_of(id);
	props.has[RMQ_PROP_HEADERS] = headers.len > 0;
	props.value[RMQ_PROP_HEADERS] = headers;
	if (world.user != NULL) {
		props.has[RMQ_PROP_USER_ID] = true;
		props.value[RMQ_PROP_USER_ID] = rmq_slice_of(world.user);
	}
	rmq_props_write(&raw, &props);
	m = xcalloc(1, sizeof(*m) + raw.len + body_bytes);
	memcpy(m + 1, buf_peek(&raw), raw.len);
	m->exchange = rmq_slice_of("");
	m->routing_key = rmq_slice_of("q");
	m->props = (struct rmq_slice){ (uint8_t *)(m + 1), raw.len };
	m->body =
	    (struct rmq_slice){ (uint8_t *)(m + 1) + raw.len, body_bytes };
	buf_clear(&raw);
	known[tag].channel = world.channel;
	delivery.message = m;
	window_receive(&world.window, channel_of(world.channel), &delivery);
	return tag;
}

static uint64_t
deliver_plain(void)
{
	return deliver((struct rmq_slice){ NULL, 0 }, 10);
}

/* With a header k; its key is that number if such is the order. */
static uint64_t
deliver_keyed(unsigned key)
{
	struct buf table = { 0 };
	uint64_t tag = world.next_tag;

	if (world.pipeline.order == CONF_ORDER_HEADER)
		known[tag].key = key;
	rmq_table_add_int(&table, "k", key);
	(void)deliver((struct rmq_slice){ buf_peek(&table), table.len }, 10);
	buf_clear(&table);
	return tag;
}

static void
finish(struct call *call, enum outcome outcome, int64_t delay_ms)
{
	struct verdict v;

	verdict_init(&v, outcome, "test.%d", (int)outcome);
	v.delay_ms = delay_ms;
	if (outcome == OUTCOME_OK)
		known[tag_of_call(call)].ok = true;
	TAILQ_REMOVE(&calls, call, link);
	call->done(call->arg, &v);
	free(call);
	turn();
}

static void
answer(struct rmq_ticket *ticket, enum rmq_sent sent, uint16_t code)
{
	const struct rmq_sent_result result = { sent, code, "why", 1 };

	if (sent == RMQ_SENT_OK)
		known[tag_of(ticket->publish.correlation)].copied = true;
	TAILQ_REMOVE(&tickets, ticket, link);
	ticket->done(ticket->arg, &result);
	free(ticket);
	turn();
}

static void
lose_channel(void)
{
	window_drop(&world.window);
	world.channel++;
	turn();
}

static struct call *
first_call(void)
{
	struct call *call = TAILQ_FIRST(&calls);

	assert_non_null(call);
	return call;
}

static struct rmq_ticket *
first_ticket(void)
{
	struct rmq_ticket *ticket = TAILQ_FIRST(&tickets);

	assert_non_null(ticket);
	return ticket;
}

static void
ok_is_acked_without_a_copy(void **state)
{
	uint64_t tag;

	(void)state;
	set_up(1);
	tag = deliver_plain();
	turn();
	assert_false(known[tag].acked);
	finish(first_call(), OUTCOME_OK, -1);
	assert_true(known[tag].acked);
	assert_true(TAILQ_EMPTY(&tickets));
	tear_down();
}

static void
reject_is_acked_after_the_confirm(void **state)
{
	uint64_t tag;

	(void)state;
	set_up(1);
	tag = deliver_plain();
	turn();
	finish(first_call(), OUTCOME_REJECT, -1);
	assert_false(known[tag].acked);
	assert_string_equal(first_ticket()->publish.exchange, "dlo.dead");
	assert_string_equal(first_ticket()->publish.routing_key, "p");
	answer(first_ticket(), RMQ_SENT_OK, 0);
	assert_true(known[tag].acked);
	tear_down();
}

static void
long_retry_goes_to_the_ladder(void **state)
{
	uint64_t tag;

	(void)state;
	set_up(1);
	tag = deliver_plain();
	turn();
	finish(first_call(), OUTCOME_RETRY, 2000);
	assert_false(known[tag].acked);
	/* 20 units: 10100, lowest bit first. */
	assert_string_equal(first_ticket()->publish.exchange, "dlo.retry.p.4");
	assert_string_equal(first_ticket()->publish.routing_key, "0.0.1.0.1");
	answer(first_ticket(), RMQ_SENT_OK, 0);
	assert_true(known[tag].acked);
	tear_down();
}

static void
short_retry_is_held_and_never_early(void **state)
{
	uint64_t tag;

	(void)state;
	set_up(1);
	tag = deliver_plain();
	turn();
	finish(first_call(), OUTCOME_RETRY, 300);
	pass(299);
	assert_true(TAILQ_EMPTY(&calls));
	assert_int_equal(world.window.count[DELIVERY_HELD], 1);
	pass(1);
	assert_int_equal(first_call()->attempt->number, 2);
	finish(first_call(), OUTCOME_OK, -1);
	assert_true(known[tag].acked);
	assert_true(TAILQ_EMPTY(&tickets));
	tear_down();
}

/* Each way in which a copy does not get through, then one that does. */
static const struct {
	enum rmq_sent sent;
	uint16_t code;
	const char *exchange; /* of the next try */
	unsigned astrays;
} troubles[] = {
	{ RMQ_SENT_RETURNED, 0, "dlo.retry.p.4", 1 },
	{ RMQ_SENT_NACKED, 0, "dlo.retry.p.4", 0 },
	{ RMQ_SENT_REFUSED, 403, "dlo.retry.p.4", 0 },
	{ RMQ_SENT_REFUSED, 404, "dlo.retry.p.4", 1 },
	{ RMQ_SENT_REFUSED, 406, "dlo.dead", 0 },
	{ RMQ_SENT_REFUSED, 505, "dlo.dead", 0 },
};

static void
what_gets_not_through_is_sent_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(troubles); i++) {
		uint64_t tag;

		set_up(1);
		tag = deliver_plain();
		turn();
		finish(first_call(), OUTCOME_RETRY, 3000);
		answer(first_ticket(), troubles[i].sent, troubles[i].code);
		assert_false(known[tag].acked);
		assert_true(TAILQ_EMPTY(&tickets));
		assert_int_equal(astrays, troubles[i].astrays);
		pass(999);
		assert_true(TAILQ_EMPTY(&tickets));
		/* A second is waited already: 20 units are left of 30. */
		pass(1);
		assert_string_equal(first_ticket()->publish.exchange,
		    troubles[i].exchange);
		answer(first_ticket(), RMQ_SENT_NACKED, 0);
		assert_false(known[tag].acked);
		pass(1999);
		assert_true(TAILQ_EMPTY(&tickets));
		pass(1);
		answer(first_ticket(), RMQ_SENT_OK, 0);
		assert_true(known[tag].acked);
		tear_down();
	}
}

/* Unless it comes again and again. */
static void
an_internal_error_condemns_nobody(void **state)
{
	uint64_t tag;

	(void)state;
	set_up(1);
	tag = deliver_plain();
	turn();
	finish(first_call(), OUTCOME_RETRY, 60000);
	for (int tries = 1; tries <= 8; tries++) {
		assert_string_not_equal(first_ticket()->publish.exchange,
		    "dlo.dead");
		answer(first_ticket(), RMQ_SENT_REFUSED, 541);
		assert_true(TAILQ_EMPTY(&tickets));
		pass(60000);
	}
	assert_string_equal(first_ticket()->publish.exchange, "dlo.dead");
	answer(first_ticket(), RMQ_SENT_OK, 0);
	assert_true(known[tag].acked);
	tear_down();
}

static void
a_lost_channel_forgets_copies_and_holds(void **state)
{
	uint64_t held, sent, waiting;

	(void)state;
	set_up(1);
	held = deliver_plain();
	turn();
	finish(first_call(), OUTCOME_RETRY, 500);
	sent = deliver_plain();
	turn();
	finish(first_call(), OUTCOME_REJECT, -1);
	waiting = deliver_plain();
	lose_channel();
	assert_true(TAILQ_EMPTY(&tickets));
	pass(60000);
	assert_true(TAILQ_EMPTY(&calls));
	assert_false(
	    known[held].acked || known[sent].acked || known[waiting].acked);
	tear_down();
}

/* Its tag would mean another message on the new channel. */
static void
late_verdict_is_not_acked_on_the_new_channel(void **state)
{
	static const enum outcome outcomes[] = { OUTCOME_OK, OUTCOME_RETRY,
		OUTCOME_REJECT };

	(void)state;
	for (size_t i = 0; i < array_len(outcomes); i++) {
		uint64_t tag;

		set_up(1);
		tag = deliver_plain();
		turn();
		lose_channel();
		assert_int_equal(world.window.count[DELIVERY_RUNNING], 1);
		finish(first_call(), outcomes[i], 2000);
		assert_true(window_is_quiet(&world.window));
		assert_true(TAILQ_EMPTY(&tickets));
		assert_false(known[tag].acked);
		tear_down();
	}
}

static void
what_may_not_be_handed_over_is_dead(void **state)
{
	/* A table header whose length lies. */
	static const uint8_t bad[] = { 1, 'x', 'F', 0, 0, 1, 0 };
	uint64_t large, malformed;

	(void)state;
	set_up(1);
	large = deliver((struct rmq_slice){ NULL, 0 }, 101);
	malformed = deliver((struct rmq_slice){ bad, sizeof(bad) }, 1);
	turn();
	assert_true(TAILQ_EMPTY(&calls));
	assert_int_equal(first_ticket()->publish.body.len, 101);
	answer(first_ticket(), RMQ_SENT_OK, 0);
	assert_true(known[large].acked);
	answer(first_ticket(), RMQ_SENT_OK, 0);
	assert_true(known[malformed].acked);
	tear_down();
}

/* How many of this event were told of that message. */
static unsigned
told(const char *event, uint64_t tag)
{
	const char *line = buf_str(&events), *end;
	char kind[64], id[64];
	unsigned count = 0;

	(void)snprintf(kind, sizeof(kind), "\"event\":\"%s\"", event);
	(void)snprintf(id, sizeof(id), "\"id\":\"%llu\"",
	    (unsigned long long)tag);
	for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		size_t len = (size_t)(end - line);

		count += memmem(line, len, kind, strlen(kind)) != NULL &&
		    memmem(line, len, id, strlen(id)) != NULL;
	}
	return count;
}

/* A death is told when it is sure, and not before. */
static void
the_dead_are_told_after_the_confirm(void **state)
{
	uint64_t tag;

	(void)state;
	set_up(1);
	tag = deliver_plain();
	turn();
	finish(first_call(), OUTCOME_REJECT, -1);
	answer(first_ticket(), RMQ_SENT_NACKED, 0);
	pass(1000);
	assert_int_equal(told("dead", tag), 0);
	answer(first_ticket(), RMQ_SENT_OK, 0);
	assert_int_equal(told("dead", tag), 1);
	/* It was not redriven. */
	assert_int_equal(told("outcome", tag), 0);
	tear_down();
}

/* A message as dlo-redrive moves it, if the broker vouches for its user. */
static uint64_t
deliver_redriven(const char *user)
{
	struct buf headers = { 0 };
	uint64_t tag;

	rmq_table_add_text(&headers, "dlo-job", "j1", 2);
	world.user = user;
	tag = deliver((struct rmq_slice){ buf_peek(&headers), headers.len }, 1);
	world.user = NULL;
	buf_clear(&headers);
	return tag;
}

static void
outcomes_of_redriven_messages_are_told(void **state)
{
	uint64_t tag, forged, orphan;

	(void)state;
	set_up(1);
	tag = deliver_redriven("guest");
	turn();
	finish(first_call(), OUTCOME_RETRY, 300);
	assert_int_equal(told("outcome", tag), 1);
	assert_non_null(strstr(buf_str(&events),
	    "\"attempt\":1,\"outcome\":\"retry\",\"class\":\"test.1\","
	    "\"handler_ms\":0,\"next\":\"hold\",\"delay_ms\":300}"));
	pass(300);
	finish(first_call(), OUTCOME_RETRY, 3000);
	assert_non_null(
	    strstr(buf_str(&events), "\"next\":\"ladder\",\"delay_ms\":3000}"));
	answer(first_ticket(), RMQ_SENT_OK, 0);
	assert_int_equal(told("outcome", tag), 2);
	assert_int_equal(told("dead", tag), 0);
	forged = deliver_redriven("somebody");
	turn();
	finish(first_call(), OUTCOME_OK, -1);
	assert_int_equal(told("outcome", forged), 0);
	orphan = deliver_redriven("guest");
	turn();
	lose_channel();
	finish(first_call(), OUTCOME_OK, -1);
	assert_int_equal(told("outcome", orphan), 1);
	assert_non_null(strstr(buf_str(&events), "\"next\":\"redelivery\""));
	tear_down();
}

/* Draining: what memory alone knows goes to the ladder, the rest stays. */
static void
hand_off_saves_counts_and_starts_nothing(void **state)
{
	uint64_t held, running, fresh;

	(void)state;
	set_up(1);
	world.pipeline.concurrency = 1;
	held = deliver_plain();
	turn();
	finish(first_call(), OUTCOME_RETRY, 700);
	running = deliver_plain();
	fresh = deliver_plain();
	turn();
	pass(100);
	window_hand_off(&world.window);
	assert_string_equal(first_ticket()->publish.routing_key, "0.1.1");
	answer(first_ticket(), RMQ_SENT_OK, 0);
	assert_true(known[held].acked);
	/* A short backoff is not waited in memory any more. */
	finish(first_call(), OUTCOME_RETRY, 100);
	assert_string_equal(first_ticket()->publish.exchange, "dlo.retry.p.0");
	answer(first_ticket(), RMQ_SENT_OK, 0);
	assert_true(known[running].acked);
	assert_true(window_is_quiet(&world.window));
	assert_true(TAILQ_EMPTY(&calls));
	assert_false(known[fresh].acked);
	tear_down();
}

/* After hold_max: held ones to the ladder, waiting ones are given back. */
static void
nothing_is_held_too_long(void **state)
{
	int64_t next_ms;
	uint64_t held;

	(void)state;
	set_up(1);
	world.pipeline.concurrency = 1;
	held = deliver_plain();
	turn();
	assert_false(window_is_overdue(&world.window, &next_ms));
	assert_int_equal(next_ms, 30000);
	pass(29500);
	finish(first_call(), OUTCOME_RETRY, 400);
	(void)deliver_plain();
	turn();
	(void)deliver_plain();
	pass(450);
	assert_int_equal(world.window.count[DELIVERY_WAITING], 2);
	pass(50);
	assert_false(window_is_overdue(&world.window, &next_ms));
	assert_int_equal(next_ms, 5000);
	answer(first_ticket(), RMQ_SENT_OK, 0);
	assert_true(known[held].acked);
	pass(29500);
	assert_true(window_is_overdue(&world.window, &next_ms));
	tear_down();
}

/* A backoff that would end after hold_max is not begun in memory. */
static void
a_hold_must_end_in_time(void **state)
{
	(void)state;
	set_up(1);
	(void)deliver_plain();
	turn();
	pass(29900);
	finish(first_call(), OUTCOME_RETRY, 200);
	assert_string_equal(first_ticket()->publish.exchange, "dlo.retry.p.1");
	tear_down();
}

static uint64_t
only_call(void)
{
	assert_null(TAILQ_NEXT(first_call(), link));
	return tag_of_call(first_call());
}

/* However long the delay, it is waited in memory, and holds back the rest. */
static void
strict_is_one_at_a_time(void **state)
{
	uint64_t first, second;

	(void)state;
	set_up_order(1, CONF_ORDER_STRICT);
	first = deliver_keyed(1);
	second = deliver_keyed(2);
	turn();
	assert_int_equal(only_call(), first);
	finish(first_call(), OUTCOME_RETRY, 20000);
	pass(19999);
	assert_true(TAILQ_EMPTY(&tickets));
	assert_true(TAILQ_EMPTY(&calls));
	pass(1);
	assert_int_equal(only_call(), first);
	assert_int_equal(first_call()->attempt->number, 2);
	finish(first_call(), OUTCOME_OK, -1);
	assert_true(known[first].acked);
	assert_int_equal(only_call(), second);
	tear_down();
}

static void
a_dead_one_lets_go_when_its_copy_is_confirmed(void **state)
{
	uint64_t first, second;

	(void)state;
	set_up_order(1, CONF_ORDER_STRICT);
	first = deliver_keyed(1);
	second = deliver_keyed(1);
	turn();
	finish(first_call(), OUTCOME_REJECT, -1);
	assert_true(TAILQ_EMPTY(&calls));
	answer(first_ticket(), RMQ_SENT_NACKED, 0);
	pass(1000);
	assert_true(TAILQ_EMPTY(&calls));
	answer(first_ticket(), RMQ_SENT_OK, 0);
	assert_true(known[first].acked);
	assert_int_equal(only_call(), second);
	tear_down();
}

static void
other_keys_flow(void **state)
{
	uint64_t first, second;

	(void)state;
	set_up_order(1, CONF_ORDER_HEADER);
	first = deliver_keyed(1);
	turn();
	second = deliver_keyed(1);
	finish(first_call(), OUTCOME_RETRY, 10000);
	for (unsigned key = 2; key < 200; key++) {
		(void)deliver_keyed(key);
		turn();
		assert_int_equal(known[only_call()].key, key);
		finish(first_call(), OUTCOME_OK, -1);
	}
	pass(10000);
	assert_int_equal(only_call(), first);
	(void)deliver_keyed(3);
	turn();
	assert_non_null(TAILQ_NEXT(first_call(), link));
	finish(first_call(), OUTCOME_OK, -1);
	finish(first_call(), OUTCOME_OK, -1);
	assert_int_equal(only_call(), second);
	tear_down();
}

/* What fails last moment stays too: it goes back with the channel. */
static void
an_ordered_drain_sends_nothing_away(void **state)
{
	uint64_t held, running;

	(void)state;
	set_up_order(1, CONF_ORDER_HEADER);
	held = deliver_keyed(1);
	turn();
	finish(first_call(), OUTCOME_RETRY, 700);
	running = deliver_keyed(2);
	(void)deliver_keyed(2);
	turn();
	window_hand_off(&world.window);
	assert_false(window_is_quiet(&world.window));
	finish(first_call(), OUTCOME_RETRY, 700);
	assert_true(window_is_quiet(&world.window));
	pass(700);
	assert_true(TAILQ_EMPTY(&calls));
	assert_true(TAILQ_EMPTY(&tickets));
	lose_channel();
	assert_false(known[held].acked || known[running].acked);
	/* And they start anew on the next channel. */
	held = deliver_keyed(1);
	turn();
	assert_int_equal(only_call(), held);
	assert_int_equal(first_call()->attempt->number, 1);
	tear_down();
}

/* Two attempts of one key never overlap, though one is for nobody any more. */
static void
an_orphan_holds_its_key(void **state)
{
	static const enum outcome outcomes[] = { OUTCOME_OK, OUTCOME_RETRY,
		OUTCOME_REJECT };

	(void)state;
	for (size_t i = 0; i < array_len(outcomes); i++) {
		uint64_t again, other;

		set_up_order(1, CONF_ORDER_HEADER);
		(void)deliver_keyed(1);
		turn();
		lose_channel();
		again = deliver_keyed(1);
		other = deliver_keyed(2);
		turn();
		assert_int_equal(tag_of_call(TAILQ_NEXT(first_call(), link)),
		    other);
		finish(TAILQ_NEXT(first_call(), link), OUTCOME_OK, -1);
		pass(1000);
		assert_int_not_equal(only_call(), again);
		/* Not even when it is lost once more. */
		lose_channel();
		again = deliver_keyed(1);
		turn();
		assert_int_not_equal(only_call(), again);
		finish(first_call(), outcomes[i], 2000);
		assert_int_equal(only_call(), again);
		tear_down();
	}
}

/* Held for hold_max: a failed one has the time of a drain on top. */
static void
an_ordered_window_is_given_back_whole(void **state)
{
	int64_t next_ms;

	(void)state;
	set_up_order(1, CONF_ORDER_STRICT);
	(void)deliver_keyed(1);
	(void)deliver_keyed(2);
	turn();
	finish(first_call(), OUTCOME_RETRY, 60000);
	pass(30000);
	assert_false(window_is_overdue(&world.window, &next_ms));
	assert_int_equal(next_ms, 5000);
	pass(5000);
	assert_true(window_is_overdue(&world.window, &next_ms));
	assert_true(TAILQ_EMPTY(&tickets));
	tear_down();
	/* Also when it only waits for room. */
	set_up_order(1, CONF_ORDER_STRICT);
	(void)deliver_keyed(1);
	(void)deliver_keyed(2);
	turn();
	finish(first_call(), OUTCOME_RETRY, 1000);
	world.pipeline.concurrency = 0;
	pass(30000);
	assert_int_equal(world.window.count[DELIVERY_WAITING], 2);
	assert_false(window_is_overdue(&world.window, &next_ms));
	assert_int_equal(next_ms, 5000);
	tear_down();
	/* One that waits without an attempt has not. */
	set_up_order(1, CONF_ORDER_HEADER);
	world.pipeline.concurrency = 1;
	(void)deliver_keyed(1);
	turn();
	(void)deliver_keyed(2);
	pass(30000);
	assert_true(window_is_overdue(&world.window, &next_ms));
	tear_down();
}

static bool
chance(double probability)
{
	return sim_chance(world.loop, probability);
}

static void
random_verdict(void)
{
	struct call *call = TAILQ_FIRST(&calls);

	while (call != NULL && chance(0.5))
		call = TAILQ_NEXT(call, link);
	if (call == NULL)
		return;
	if (chance(0.5))
		finish(call, OUTCOME_OK, -1);
	else if (chance(0.8))
		finish(call, OUTCOME_RETRY, -1);
	else
		finish(call, OUTCOME_REJECT, -1);
}

static void
random_answer(void)
{
	static const uint16_t codes[] = { 403, 404, 406, 501 };
	struct rmq_ticket *ticket = TAILQ_FIRST(&tickets);

	while (ticket != NULL && chance(0.5))
		ticket = TAILQ_NEXT(ticket, link);
	if (ticket == NULL)
		return;
	if (chance(0.6))
		answer(ticket, RMQ_SENT_OK, 0);
	else
		answer(ticket, (enum rmq_sent)sim_below(world.loop, 4),
		    codes[sim_below(world.loop, array_len(codes))]);
}

static void
random_step(void)
{
	int64_t next_ms;

	switch (sim_below(world.loop, 12)) {
	case 0:
	case 1:
	case 2:
		(void)deliver_keyed((unsigned)sim_below(world.loop, 4));
		turn();
		break;
	case 3:
	case 4:
	case 5:
		random_verdict();
		break;
	case 6:
	case 7:
	case 8:
		random_answer();
		break;
	case 9:
		pass((int64_t)sim_below(world.loop, 2000));
		break;
	case 10:
		if (window_is_overdue(&world.window, &next_ms))
			window_hand_off(&world.window);
		if (world.window.handing_off && world.window.ordered)
			lose_channel();
		break;
	default:
		if (chance(0.1) && world.channel < sizeof(channels) - 1)
			lose_channel();
		break;
	}
}

/* With handlers and broker at their best everything is settled. */
static void
settle_all(void)
{
	unsigned rounds = 0;

	world.window.handing_off = false;
	on_wake(NULL);
	while (!TAILQ_EMPTY(&world.window.unacked)) {
		turn();
		while (!TAILQ_EMPTY(&calls))
			finish(first_call(), OUTCOME_OK, -1);
		while (!TAILQ_EMPTY(&tickets))
			answer(first_ticket(), RMQ_SENT_OK, 0);
		pass(60000);
		assert_true(rounds++ < 100);
	}
}

static void
any_course_keeps_the_order(void **state)
{
	static const enum conf_order orders[] = { CONF_ORDER_NONE,
		CONF_ORDER_HEADER, CONF_ORDER_NONE, CONF_ORDER_STRICT };

	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		set_up_order(seed, orders[seed % array_len(orders)]);
		for (int i = 0; i < 1000; i++)
			random_step();
		settle_all();
		for (uint64_t tag = 1; tag < world.next_tag; tag++)
			if (known[tag].channel == world.channel)
				assert_true(known[tag].acked);
		tear_down();
	}
}

/* Not a millisecond more than the ladder has levels for. */
static void
the_longest_delay_fits_the_ladder(void **state)
{
	struct loop_timer *timer;
	struct window_env env;
	bool passed = false;

	(void)state;
	set_up(1);
	env = world.window.env;
	window_clear(&world.window);
	/* Thirty units of 100 ms: the most that five levels have. */
	world.pipeline.retry.cap_ms = 3000;
	window_init(&world.window, &env);
	assert_int_equal(world.window.names.levels, 5);
	/* In the middle of a millisecond. */
	timer = loop_timer_new(world.loop, on_passed, &passed);
	loop_timer_start_us(world.loop, timer, 1500300);
	assert_true(
	    sim_loop_run_until(world.loop, INT64_MAX, is_true, &passed));
	loop_timer_free(world.loop, timer);
	(void)deliver_plain();
	turn();
	finish(first_call(), OUTCOME_RETRY, 60000);
	assert_string_equal(first_ticket()->publish.routing_key, "0.1.1.1.1");
	assert_string_equal(first_ticket()->publish.exchange,
	    world.window.names.level[4]);
	tear_down();
}

/* What is held makes room for another key. */
static void
room_is_used_at_once(void **state)
{
	(void)state;
	set_up_order(1, CONF_ORDER_HEADER);
	world.pipeline.concurrency = 1;
	world.pipeline.retry.first_ms = 20000;
	world.pipeline.retry.jitter = 0;
	(void)deliver_keyed(1);
	(void)deliver_keyed(2);
	turn();
	finish(first_call(), OUTCOME_RETRY, -1);
	turn();
	assert_false(TAILQ_EMPTY(&calls));
	finish(first_call(), OUTCOME_OK, -1);
	pass(20100);
	finish(first_call(), OUTCOME_OK, -1);
	tear_down();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ok_is_acked_without_a_copy),
		cmocka_unit_test(reject_is_acked_after_the_confirm),
		cmocka_unit_test(long_retry_goes_to_the_ladder),
		cmocka_unit_test(the_longest_delay_fits_the_ladder),
		cmocka_unit_test(room_is_used_at_once),
		cmocka_unit_test(short_retry_is_held_and_never_early),
		cmocka_unit_test(what_gets_not_through_is_sent_again),
		cmocka_unit_test(an_internal_error_condemns_nobody),
		cmocka_unit_test(a_lost_channel_forgets_copies_and_holds),
		cmocka_unit_test(late_verdict_is_not_acked_on_the_new_channel),
		cmocka_unit_test(what_may_not_be_handed_over_is_dead),
		cmocka_unit_test(the_dead_are_told_after_the_confirm),
		cmocka_unit_test(outcomes_of_redriven_messages_are_told),
		cmocka_unit_test(hand_off_saves_counts_and_starts_nothing),
		cmocka_unit_test(nothing_is_held_too_long),
		cmocka_unit_test(a_hold_must_end_in_time),
		cmocka_unit_test(strict_is_one_at_a_time),
		cmocka_unit_test(a_dead_one_lets_go_when_its_copy_is_confirmed),
		cmocka_unit_test(other_keys_flow),
		cmocka_unit_test(an_ordered_drain_sends_nothing_away),
		cmocka_unit_test(an_orphan_holds_its_key),
		cmocka_unit_test(an_ordered_window_is_given_back_whole),
		cmocka_unit_test(any_course_keeps_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
