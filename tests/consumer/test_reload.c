/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The core goes over from one configuration to another, on virtual time with
 * the model broker. Former configurations are freed as soon as they may be.
 */
#include "tests/unit.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "config/conf_change.h"
#include "config/conf_parse.h"
#include "consumer/consumer.h"
#include "lib/cli.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "tests/sim/letters.h"
#include "tests/sim/model.h"
#include "tests/sim/sim_loop.h"
#include "tests/sim/sim_net.h"

#define HANDLER_MS 20
#define LINEAGES   2000
#define NAME_SPACE 64

struct call {
	struct handler_call base;
	LIST_ENTRY(call) link;
	struct loop_timer *timer;
	uint32_t lineage;
	handler_done_cb *done;
	void *arg;
};

/* What one handler saw; it is known by its URL. */
struct target {
	struct handler base;
	char url[NAME_SPACE];
	LIST_HEAD(, call) calls;
};

static struct {
	struct loop *loop;
	struct sim_net *net;
	struct model *model;
	struct metrics *metrics;
	struct conf *first, *current, *next;
	struct consumer *consumer;
	struct roster_change change; /* of the last reload */
	unsigned reloads, targets;
	bool ready, ended;
	int exit_code;
	/* The downstream. */
	enum outcome outcome;
	int64_t handler_ms;
	unsigned attempts, now, most;
	char last_url[NAME_SPACE];
	unsigned tried[LINEAGES], oks[LINEAGES];
	unsigned inversions;
	uint32_t next_lineage;
	/* What the broker saw. */
	int64_t copied_attempt; /* of the last copy */
	unsigned openings;	/* of channels of pipelines */
	unsigned missed;	/* copies that found no exchange */
} world;

static void
end_call(struct call *call)
{
	LIST_REMOVE(call, link);
	loop_timer_free(world.loop, call->timer);
	world.now--;
	free(call);
}

static void
on_called(void *arg)
{
	struct call *call = arg;
	handler_done_cb *done = call->done;
	void *done_arg = call->arg;
	struct verdict v;

	verdict_init(&v, world.outcome, "http.%d", (int)world.outcome);
	if (world.outcome == OUTCOME_OK) {
		world.oks[call->lineage]++;
		for (uint32_t n = 0; n < call->lineage; n++)
			world.inversions += world.oks[n] == 0;
	}
	end_call(call);
	done(done_arg, &v);
}

static struct handler_call *
start_call(struct handler *base, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	struct target *target = container_of(base, struct target, base);
	struct call *call = xcalloc(1, sizeof(*call));
	const uint8_t *body = attempt->body;

	call->base.handler = base;
	call->lineage = (uint32_t)body[2] << 8 | body[3];
	call->done = done;
	call->arg = arg;
	call->timer = loop_timer_new(world.loop, on_called, call);
	LIST_INSERT_HEAD(&target->calls, call, link);
	strcpy(world.last_url, target->url);
	world.attempts++;
	world.tried[call->lineage]++;
	if (++world.now > world.most)
		world.most = world.now;
	loop_timer_start(world.loop, call->timer, world.handler_ms);
	return &call->base;
}

static void
cancel_call(struct handler_call *base)
{
	end_call(container_of(base, struct call, base));
}

static void
free_target(struct handler *base)
{
	struct target *target = container_of(base, struct target, base);

	assert_true(LIST_EMPTY(&target->calls));
	world.targets--;
	free(target);
}

static struct handler *
make_target(void *arg, const struct conf_downstream *conf)
{
	static const struct handler_ops ops = { start_call, cancel_call,
		free_target };
	struct target *target = xcalloc(1, sizeof(*target));

	(void)arg;
	target->base.ops = &ops;
	target->base.capacity = HANDLER_ANY;
	assert_true(strlen(conf->http.url) < sizeof(target->url));
	strcpy(target->url, conf->http.url);
	world.targets++;
	return &target->base;
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
}

static void
on_reloaded(void *arg, const struct roster_change *change)
{
	(void)arg;
	world.change = *change;
	world.reloads++;
	/* Whatever still points there is seen. */
	if (world.current != world.first)
		conf_free(world.current);
	world.current = world.next;
	world.next = NULL;
}

static void
on_ended(void *arg, int exit_code)
{
	(void)arg;
	world.ended = true;
	world.exit_code = exit_code;
}

static void
on_acked(void *arg, uint32_t lineage, const char *queue, unsigned safe)
{
	(void)arg, (void)queue;
	if (safe == 0 && world.oks[lineage] == 0)
		fail_msg("lineage %u acked, but nowhere safe", lineage);
}

static void
on_violation(void *arg, const char *what)
{
	(void)arg;
	fail_msg("%s", what);
}

static void
on_published(void *arg, const struct model_sight *sight)
{
	(void)arg;
	(void)letter_copy_error(sight->props, sight->props_len, sight->lineage,
	    &world.copied_attempt);
}

static void
listen_to(void *arg, const char *line, size_t len)
{
	(void)arg;
	if (memmem(line, len, "to=opening", strlen("to=opening")) != NULL)
		world.openings++;
	if (memmem(line, len, "copy_not_taken", 14) != NULL)
		world.missed++;
	if (getenv("TEST_LOG") != NULL)
		print_message("%8lld %.*s\n",
		    (long long)loop_now_ms(world.loop), (int)len, line);
}

#define ONE "downstreams: {d: {http: {url: \"http://one/\"}}}\n"
#define TWO \
	"downstreams:\n" \
	"  d: {http: {url: \"http://one/\"}}\n" \
	"  e: {http: {url: \"http://two/\"}}\n"
#define PIPELINE(name, queue, downstream, more) \
	"  " name ":\n" \
	"    queue: {name: " queue ", declare: {type: quorum}}\n" \
	"    downstream: " downstream "\n" more
#define P PIPELINE("p", "q", "d", "")

static struct conf *
parse(const char *text)
{
	struct conf_errors errors = { 0 };
	char *whole = xasprintf("broker: {user: guest, password: guest}\n"
				"%s",
	    text);
	struct conf *conf = conf_parse("dlo.yaml", whole, strlen(whole), false,
	    CONF_ROLE_CONSUMER, &errors);

	if (conf == NULL)
		conf_errors_print(&errors, stderr);
	assert_non_null(conf);
	conf_errors_clear(&errors);
	free(whole);
	return conf;
}

static void
set_up(const char *text)
{
	static const struct consumer_cbs cbs = { on_ready, on_unreachable,
		on_reloaded, on_ended };
	static const struct model_hooks hooks = {
		.acked = on_acked,
		.violation = on_violation,
		.published = on_published,
	};
	struct consumer_env env;

	memset(&world, 0, sizeof(world));
	world.handler_ms = HANDLER_MS;
	world.loop = sim_loop_new(7);
	log_set_sink(listen_to, NULL);
	if (getenv("TEST_LOG") != NULL)
		log_open(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
	world.model = model_new(world.loop, &hooks, NULL);
	world.net = sim_net_new(world.loop, &model_server, world.model);
	world.metrics = metrics_new();
	env = (struct consumer_env){
		.loop = world.loop,
		.net = sim_net_streams(world.net),
		.metrics = world.metrics,
		.instance = "test:1",
		.handler_new = make_target,
	};
	world.first = world.current = parse(text);
	world.consumer = consumer_new(&env, world.first, &cbs, NULL);
	consumer_start(world.consumer);
}

static void
tear_down(void)
{
	consumer_free(world.consumer);
	while (sim_loop_step(world.loop))
		continue;
	if (world.current != world.first)
		conf_free(world.current);
	conf_free(world.next);
	conf_free(world.first);
	sim_net_free(world.net);
	model_free(world.model);
	metrics_free(world.metrics);
	loop_free(world.loop);
	log_set_sink(NULL, NULL);
	assert_int_equal(world.targets, 0);
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
publish(const char *queue, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint32_t n = world.next_lineage++;
		const uint8_t body[4] = { 0, 0, (uint8_t)(n >> 8), (uint8_t)n };
		char id[16];

		assert_true(n < LINEAGES);
		(void)snprintf(id, sizeof(id), "m%u", n);
		assert_true(model_publish(world.model, queue, body,
		    sizeof(body), id, 0));
	}
}

static void
begin(const char *text)
{
	struct conf_errors errors = { 0 };

	world.next = parse(text);
	conf_change_refused(world.current, world.next, CONF_ROLE_CONSUMER,
	    &errors);
	assert_int_equal(errors.count, 0);
	conf_errors_clear(&errors);
	consumer_reload(world.consumer, world.next);
}

static void
reload(const char *text)
{
	unsigned before = world.reloads;

	begin(text);
	await(world.reloads > before);
}

static void
end(void)
{
	consumer_drain(world.consumer);
	await(world.ended);
	assert_int_equal(world.exit_code, CLI_OK);
	tear_down();
}

static unsigned
done(void)
{
	unsigned count = 0;

	for (uint32_t n = 0; n < world.next_lineage; n++)
		count += world.oks[n] > 0;
	return count;
}

static bool
is_rendered(const char *line)
{
	struct buf out = { 0 };
	bool found;

	metrics_render(world.metrics, &out);
	found = strstr(buf_str(&out), line) != NULL;
	buf_clear(&out);
	return found;
}

static void
assert_counts(const struct roster_count *count, unsigned added,
    unsigned changed, unsigned removed, unsigned unchanged)
{
	assert_int_equal(count->added, added);
	assert_int_equal(count->changed, changed);
	assert_int_equal(count->removed, removed);
	assert_int_equal(count->unchanged, unchanged);
}

static void
a_changed_pipeline_keeps_what_is_under_way(void **state)
{
	(void)state;
	set_up(ONE
	    "pipelines:\n" PIPELINE("p", "q", "d", "    concurrency: 10\n"));
	await(world.ready);
	world.handler_ms = 500;
	publish("q", 200);
	await(world.now == 10);
	world.openings = 0;
	reload(ONE
	    "pipelines:\n" PIPELINE("p", "q", "d", "    concurrency: 25\n"));
	assert_counts(&world.change.pipelines, 0, 1, 0, 0);
	assert_counts(&world.change.downstreams, 0, 0, 0, 1);
	await(world.now == 25);
	reload(
	    ONE "pipelines:\n" PIPELINE("p", "q", "d", "    concurrency: 2\n"));
	await(world.now == 2);
	await(model_total(world.model) == 0);
	assert_int_equal(world.attempts, 200);
	assert_int_equal(done(), 200);
	assert_int_equal(world.openings, 0);
	end();
}

static void
failures_are_judged_by_what_is_in_force(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    retry: {attempts: 9, first: 100ms, cap: 400ms}\n"));
	await(world.ready);
	world.outcome = OUTCOME_RETRY;
	world.handler_ms = 500;
	publish("q", 1);
	await(world.attempts == 3);
	/* The attempt that is under way counts, and so do the former ones. */
	reload(ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    retry: {attempts: 4, first: 100ms, cap: 400ms}\n"));
	await(model_depth(world.model, "q.dlq") == 1);
	assert_int_equal(world.attempts, 4);
	assert_int_equal(world.copied_attempt, 4);
	end();
}

static void
a_rule_applies_to_what_is_under_way(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" P);
	await(world.ready);
	world.outcome = OUTCOME_REJECT;
	world.handler_ms = 500;
	publish("q", 10);
	await(world.now == 10);
	reload(ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    retry: {rules: [{class: http, then: ok}]}\n"));
	for (uint32_t n = 0; n < 10; n++)
		world.oks[n] = 1; /* a rule's ok is one */
	await(model_total(world.model) == 0);
	assert_int_equal(world.attempts, 10);
	end();
}

/* Levels that were not there are declared before anything goes there. */
static void
a_higher_cap_adds_its_levels_first(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    retry: {first: 1s, cap: 1s}\n"));
	await(world.ready);
	world.outcome = OUTCOME_RETRY;
	publish("q", 1);
	await(world.attempts == 1);
	reload(ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    retry: {first: 10m, cap: 10m, jitter: 0}\n"));
	await(world.attempts == 2 && world.now == 0);
	world.outcome = OUTCOME_OK;
	await(model_total(world.model) == 0);
	assert_int_equal(world.attempts, 3);
	assert_int_equal(world.missed, 0);
	assert_true(
	    is_rendered("dlo_publish_returned_total{pipeline=\"p\"} 0"));
	/* A lower one keeps what a longer wait needs. */
	world.outcome = OUTCOME_RETRY;
	publish("q", 1);
	await(world.attempts == 4);
	pass(1000);
	reload(ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    retry: {first: 100ms, cap: 100ms, hold: 0s}\n"));
	await(model_depth(world.model, "q.dlq") == 1);
	end();
}

static void
the_unchanged_is_not_touched(void **state)
{
	struct model_load before;

	(void)state;
	set_up(TWO "pipelines:\n" P PIPELINE("r", "s", "e", ""));
	await(world.ready);
	world.outcome = OUTCOME_RETRY;
	publish("q", 20);
	await(is_rendered("dlo_breaker_state{downstream=\"d\"} 2"));
	before = *model_load(world.model);
	world.openings = 0;
	reload(
	    TWO "pipelines:\n" P PIPELINE("r", "s", "e", "    max_body: 1m\n"));
	assert_counts(&world.change.pipelines, 0, 1, 0, 1);
	assert_counts(&world.change.downstreams, 0, 0, 0, 2);
	assert_true(is_rendered("dlo_breaker_state{downstream=\"d\"} 2"));
	assert_int_equal(model_load(world.model)->channels, before.channels);
	assert_int_equal(model_load(world.model)->connections,
	    before.connections);
	assert_int_equal(world.openings, 0);
	world.outcome = OUTCOME_OK;
	await(model_total(world.model) == 0);
	end();
}

static void
another_prefetch_is_asked_for(void **state)
{
	uint64_t before;

	(void)state;
	set_up(ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    prefetch: 100\n    concurrency: 1\n"));
	await(world.ready);
	world.handler_ms = 1000;
	publish("q", 500);
	await(world.now == 1);
	before = model_load(world.model)->cancels;
	reload(ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    prefetch: 4\n    concurrency: 1\n"));
	await(model_load(world.model)->cancels == before + 1);
	world.handler_ms = 1;
	await(model_total(world.model) == 0);
	assert_int_equal(world.attempts, 500);
	assert_true(model_load(world.model)->cancels == before + 1);
	end();
}

static void
an_added_pipeline_is_declared_and_consumes(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" P);
	await(world.ready);
	reload(TWO "pipelines:\n" P PIPELINE("new", "n", "e", ""));
	assert_counts(&world.change.pipelines, 1, 0, 0, 1);
	assert_counts(&world.change.downstreams, 1, 0, 0, 1);
	publish("n", 10);
	await(done() == 10);
	assert_string_equal(world.last_url, "http://two/");
	world.outcome = OUTCOME_REJECT;
	publish("n", 1);
	await(model_depth(world.model, "n.dlq") == 1);
	assert_true(consumer_is_ready(world.consumer, NULL));
	end();
}

static void
a_removed_pipeline_drains(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" P PIPELINE("gone", "g", "d",
	    "    concurrency: 3\n    retry: {hold: 1m, first: 50s, "
	    "cap: 50s}\n"));
	await(world.ready);
	world.outcome = OUTCOME_RETRY;
	publish("g", 1);
	await(world.now == 0 && world.attempts == 1);
	world.outcome = OUTCOME_OK;
	world.handler_ms = 5000;
	publish("g", 30);
	await(world.now == 3);
	reload(ONE "pipelines:\n" P);
	assert_counts(&world.change.pipelines, 0, 0, 1, 1);
	/* Under way: ended; held: to the ladder, counted; the rest is back. */
	assert_int_equal(done(), 3);
	assert_int_equal(world.attempts, 4);
	assert_int_equal(world.copied_attempt, 1);
	assert_int_equal(model_depth(world.model, "g"), 27);
	assert_int_equal(model_total(world.model), 28);
	assert_false(is_rendered("dlo_inflight{pipeline=\"gone\"}"));
	assert_true(is_rendered("dlo_inflight{pipeline=\"p\"} 0"));
	assert_true(is_rendered("dlo_deliveries_total{pipeline=\"gone\"} "));
	/* What waited on its ladder comes back to its queue. */
	await(model_depth(world.model, "g") == 28);
	assert_int_equal(world.attempts, 4);
	/* It can come again. */
	reload(ONE "pipelines:\n" P PIPELINE("gone", "g", "d", ""));
	await(model_total(world.model) == 0);
	assert_int_equal(done(), 31);
	assert_true(is_rendered("dlo_inflight{pipeline=\"gone\"} 0"));
	end();
}

static void
a_removed_pipeline_has_its_time(void **state)
{
	int64_t began_ms;

	(void)state;
	set_up(ONE "pipelines:\n" P PIPELINE("gone", "g", "d",
	    "") "consumer: {drain_timeout: 20s}\n");
	await(world.ready);
	world.handler_ms = INT64_C(3600000);
	publish("g", 5);
	await(world.now == 5);
	began_ms = loop_now_ms(world.loop);
	reload(ONE "pipelines:\n" P "consumer: {drain_timeout: 10s}\n");
	assert_in_range(loop_now_ms(world.loop) - began_ms, 9000, 11000);
	assert_int_equal(world.now, 0);
	assert_int_equal(model_depth(world.model, "g"), 5);
	end();
}

/* A queue is never served by two pipelines, not even for a moment. */
static void
a_renamed_pipeline_waits_for_its_queue(void **state)
{
	struct buf why = { 0 };

	(void)state;
	set_up(ONE "pipelines:\n" PIPELINE("old", "q", "d",
	    "    order: strict\n    retry: {attempts: 2, cap: 1s}\n"));
	await(world.ready);
	world.handler_ms = 3000;
	publish("q", 50);
	await(world.attempts == 1);
	begin(ONE "pipelines:\n" PIPELINE("new", "q", "d",
	    "    order: strict\n    retry: {attempts: 2, cap: 1s}\n"));
	await(!consumer_is_ready(world.consumer, &why));
	assert_string_equal(buf_str(&why),
	    "pipeline new: waits until queue q is free");
	buf_clear(&why);
	await(world.reloads == 1);
	assert_counts(&world.change.pipelines, 1, 0, 1, 0);
	world.handler_ms = 10;
	await(done() == 50);
	assert_int_equal(world.most, 1);
	assert_int_equal(world.inversions, 0);
	assert_int_equal(world.attempts, 50);
	end();
}

static void
a_changed_downstream_is_gone_over_to(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" P PIPELINE("r", "s", "d", ""));
	await(world.ready);
	world.handler_ms = 5000;
	publish("q", 3);
	publish("s", 3);
	await(world.now == 6);
	world.openings = 0;
	reload("downstreams: {d: {http: {url: \"http://two/\"}}}\n"
	       "pipelines:\n" P PIPELINE("r", "s", "d", ""));
	assert_counts(&world.change.downstreams, 0, 1, 0, 0);
	assert_counts(&world.change.pipelines, 0, 0, 0, 2);
	assert_int_equal(world.targets, 2);
	world.handler_ms = 20;
	publish("q", 1);
	publish("s", 1);
	await(done() == 2);
	assert_string_equal(world.last_url, "http://two/");
	/* Those that had begun end where they are, and then it goes. */
	assert_int_equal(world.now, 6);
	await(done() == 8);
	pass(1);
	assert_int_equal(world.targets, 1);
	assert_int_equal(world.attempts, 8);
	assert_int_equal(world.openings, 0);
	assert_true(is_rendered("dlo_breaker_state{downstream=\"d\"} 0"));
	end();
}

static void
a_changed_downstream_starts_closed(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" P);
	await(world.ready);
	world.outcome = OUTCOME_RETRY;
	publish("q", 50);
	await(is_rendered("dlo_breaker_state{downstream=\"d\"} 2"));
	world.outcome = OUTCOME_OK;
	reload("downstreams: {d: {http: {url: \"http://two/\"}}}\n"
	       "pipelines:\n" P);
	assert_true(is_rendered("dlo_breaker_state{downstream=\"d\"} 0"));
	await(model_total(world.model) == 0);
	assert_int_equal(done(), 50);
	assert_int_equal(world.targets, 1);
	end();
}

static void
a_pipeline_moves_to_another_downstream(void **state)
{
	(void)state;
	set_up(TWO "pipelines:\n" P);
	await(world.ready);
	/* Nobody uses the other one. */
	assert_int_equal(world.targets, 1);
	world.handler_ms = 2000;
	publish("q", 40);
	await(world.now > 0);
	reload(TWO "pipelines:\n" PIPELINE("p", "q", "e", ""));
	assert_counts(&world.change.pipelines, 0, 1, 0, 0);
	assert_counts(&world.change.downstreams, 0, 0, 0, 2);
	await(done() == 40);
	assert_int_equal(world.attempts, 40);
	pass(1);
	assert_int_equal(world.targets, 1);
	publish("q", 1);
	await(done() == 41);
	assert_string_equal(world.last_url, "http://two/");
	end();
}

static void
the_order_is_kept(void **state)
{
	static const char *const more[] = {
		"    order: strict\n    retry: {attempts: 9, first: 1s, "
		"cap: 2s}\n",
		"    order: strict\n    retry: {attempts: 8, first: 2s, "
		"cap: 3s}\n    dedup: message_id\n    concurrency: 9\n",
	};
	char *texts[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		texts[i] =
		    xasprintf("downstreams: {d: {http: {url: "
			      "\"http://%d/\"}, breaker: {failures: 1000, "
			      "minimum: 1000}}}\n"
			      "pipelines:\n" PIPELINE("p", "q", "d", "%s"),
			i, more[i]);
	set_up(texts[0]);
	await(world.ready);
	publish("q", 100);
	for (int i = 1; i < 60; i++) {
		world.outcome = i % 3 == 0 ? OUTCOME_RETRY : OUTCOME_OK;
		pass((int64_t)sim_below(world.loop, 300));
		reload(texts[i % 2]);
	}
	world.outcome = OUTCOME_OK;
	await(done() == 100);
	assert_int_equal(world.most, 1);
	assert_int_equal(world.inversions, 0);
	for (int n = 0; n < 100; n++)
		assert_int_equal(world.oks[n], 1);
	free(texts[0]);
	free(texts[1]);
	end();
}

/* Those of ordered messages are known to nobody else. */
static void
ordered_attempts_in_memory_are_not_forgotten(void **state)
{
	static const char before[] = ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    order: strict\n    retry: {attempts: 3, first: 20s, "
	    "cap: 20s}\n");
	static const char after[] = ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    order: strict\n    retry: {attempts: 3, first: 21s, "
	    "cap: 21s}\n    max_body: 7m\n");

	(void)state;
	set_up(before);
	await(world.ready);
	world.outcome = OUTCOME_RETRY;
	publish("q", 1);
	await(world.attempts == 1);
	pass(100);
	reload(after);
	await(world.attempts == 2);
	pass(100);
	reload(before);
	await(model_depth(world.model, "q.dlq") == 1);
	assert_int_equal(world.attempts, 3);
	end();
}

static void
a_larger_prefetch_keeps_the_order(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    order: strict\n    prefetch: 4\n"
	    "    retry: {attempts: 9, first: 1s, cap: 1s}\n"));
	await(world.ready);
	world.outcome = OUTCOME_RETRY;
	publish("q", 100);
	await(world.attempts == 1 && world.now == 0);
	world.openings = 0;
	reload(ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    order: strict\n    prefetch: 20\n"
	    "    retry: {attempts: 9, first: 1s, cap: 1s}\n"));
	/* Not while a failed one waits in memory. */
	await(world.attempts == 3 && world.now == 0);
	assert_int_equal(world.openings, 0);
	world.outcome = OUTCOME_OK;
	await(world.openings == 1);
	assert_int_equal(done(), 1);
	await(done() == 100);
	assert_int_equal(world.openings, 1);
	assert_int_equal(world.attempts, 103);
	assert_int_equal(world.tried[0], 4);
	assert_int_equal(world.inversions, 0);
	end();
}

static void
consuming_is_switched_off_and_on(void **state)
{
	struct buf why = { 0 };

	(void)state;
	set_up(ONE "pipelines:\n" P);
	await(world.ready);
	world.handler_ms = 3000;
	publish("q", 200);
	await(world.now == 64);
	reload(ONE "pipelines:\n" P "features: {consume: false}\n");
	assert_counts(&world.change.pipelines, 0, 0, 0, 1);
	await(world.now == 0);
	pass(10000);
	assert_int_equal(world.attempts, 64);
	assert_int_equal(done(), 64);
	assert_int_equal(model_depth(world.model, "q"), 136);
	assert_true(consumer_is_ready(world.consumer, &why));
	assert_string_equal(buf_str(&why),
	    "ready, but features.consume is off");
	buf_clear(&why);
	/* And a new connection changes nothing of that. */
	sim_net_cut(world.net, 1);
	pass(60000);
	assert_true(consumer_is_ready(world.consumer, NULL));
	assert_int_equal(world.attempts, 64);
	reload(ONE "pipelines:\n" P);
	world.handler_ms = 10;
	await(done() == 200);
	assert_int_equal(world.attempts, 200);
	assert_true(consumer_is_ready(world.consumer, &why));
	assert_int_equal(why.len, 0);
	buf_clear(&why);
	end();
}

static void
retrying_is_switched_off_and_on(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" P);
	await(world.ready);
	world.outcome = OUTCOME_RETRY;
	reload(ONE "pipelines:\n" P "features: {retry: false}\n");
	publish("q", 1);
	await(model_depth(world.model, "q.dlq") == 1);
	assert_int_equal(world.attempts, 1);
	reload(ONE "pipelines:\n" P);
	publish("q", 1);
	await(world.attempts == 3);
	assert_int_equal(model_depth(world.model, "q.dlq"), 1);
	world.outcome = OUTCOME_OK;
	await(model_total(world.model) == 1);
	end();
}

static void
hold_max_is_looked_at_anew(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    retry: {hold: 5m, first: 4m, cap: 4m, jitter: 0}\n") "consumer"
								      ": "
								      "{hold_"
								      "max: "
								      "9m}\n");
	await(world.ready);
	world.outcome = OUTCOME_RETRY;
	publish("q", 1);
	await(is_rendered("dlo_held{pipeline=\"p\"} 1"));
	reload(ONE "pipelines:\n" PIPELINE("p", "q", "d",
	    "    retry: {hold: 5m, first: 4m, cap: 4m, jitter: 0}\n") "consumer"
								      ": "
								      "{hold_"
								      "max: "
								      "5s}\n");
	pass(6000);
	assert_true(is_rendered("dlo_held{pipeline=\"p\"} 0"));
	assert_int_equal(world.copied_attempt, 1);
	world.outcome = OUTCOME_OK;
	await(model_total(world.model) == 0);
	assert_int_equal(world.attempts, 2);
	end();
}

static void
a_missing_queue_ends_nothing(void **state)
{
	struct buf why = { 0 };

	(void)state;
	set_up(ONE "pipelines:\n" P);
	await(world.ready);
	reload(ONE "pipelines:\n" P "  m: {queue: missing, downstream: d}\n");
	pass(120000);
	assert_false(world.ended);
	assert_false(consumer_is_ready(world.consumer, &why));
	assert_non_null(strstr(buf_str(&why), "pipeline m"));
	buf_clear(&why);
	publish("q", 10);
	await(done() == 10);
	/* Taken out again. */
	reload(ONE "pipelines:\n" P);
	assert_true(consumer_is_ready(world.consumer, NULL));
	end();
}

static void
it_ends_while_it_reloads(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" P PIPELINE("gone", "g", "d", ""));
	await(world.ready);
	world.handler_ms = 5000;
	publish("g", 10);
	publish("q", 10);
	await(world.now == 20);
	begin("downstreams: {d: {http: {url: \"http://two/\"}}}\n"
	      "pipelines:\n" P PIPELINE("gone2", "g", "d", ""));
	pass(1000);
	consumer_drain(world.consumer);
	await(world.ended);
	assert_int_equal(done(), 20);
	assert_int_equal(world.attempts, 20);
	assert_int_equal(world.exit_code, CLI_OK);
	tear_down();
}

/* Before its topology is there nothing of it is in force. */
static void
it_ends_before_it_is_gone_over(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" P);
	await(world.ready);
	begin(TWO "pipelines:\n" P PIPELINE("new", "n", "e", ""));
	assert_int_equal(world.reloads, 0);
	consumer_drain(world.consumer);
	await(world.ended);
	tear_down();
}

static void
it_reloads_while_the_broker_is_away(void **state)
{
	(void)state;
	set_up(ONE "pipelines:\n" P);
	sim_net_listen(world.net, false);
	sim_net_cut(world.net, 1);
	pass(60000);
	assert_false(world.ready);
	reload(TWO "pipelines:\n" P PIPELINE("new", "n", "e", ""));
	sim_net_listen(world.net, true);
	await(world.ready);
	publish("n", 5);
	await(done() == 5);
	assert_string_equal(world.last_url, "http://two/");
	/* And once it has been there. */
	sim_net_listen(world.net, false);
	sim_net_cut(world.net, 1);
	pass(60000);
	reload(ONE "pipelines:\n" P);
	sim_net_listen(world.net, true);
	await(consumer_is_ready(world.consumer, NULL));
	publish("q", 5);
	await(done() == 10);
	end();
}

/* The connection goes while the broker is asked for the topology. */
static void
it_reloads_when_the_connection_goes(void **state)
{
	(void)state;
	for (int64_t ms = 0; ms < 30; ms++) {
		unsigned reloads;

		set_up(ONE "pipelines:\n" P);
		await(world.ready);
		reloads = world.reloads;
		begin(TWO "pipelines:\n" P PIPELINE("new", "n", "e", ""));
		pass(1 + ms);
		sim_net_listen(world.net, false);
		sim_net_cut(world.net, 1);
		/* It does not wait for the broker to come back. */
		await(world.reloads > reloads);
		sim_net_listen(world.net, true);
		await(consumer_is_ready(world.consumer, NULL));
		publish("n", 5);
		await(done() == 5);
		end();
	}
}

static size_t
memory(void)
{
	return mallinfo2().uordblks;
}

/* With the former configuration freed each time nothing is left behind. */
static void
a_thousand_reloads_take_no_memory(void **state)
{
	static const char *const texts[] = {
		ONE "pipelines:\n" P PIPELINE("r", "s", "d", ""),
		"downstreams: {d: {http: {url: \"http://two/\"}}}\n"
		"pipelines:\n" PIPELINE("p", "q", "d",
		    "    dedup: message_id\n    retry: {cap: 10m}\n"),
		TWO "pipelines:\n" PIPELINE("p", "q", "e", "")
		    PIPELINE("t", "s", "d", ""),
		ONE "pipelines:\n" PIPELINE("r", "s", "d",
		    "") "features: {consume: false}\n",
	};
	size_t settled = 0;

	(void)state;
	set_up(texts[0]);
	await(world.ready);
	for (int i = 1; i <= 1000; i++) {
		publish("q", 1);
		reload(texts[i % 4]);
		if (i == 200)
			settled = memory();
	}
	/* The model keeps what waits; the sanitized build counts leaks. */
	reload(texts[0]);
	await(model_total(world.model) == 0);
	assert_int_equal(done(), 1000);
	assert_in_range(memory(), 0, settled + settled / 4 + 100000);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_changed_pipeline_keeps_what_is_under_way),
		cmocka_unit_test(failures_are_judged_by_what_is_in_force),
		cmocka_unit_test(a_rule_applies_to_what_is_under_way),
		cmocka_unit_test(a_higher_cap_adds_its_levels_first),
		cmocka_unit_test(the_unchanged_is_not_touched),
		cmocka_unit_test(another_prefetch_is_asked_for),
		cmocka_unit_test(an_added_pipeline_is_declared_and_consumes),
		cmocka_unit_test(a_removed_pipeline_drains),
		cmocka_unit_test(a_removed_pipeline_has_its_time),
		cmocka_unit_test(a_renamed_pipeline_waits_for_its_queue),
		cmocka_unit_test(a_changed_downstream_is_gone_over_to),
		cmocka_unit_test(a_changed_downstream_starts_closed),
		cmocka_unit_test(a_pipeline_moves_to_another_downstream),
		cmocka_unit_test(the_order_is_kept),
		cmocka_unit_test(ordered_attempts_in_memory_are_not_forgotten),
		cmocka_unit_test(a_larger_prefetch_keeps_the_order),
		cmocka_unit_test(consuming_is_switched_off_and_on),
		cmocka_unit_test(retrying_is_switched_off_and_on),
		cmocka_unit_test(hold_max_is_looked_at_anew),
		cmocka_unit_test(a_missing_queue_ends_nothing),
		cmocka_unit_test(it_ends_while_it_reloads),
		cmocka_unit_test(it_ends_before_it_is_gone_over),
		cmocka_unit_test(it_reloads_while_the_broker_is_away),
		cmocka_unit_test(it_reloads_when_the_connection_goes),
		cmocka_unit_test(a_thousand_reloads_take_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
