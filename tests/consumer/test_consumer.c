/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The whole core on virtual time, in-memory streams and the model broker,
 * which checks at each ack that the message is safe elsewhere. The handler is
 * the test's: it answers after a while what `downstream` tells it to.
 */
#include "tests/unit.h"

#include <stdlib.h>

#include "consumer/consumer.h"
#include "consumer/events.h"
#include "lib/cli.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "tests/sim/model.h"
#include "tests/sim/sim_loop.h"
#include "tests/sim/sim_net.h"

#define HANDLER_MS 20
#define LINEAGES   1000
#define MINUTE	   INT64_C(60000)

struct call {
	struct handler_call base;
	struct call *next, **prev;
	struct loop_timer *timer;
	const struct attempt *attempt;
	handler_done_cb *done;
	void *arg;
};

static struct handler handler;
static const struct conf_node node = { "broker", 5672, false };

static struct {
	struct loop *loop;
	struct sim_net *net;
	struct model *model;
	struct metrics *metrics;
	struct conf conf;
	struct conf_downstream downstream_conf;
	struct conf_pipeline pipeline;
	struct consumer *consumer;
	bool ready, unreachable, ended;
	int exit_code;
	/* The downstream: what it says, and what it saw. */
	enum outcome outcome;
	const char *class; /* NULL: one that does count for the breaker */
	struct call *calls;
	unsigned attempts, oks, most_calls, now_calls;
	unsigned alone; /* attempts that were to have nothing beside them */
	/* Lineages that the handler has called ok. */
	bool done[LINEAGES];
	unsigned inversions; /* called ok before one that was published first */
	int64_t handler_ms;
	unsigned openings; /* of the pipeline's channel */
	unsigned put_off_by_breaker;
	uint32_t next_lineage;
	struct roster_change change; /* of the last reload */
	unsigned reloads;
} world;

static uint32_t
lineage_of(const struct attempt *attempt)
{
	const uint8_t *body = attempt->body;

	assert_true(attempt->body_bytes >= 4);
	return (uint32_t)body[0] << 24 | (uint32_t)body[1] << 16 |
	    (uint32_t)body[2] << 8 | body[3];
}

static void
end_call(struct call *call)
{
	*call->prev = call->next;
	if (call->next != NULL)
		call->next->prev = call->prev;
	loop_timer_free(world.loop, call->timer);
	world.now_calls--;
	free(call);
}

/* For the first time done before one that came before it. */
static bool
overtakes(uint32_t lineage)
{
	if (world.done[lineage])
		return false;
	for (uint32_t n = 0; n < lineage; n++)
		if (!world.done[n])
			return true;
	return false;
}

static void
on_called(void *arg)
{
	struct call *call = arg;
	handler_done_cb *done = call->done;
	void *done_arg = call->arg;
	struct verdict v;

	verdict_init(&v, world.outcome, "test.%d", (int)world.outcome);
	if (world.class != NULL) {
		verdict_init(&v, world.outcome, "%s", world.class);
		v.counts = false;
	}
	if (world.outcome == OUTCOME_OK) {
		if (overtakes(lineage_of(call->attempt)))
			world.inversions++;
		world.done[lineage_of(call->attempt)] = true;
		world.oks++;
	}
	end_call(call);
	done(done_arg, &v);
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
	call->timer = loop_timer_new(world.loop, on_called, call);
	call->next = world.calls;
	call->prev = &world.calls;
	if (world.calls != NULL)
		world.calls->prev = &call->next;
	world.calls = call;
	world.attempts++;
	world.alone += attempt->alone;
	if (++world.now_calls > world.most_calls)
		world.most_calls = world.now_calls;
	loop_timer_start(world.loop, call->timer, world.handler_ms);
	return &call->base;
}

static void
cancel_call(struct handler_call *base)
{
	end_call(container_of(base, struct call, base));
}

static void
free_handler(struct handler *h)
{
	(void)h;
	assert_null(world.calls);
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
on_ready(void *arg)
{
	(void)arg;
	world.ready = true;
}

static void
on_unreachable(void *arg)
{
	(void)arg;
	world.unreachable = true;
}

static void
on_reloaded(void *arg, const struct roster_change *change)
{
	(void)arg;
	world.change = *change;
	world.reloads++;
}

static void
on_ended(void *arg, int exit_code)
{
	(void)arg;
	world.ended = true;
	world.exit_code = exit_code;
}

/* The one rule, as the broker sees it. */
static void
on_acked(void *arg, uint32_t lineage, const char *queue, unsigned safe)
{
	(void)arg, (void)queue;
	if (safe == 0 && !world.done[lineage])
		fail_msg("lineage %u acked, but nowhere safe", lineage);
}

static void
on_violation(void *arg, const char *what)
{
	(void)arg;
	fail_msg("%s", what);
}

static void
quiet(void *arg, const char *line, size_t len)
{
	(void)arg;
	if (memmem(line, len, "to=opening", strlen("to=opening")) != NULL)
		world.openings++;
	if (memmem(line, len, "trial_put_off", 13) != NULL &&
	    memmem(line, len, "breaker", 7) != NULL)
		world.put_off_by_breaker++;
	if (getenv("TEST_LOG") != NULL)
		print_message("%8lld %.*s\n",
		    (long long)loop_now_ms(world.loop), (int)len, line);
}

static void
fill_conf(void)
{
	const struct conf_broker broker = {
		.nodes = &node,
		.node_count = 1,
		.vhost = "/",
		.user = "guest",
		.password = { .text = "guest" },
		.trusted_users = { (const char *const[]){ "guest" }, 1 },
		.heartbeat_ms = 10000,
		.connect_timeout_ms = 5000,
	};
	static const char *const trusted[] = { "guest" };

	world.downstream_conf = (struct conf_downstream){
		.name = "d",
		.kind = CONF_KIND_NOOP,
		.breaker = { .failures = 5,
		    .ratio = 0.5,
		    .minimum = 20,
		    .window_ms = 10000,
		    .open_ms = 5000,
		    .open_max_ms = 60000 },
	};
	world.pipeline = (struct conf_pipeline){
		.name = "p",
		.queue = "q",
		.declare = true,
		.downstream = &world.downstream_conf,
		.prefetch = 20,
		.concurrency = 8,
		.max_body_bytes = 1000,
		.retry = { .attempts = 4,
		    .first_ms = 200,
		    .factor = 4,
		    .cap_ms = 60000,
		    .jitter = 0.5,
		    .hold_ms = 1000,
		    .deadline_ms = 24 * 60 * MINUTE },
		.dead_letter = { "q.dlq", "q.parked", "q.archive", 604800000,
		    100 },
	};
	world.conf = (struct conf){
		.topology = { .prefix = "dlo", .declare = true },
		.downstreams = &world.downstream_conf,
		.downstream_count = 1,
		.pipelines = &world.pipeline,
		.pipeline_count = 1,
		.consumer = { .drain_timeout_ms = 30000,
		    .hold_max_ms = 10 * MINUTE,
		    .max_inflight_bytes = 1 << 28 },
		.features = { true, true, true },
		.consumer_broker = broker,
		.topology_broker = broker,
	};
	world.conf.consumer_broker.trusted_users.items = trusted;
	world.conf.topology_broker.trusted_users.items = trusted;
}

static void
start_consumer(void)
{
	static const struct consumer_cbs cbs = { on_ready, on_unreachable,
		on_reloaded, on_ended };
	const struct consumer_env env = {
		.loop = world.loop,
		.net = sim_net_streams(world.net),
		.metrics = world.metrics,
		.instance = "test:1",
		.handler_new = make_handler,
	};

	world.ready = world.ended = false;
	world.consumer = consumer_new(&env, &world.conf, &cbs, NULL);
	consumer_start(world.consumer);
}

static void
set_up(uint64_t seed)
{
	static const struct model_hooks hooks = {
		.acked = on_acked,
		.violation = on_violation,
	};

	memset(&world, 0, sizeof(world));
	world.handler_ms = HANDLER_MS;
	world.loop = sim_loop_new(seed);
	log_set_sink(quiet, NULL);
	if (getenv("TEST_LOG") != NULL)
		log_open(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
	world.model = model_new(world.loop, &hooks, NULL);
	world.net = sim_net_new(world.loop, &model_server, world.model);
	world.metrics = metrics_new();
	fill_conf();
	start_consumer();
}

static void
tear_down(void)
{
	consumer_free(world.consumer);
	while (sim_loop_step(world.loop))
		continue;
	sim_net_free(world.net);
	model_free(world.model);
	metrics_free(world.metrics);
	loop_free(world.loop);
	log_set_sink(NULL, NULL);
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

/* Waits until it holds, for an hour at most. */
#define await(condition) \
	do { \
		for (int turns_ = 0; !(condition); turns_++) { \
			if (turns_ > 360000) \
				fail_msg("never came: %s", #condition); \
			pass(10); \
		} \
	} while (0)

static void
publish(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint32_t n = world.next_lineage++;
		const uint8_t body[4] = { (uint8_t)(n >> 24),
			(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
		char id[16];

		assert_true(n < LINEAGES);
		(void)snprintf(id, sizeof(id), "m%u", n);
		assert_true(
		    model_publish(world.model, "q", body, sizeof(body), id, 0));
	}
}

/* Everything is processed or dead, nothing is anywhere else. */
static bool
is_settled(void)
{
	return model_depth(world.model, "q.dlq") == model_total(world.model);
}

static void
drain(void)
{
	consumer_drain(world.consumer);
	await(world.ended);
	assert_int_equal(world.exit_code, CLI_OK);
}

static double
metric(const char *line)
{
	struct buf out = { 0 };
	const char *at;
	double value;

	metrics_render(world.metrics, &out);
	at = strstr(buf_str(&out), line);
	assert_non_null(at);
	value = strtod(at + strlen(line), NULL);
	buf_clear(&out);
	return value;
}

static void
ok_messages_are_acked(void **state)
{
	(void)state;
	set_up(1);
	await(world.ready);
	publish(100);
	await(is_settled());
	assert_int_equal(world.oks, 100);
	assert_int_equal(world.attempts, 100);
	assert_int_equal(model_depth(world.model, "q.dlq"), 0);
	assert_true(world.most_calls == 8);
	assert_true(metric("dlo_deliveries_total{pipeline=\"p\"} ") == 100);
	assert_true(
	    metric("dlo_settled_total{pipeline=\"p\",result=\"ok\"} ") == 100);
	drain();
	tear_down();
}

/* Whoever comes to listen need not wait for a change. */
static void
breakers_are_told_every_five_seconds(void **state)
{
	static const char sent[] =
	    "dlo_events_total{event=\"breaker\",result=\"sent\"} ";
	static const char dropped[] =
	    "dlo_events_total{event=\"breaker\",result=\"dropped\"} ";
	double before;

	(void)state;
	set_up(1);
	await(world.ready);
	assert_true(metric(sent) == 1);
	pass(5 * EVENTS_BEAT_MS + 1);
	assert_true(metric(sent) == 6);
	/* Each change at once. */
	world.outcome = OUTCOME_RETRY;
	publish(20);
	await(metric("dlo_breaker_state{downstream=\"d\"} ") == 2);
	assert_true(metric(sent) >= 7);
	/* A broker in alarm is not told, and nothing is kept for later. */
	model_block(world.model, true);
	pass(EVENTS_BEAT_MS + 1);
	before = metric(sent);
	pass(4 * EVENTS_BEAT_MS);
	assert_true(metric(sent) == before);
	assert_true(metric(dropped) >= 4);
	model_block(world.model, false);
	world.outcome = OUTCOME_OK;
	await(is_settled());
	assert_int_equal(model_depth(world.model, "q.dlq"), 0);
	drain();
	/* Nothing is told of what has ended. */
	before = metric(sent) + metric(dropped);
	pass(2 * EVENTS_BEAT_MS);
	assert_true(metric(sent) + metric(dropped) == before);
	tear_down();
}

/* News are no copies: without their exchange nothing waits, nothing is lost. */
static void
a_missing_exchange_for_events_harms_nothing(void **state)
{
	(void)state;
	set_up(1);
	await(world.ready);
	model_delete_exchange(world.model, "dlo.events");
	pass(EVENTS_BEAT_MS);
	world.outcome = OUTCOME_REJECT;
	publish(50);
	await(is_settled());
	assert_int_equal(world.attempts, 50);
	assert_int_equal(model_depth(world.model, "q.dlq"), 50);
	drain();
	tear_down();
}

static void
rejected_ones_are_dead(void **state)
{
	(void)state;
	set_up(2);
	world.outcome = OUTCOME_REJECT;
	await(world.ready);
	publish(50);
	await(is_settled());
	assert_int_equal(world.attempts, 50);
	assert_int_equal(model_depth(world.model, "q.dlq"), 50);
	assert_true(metric("dlo_dead_lettered_total{pipeline=\"p\","
			   "reason=\"rejected\"} ") == 50);
	drain();
	tear_down();
}

/* A message alone, so that the breaker has no reason to open. */
static void
retries_use_up_their_attempts(void **state)
{
	(void)state;
	set_up(3);
	world.outcome = OUTCOME_RETRY;
	await(world.ready);
	publish(1);
	await(is_settled());
	assert_int_equal(world.attempts, 4);
	assert_int_equal(model_depth(world.model, "q.dlq"), 1);
	drain();
	tear_down();
}

static void
an_open_breaker_stops_consumption(void **state)
{
	unsigned attempts;

	(void)state;
	set_up(4);
	world.outcome = OUTCOME_RETRY;
	await(world.ready);
	publish(500);
	await(metric("dlo_breaker_state{downstream=\"d\"} ") == 2);
	pass(1000);
	attempts = world.attempts;
	/* Ten minutes: a trial a minute or so, once the doubling is through. */
	pass(10 * MINUTE);
	assert_in_range(world.attempts - attempts, 5, 30);
	assert_true(consumer_is_ready(world.consumer, NULL));
	/* Nothing is dead of it: one trial message at most had its four. */
	assert_in_range(model_depth(world.model, "q.dlq"), 0, 3);
	world.outcome = OUTCOME_OK;
	await(is_settled());
	assert_int_equal(world.oks + model_depth(world.model, "q.dlq"), 500);
	drain();
	tear_down();
}

/* The window is given back once, and then asked for one by one. */
static void
an_outage_gives_back_once(void **state)
{
	double given_back;

	(void)state;
	set_up(5);
	world.outcome = OUTCOME_RETRY;
	await(world.ready);
	publish(500);
	pass(90 * MINUTE);
	given_back = metric("dlo_broker_faults_total{kind=\"given_back\"} ");
	assert_in_range((int)given_back, 1, 2);
	assert_true(metric("dlo_deliveries_total{pipeline=\"p\"} ") < 300);
	world.outcome = OUTCOME_OK;
	await(is_settled());
	drain();
	tear_down();
}

static void
a_restarted_broker_is_resumed(void **state)
{
	(void)state;
	set_up(6);
	await(world.ready);
	publish(200);
	await(world.oks > 50);
	sim_net_cut(world.net, 1);
	model_restart(world.model);
	await(is_settled());
	assert_true(
	    metric("dlo_broker_faults_total{kind=\"connection_lost\"} ") >= 2);
	drain();
	tear_down();
}

static void
a_cancelled_consumer_comes_back(void **state)
{
	(void)state;
	set_up(7);
	await(world.ready);
	publish(100);
	await(world.oks > 20);
	model_cancel_consumers(world.model, "q");
	pass(1);
	await(is_settled());
	assert_true(metric("dlo_broker_faults_total"
			   "{kind=\"consumer_cancelled\"} ") == 1);
	await(consumer_is_ready(world.consumer, NULL));
	drain();
	tear_down();
}

/*
 * The broker itself moves messages down the ladder: nobody is told when it
 * cannot.
 */
static void
what_was_deleted_unseen_is_made_again(void **state)
{
	(void)state;
	set_up(11);
	world.outcome = OUTCOME_RETRY;
	world.pipeline.retry.first_ms = 30000;
	await(world.ready);
	publish(1);
	await(world.attempts == 1 && model_depth(world.model, "q") == 0);
	model_delete_exchange(world.model, "dlo.retry.p");
	world.outcome = OUTCOME_OK;
	await(is_settled());
	assert_int_equal(world.oks, 1);
	drain();
	tear_down();
}

static void
a_drain_leaves_nothing_in_memory(void **state)
{
	(void)state;
	for (uint64_t seed = 10; seed < 40; seed++) {
		set_up(seed);
		world.outcome = OUTCOME_RETRY;
		world.downstream_conf.breaker.failures = 1000;
		world.downstream_conf.breaker.minimum = 1000;
		await(world.ready);
		publish(60);
		pass((int64_t)sim_below(world.loop, 2000));
		drain();
		/* Nothing processed, so all of it must be in the broker. */
		assert_int_equal(world.oks, 0);
		assert_true(model_total(world.model) >= 60);
		consumer_free(world.consumer);
		pass(1);
		world.outcome = OUTCOME_OK;
		start_consumer();
		await(is_settled());
		for (uint32_t n = 0; n < 60; n++)
			assert_true(world.done[n] ||
			    model_safe_copies(world.model, n) == 1);
		drain();
		tear_down();
	}
}

/* As set_up, but strictly ordered, and nothing is ever given up. */
static void
set_up_strict(uint64_t seed)
{
	set_up(seed);
	world.pipeline.order = CONF_ORDER_STRICT;
	world.pipeline.retry.attempts = UINT32_MAX;
	world.pipeline.retry.cap_ms = 2000;
	consumer_free(world.consumer);
	pass(1);
	start_consumer();
	await(world.ready);
}

static void
await_all_in_order(unsigned count)
{
	await(is_settled());
	assert_int_equal(model_total(world.model), 0);
	assert_int_equal(world.inversions, 0);
	assert_int_equal(world.most_calls, 1);
	for (uint32_t n = 0; n < count; n++)
		assert_true(world.done[n]);
}

/* Not cancelled, only held: what it has is enough until hold_max. */
static void
an_open_breaker_only_holds_what_is_ordered(void **state)
{
	double delivered;

	(void)state;
	set_up_strict(20);
	world.outcome = OUTCOME_RETRY;
	publish(100);
	await(metric("dlo_breaker_state{downstream=\"d\"} ") == 2);
	delivered = metric("dlo_deliveries_total{pipeline=\"p\"} ");
	assert_true(delivered == 20);
	pass(5 * MINUTE);
	assert_true(
	    metric("dlo_deliveries_total{pipeline=\"p\"} ") == delivered);
	assert_true(consumer_is_ready(world.consumer, NULL));
	world.outcome = OUTCOME_OK;
	await_all_in_order(100);
	/* Each came once: nothing was given back. */
	assert_true(metric("dlo_deliveries_total{pipeline=\"p\"} ") == 100);
	drain();
	tear_down();
}

/* The whole of it each time: what is returned alone would lose its place. */
static void
an_ordered_window_goes_back_in_order(void **state)
{
	int given_back;

	(void)state;
	set_up_strict(21);
	world.outcome = OUTCOME_RETRY;
	publish(100);
	pass(35 * MINUTE);
	given_back =
	    (int)metric("dlo_broker_faults_total{kind=\"given_back\"} ");
	assert_in_range(given_back, 2, 3);
	assert_int_equal(metric("dlo_deliveries_total{pipeline=\"p\"} "),
	    20 * (given_back + 1));
	world.outcome = OUTCOME_OK;
	await_all_in_order(100);
	drain();
	tear_down();
}

static void
an_ordered_drain_gives_back_in_order(void **state)
{
	(void)state;
	for (uint64_t seed = 30; seed < 50; seed++) {
		set_up_strict(seed);
		world.downstream_conf.breaker.failures = 1000;
		world.downstream_conf.breaker.minimum = 1000;
		publish(60);
		await(world.oks > 10);
		world.outcome = OUTCOME_RETRY;
		pass((int64_t)sim_below(world.loop, 5000));
		drain();
		/* None of it on the ladder, where its place would be lost. */
		assert_int_equal(model_depth(world.model, "q"),
		    model_total(world.model));
		/* A cancel with messages on their way mixes them up. */
		assert_int_equal(model_load(world.model)->cancels, 0);
		consumer_free(world.consumer);
		pass(1);
		world.outcome = OUTCOME_OK;
		start_consumer();
		await_all_in_order(60);
		drain();
		tear_down();
	}
}

static bool
opens_again(void *arg)
{
	(void)arg;
	return world.openings == 2;
}

/* Told to end while it subscribes, with an attempt of its last channel left. */
static void
an_ordered_drain_may_come_early(void **state)
{
	(void)state;
	set_up_strict(22);
	world.handler_ms = 20000;
	world.openings = 1;
	publish(5);
	await(world.attempts == 1);
	sim_net_cut(world.net, 1);
	assert_true(
	    sim_loop_run_until(world.loop, INT64_MAX, opens_again, NULL));
	drain();
	assert_int_equal(world.oks, 1);
	assert_int_equal(model_depth(world.model, "q"), 5);
	tear_down();
}

/* What is behind it may be with somebody else already. */
static void
an_ordered_window_goes_when_it_is_cancelled(void **state)
{
	(void)state;
	set_up_strict(23);
	world.handler_ms = 20000;
	publish(10);
	await(world.attempts == 1);
	model_cancel_consumers(world.model, "q");
	await(metric("dlo_deliveries_total{pipeline=\"p\"} ") == 20);
	assert_int_equal(world.attempts, 1);
	world.handler_ms = HANDLER_MS;
	await_all_in_order(10);
	drain();
	tear_down();
}

/* Restarts, cancels and closed channels, at any moment. */
static void
trouble_keeps_the_order(void **state)
{
	(void)state;
	for (uint64_t seed = 50; seed < 90; seed++) {
		set_up_strict(seed);
		world.downstream_conf.breaker.failures = 1000;
		world.downstream_conf.breaker.minimum = 1000;
		publish(60);
		for (int i = 0; i < 12; i++) {
			pass((int64_t)sim_below(world.loop, 300));
			world.outcome = i % 2 == 0 ? OUTCOME_RETRY : OUTCOME_OK;
			if (i % 3 == 0)
				model_close_a_channel(world.model);
			else if (i % 3 == 1)
				model_cancel_consumers(world.model, "q");
			else
				sim_net_cut(world.net, 1);
		}
		world.outcome = OUTCOME_OK;
		await_all_in_order(60);
		drain();
		tear_down();
	}
}

/* As set_up_strict, but given up after so many attempts, 2 minutes apart. */
static void
set_up_patient(uint64_t seed, unsigned attempts)
{
	set_up_strict(seed);
	world.downstream_conf.breaker.failures = 1000;
	world.downstream_conf.breaker.minimum = 1000;
	world.pipeline.retry.attempts = attempts;
	world.pipeline.retry.first_ms = 2 * MINUTE;
	world.pipeline.retry.factor = 1;
	world.pipeline.retry.cap_ms = 2 * MINUTE;
	world.pipeline.retry.jitter = 0;
	world.outcome = OUTCOME_RETRY;
}

static void
await_exhausted(unsigned attempts)
{
	await(model_depth(world.model, "q.dlq") == 1);
	assert_int_equal(world.attempts, attempts);
	assert_int_equal(metric("dlo_dead_lettered_total{pipeline=\"p\","
				"reason=\"attempts_exhausted\"} "),
	    1);
	await(is_settled());
}

/* Delays that hold_max has room for, and attempts that it then has not. */
static void
an_ordered_message_with_slow_attempts_ends(void **state)
{
	const uint8_t body[4] = { 0 }, no_props[2] = { 0 };

	(void)state;
	set_up_patient(91, 6);
	world.handler_ms = MINUTE / 2;
	publish(1);
	await_exhausted(6);
	assert_true(
	    metric("dlo_broker_faults_total{kind=\"given_back\"} ") >= 1);
	drain();
	tear_down();
	/* Also without an id, which dlo then makes anew each time. */
	set_up_patient(92, 6);
	world.handler_ms = MINUTE / 2;
	assert_true(model_publish_raw(world.model, "q", body, sizeof(body),
	    no_props, sizeof(no_props)));
	await_exhausted(6);
	drain();
	tear_down();
	/* Every attempt ends after its channel. */
	set_up_patient(93, 3);
	world.handler_ms = 12 * MINUTE;
	publish(1);
	await_exhausted(3);
	drain();
	tear_down();
}

/* The attempts of a lost connection count, and the next is not made early. */
static void
an_ordered_delay_outlasts_the_connection(void **state)
{
	int64_t failed_ms;

	(void)state;
	set_up_patient(94, 3);
	publish(2);
	await(world.attempts == 1);
	pass(HANDLER_MS);
	failed_ms = loop_now_ms(world.loop);
	for (int i = 0; i < 5; i++) {
		pass(MINUTE / 6);
		sim_net_cut(world.net, 1);
	}
	await(metric("dlo_deliveries_total{pipeline=\"p\"} ") == 12);
	assert_int_equal(world.attempts, 1);
	await(world.attempts == 2);
	assert_true(loop_now_ms(world.loop) - failed_ms >= 2 * MINUTE - 10);
	world.outcome = OUTCOME_OK;
	await_all_in_order(2);
	drain();
	tear_down();
}

/* Not delivered again: what is the same is another message. */
static void
a_namesake_begins_anew(void **state)
{
	(void)state;
	set_up_patient(95, 3);
	publish(1);
	await(world.attempts == 1);
	pass(HANDLER_MS + 10);
	world.openings = 0;
	model_delete_queue(world.model, "q");
	await(world.openings > 0 && consumer_is_ready(world.consumer, NULL));
	world.next_lineage = 0;
	publish(1);
	pass(MINUTE);
	assert_int_equal(world.attempts, 2);
	await_exhausted(4);
	drain();
	tear_down();
}

static void
a_missing_queue_ends_the_start(void **state)
{
	(void)state;
	set_up(8);
	world.pipeline.queue = "elsewhere";
	world.pipeline.declare = false;
	consumer_free(world.consumer);
	pass(1);
	start_consumer();
	await(world.ended);
	assert_int_equal(world.exit_code, CLI_FAILED);
	assert_false(world.ready);
	tear_down();
}

static void
an_absent_broker_is_waited_for(void **state)
{
	struct buf why = { 0 };

	(void)state;
	set_up(9);
	sim_net_listen(world.net, false);
	consumer_free(world.consumer);
	pass(1);
	start_consumer();
	pass(10 * MINUTE);
	assert_false(world.ended || world.ready);
	assert_true(world.unreachable);
	assert_false(consumer_is_ready(world.consumer, &why));
	assert_string_equal(buf_str(&why),
	    "consume connection down, node broker:5672");
	buf_clear(&why);
	sim_net_listen(world.net, true);
	await(world.ready);
	drain();
	tear_down();
}

/* An attempt that ends in memory ends the drain, too. */
static void
a_drain_ends_with_its_last_attempt(void **state)
{
	int64_t began_ms;

	(void)state;
	set_up(1);
	consumer_free(world.consumer);
	world.pipeline.order = CONF_ORDER_STRICT;
	world.pipeline.retry.first_ms = MINUTE;
	world.pipeline.retry.cap_ms = MINUTE;
	world.handler_ms = 500;
	world.outcome = OUTCOME_RETRY;
	start_consumer();
	await(world.ready);
	publish(1);
	await(world.attempts == 1);
	began_ms = loop_now_ms(world.loop);
	drain();
	assert_in_range(loop_now_ms(world.loop) - began_ms, 0, 1000);
	tear_down();
}

/* What the policy reads at each verdict is changed while it runs. */
static void
restart_consumer(void)
{
	consumer_free(world.consumer);
	pass(1);
	start_consumer();
	await(world.ready);
}

static void
assert_dead_of_crash(unsigned count)
{
	await(is_settled());
	assert_int_equal(model_depth(world.model, "q.dlq"), count);
	assert_true(metric("dlo_dead_lettered_total{pipeline=\"p\","
			   "reason=\"crash\"} ") == count);
}

/* In memory, on the ladder, over a restart, and in order. */
static void
a_crash_is_tried_again_alone_and_once(void **state)
{
	(void)state;
	for (int way = 0; way < 4; way++) {
		set_up((uint64_t)(40 + way));
		world.outcome = OUTCOME_RETRY;
		world.class = "crash.SIGSEGV";
		if (way > 0)
			world.pipeline.retry.hold_ms = 0;
		if (way == 3)
			world.pipeline.order = CONF_ORDER_STRICT;
		restart_consumer();
		publish(1);
		await(world.attempts == 1);
		assert_int_equal(world.alone, 0);
		if (way == 2) {
			await(model_depth(world.model, "q") == 0);
			restart_consumer();
		}
		assert_dead_of_crash(1);
		assert_int_equal(world.attempts, 2);
		assert_int_equal(world.alone, 1);
		drain();
		tear_down();
	}
}

/* Nor does the breaker mind. */
static void
crashes_of_many_open_no_breaker(void **state)
{
	(void)state;
	set_up(45);
	world.outcome = OUTCOME_RETRY;
	world.class = "crash.exit";
	await(world.ready);
	publish(50);
	assert_dead_of_crash(50);
	assert_int_equal(world.attempts, 100);
	assert_int_equal(world.alone, 50);
	assert_true(metric("dlo_breaker_opened_total{downstream=\"d\"} ") == 0);
	drain();
	tear_down();
}

static void
another_failure_makes_it_ordinary_again(void **state)
{
	(void)state;
	set_up(46);
	world.outcome = OUTCOME_RETRY;
	world.class = "crash.SIGSEGV";
	await(world.ready);
	publish(1);
	await(world.attempts == 1);
	await(world.now_calls == 0);
	world.class = "test.other";
	await(world.attempts == 2);
	await(world.now_calls == 0);
	world.class = "crash.SIGSEGV";
	await(world.attempts == 3);
	await(world.now_calls == 0);
	world.outcome = OUTCOME_OK;
	await(is_settled());
	assert_int_equal(world.oks, 1);
	assert_int_equal(world.attempts, 4);
	assert_int_equal(world.alone, 2);
	drain();
	tear_down();
}

/* Messages that the broker has taken back so often wait for a new consumer. */
static void
await_old_ones(unsigned count, unsigned taken_back)
{
	await(world.ready);
	consumer_free(world.consumer);
	pass(1);
	publish(count);
	model_age(world.model, "q", taken_back);
	start_consumer();
	await(is_settled());
	assert_int_equal(model_total(world.model), 0);
	assert_int_equal(world.oks, count);
	assert_int_equal(world.attempts, count);
	drain();
	tear_down();
}

static void
what_was_taken_back_too_often_is_tried_alone(void **state)
{
	(void)state;
	set_up(50);
	await_old_ones(20, 3);
	assert_int_equal(world.alone, 20);
	assert_int_equal(world.most_calls, 1);
	/* One at a time, but as it is. */
	set_up(51);
	await_old_ones(20, 2);
	assert_int_equal(world.alone, 0);
	assert_int_equal(world.most_calls, 1);
	set_up(52);
	await_old_ones(20, 1);
	assert_int_equal(world.alone, 0);
	assert_int_equal(world.most_calls, 8);
}

/* A process that lives on has seen that nothing of it kills. */
static void
what_was_outlived_makes_no_suspects(void **state)
{
	(void)state;
	set_up(56);
	await(world.ready);
	world.handler_ms = 10 * MINUTE;
	publish(20);
	for (unsigned i = 1; i <= 5; i++) {
		await(world.attempts >= 8);
		pass(1000);
		sim_net_cut(world.net, 1);
		await(metric("dlo_broker_faults_total"
			     "{kind=\"connection_lost\"} ") >= i);
		await(consumer_is_ready(world.consumer, NULL));
	}
	world.handler_ms = 1;
	await(is_settled());
	assert_int_equal(world.alone, 0);
	drain();
	tear_down();
}

/* A suspect waits for the others' ends, but not for an hour. */
static void
a_long_attempt_is_not_waited_for(void **state)
{
	unsigned before;

	(void)state;
	set_up(57);
	await(world.ready);
	consumer_free(world.consumer);
	pass(1);
	publish(1);
	model_age(world.model, "q", 3);
	world.handler_ms = 60 * MINUTE;
	publish(1);
	start_consumer();
	await(world.attempts == 1);
	world.handler_ms = 20;
	pass(5000);
	for (unsigned i = 0; i < 8; i++) {
		before = world.attempts;
		publish(20);
		pass(MINUTE);
		assert_true(world.attempts - before >= 20);
	}
	assert_int_equal(world.alone, 0);
	consumer_free(world.consumer);
	pass(1);
	/* The hour is over; it has its trial. */
	start_consumer();
	await(is_settled());
	assert_int_equal(world.alone, 1);
	drain();
	tear_down();
}

static void
without_retries_it_is_tried_alone_too(void **state)
{
	(void)state;
	set_up(53);
	world.conf.features.retry = false;
	await_old_ones(5, 10);
	assert_int_equal(world.alone, 5);
}

/* Neither to the ladder nor dead, and nothing beside it. */
static void
an_ordered_one_is_tried_in_its_turn(void **state)
{
	(void)state;
	set_up(54);
	world.pipeline.order = CONF_ORDER_ROUTING_KEY;
	await_old_ones(20, 10);
	assert_int_equal(world.alone, 20);
	assert_int_equal(world.most_calls, 1);
	assert_int_equal(world.inversions, 0);
}

/* What the breaker lets nobody try is not kept in memory. */
static void
a_suspect_waits_for_no_breaker(void **state)
{
	(void)state;
	set_up(55);
	await(world.ready);
	consumer_free(world.consumer);
	pass(1);
	world.outcome = OUTCOME_RETRY;
	world.handler_ms = 5000;
	world.pipeline.retry.first_ms = MINUTE;
	publish(1);
	model_age(world.model, "q", 3);
	publish(5);
	start_consumer();
	/* It is back, and waits for the others to be done. */
	await(world.attempts == 5);
	pass(1000);
	assert_int_equal(world.attempts, 5);
	await(metric("dlo_breaker_state{downstream=\"d\"} ") == 2);
	await(world.put_off_by_breaker == 1);
	world.outcome = OUTCOME_OK;
	await(is_settled());
	assert_int_equal(model_total(world.model), 0);
	assert_int_equal(world.oks, 6);
	drain();
	tear_down();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ok_messages_are_acked),
		cmocka_unit_test(a_drain_ends_with_its_last_attempt),
		cmocka_unit_test(breakers_are_told_every_five_seconds),
		cmocka_unit_test(a_missing_exchange_for_events_harms_nothing),
		cmocka_unit_test(rejected_ones_are_dead),
		cmocka_unit_test(retries_use_up_their_attempts),
		cmocka_unit_test(a_crash_is_tried_again_alone_and_once),
		cmocka_unit_test(crashes_of_many_open_no_breaker),
		cmocka_unit_test(another_failure_makes_it_ordinary_again),
		cmocka_unit_test(what_was_taken_back_too_often_is_tried_alone),
		cmocka_unit_test(what_was_outlived_makes_no_suspects),
		cmocka_unit_test(a_long_attempt_is_not_waited_for),
		cmocka_unit_test(without_retries_it_is_tried_alone_too),
		cmocka_unit_test(an_ordered_one_is_tried_in_its_turn),
		cmocka_unit_test(a_suspect_waits_for_no_breaker),
		cmocka_unit_test(an_open_breaker_stops_consumption),
		cmocka_unit_test(an_outage_gives_back_once),
		cmocka_unit_test(a_restarted_broker_is_resumed),
		cmocka_unit_test(a_cancelled_consumer_comes_back),
		cmocka_unit_test(what_was_deleted_unseen_is_made_again),
		cmocka_unit_test(a_drain_leaves_nothing_in_memory),
		cmocka_unit_test(an_open_breaker_only_holds_what_is_ordered),
		cmocka_unit_test(an_ordered_window_goes_back_in_order),
		cmocka_unit_test(an_ordered_drain_gives_back_in_order),
		cmocka_unit_test(an_ordered_drain_may_come_early),
		cmocka_unit_test(an_ordered_window_goes_when_it_is_cancelled),
		cmocka_unit_test(trouble_keeps_the_order),
		cmocka_unit_test(an_ordered_message_with_slow_attempts_ends),
		cmocka_unit_test(an_ordered_delay_outlasts_the_connection),
		cmocka_unit_test(a_namesake_begins_anew),
		cmocka_unit_test(a_missing_queue_ends_the_start),
		cmocka_unit_test(an_absent_broker_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
