/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* A downstream on virtual time: handler, breaker and probe together. */
#include "tests/unit.h"

#include <stdlib.h>

#include "config/conf.h"
#include "downstream/downstream.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "tests/sim/sim_loop.h"

#define CALLS_MAX 64

/* A handler whose calls the test ends. */
struct fake_call {
	struct handler_call base;
	handler_done_cb *done;
	void *arg;
};

struct fake {
	struct handler base;
	struct fake_call *calls[CALLS_MAX]; /* under way, oldest first */
	size_t count;
};

struct fake_probe {
	struct probe_driver base;
	struct loop *loop;
	struct loop_timer *timer;
	bool good;
	unsigned starts;
	probe_driver_cb *cb;
	void *arg;
};

struct pipeline {
	struct downstream_listener listener;
	struct world *world;
	unsigned told, started, backlog;
};

struct world {
	struct loop *loop;
	struct metrics *metrics;
	struct fake fake;
	struct fake_probe probe;
	struct conf_downstream conf;
	struct downstream *d;
	struct attempt attempt;
	struct pipeline a, b;
	unsigned oks, retries, rejects;
	/* What a verdict's callback saw. */
	enum breaker_state seen;
	unsigned seen_room;
	struct buf changes; /* what the watcher saw */
	unsigned idle;
};

static void
fake_forget(struct fake *fake, struct fake_call *call)
{
	size_t i;

	for (i = 0; fake->calls[i] != call; i++)
		continue;
	fake->count--;
	for (; i < fake->count; i++)
		fake->calls[i] = fake->calls[i + 1];
	free(call);
}

static struct handler_call *
fake_start(struct handler *handler, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	struct fake *fake = container_of(handler, struct fake, base);
	struct fake_call *call = xmalloc(sizeof(*call));

	(void)attempt;
	assert_true(fake->count < handler->capacity);
	call->base.handler = handler;
	call->done = done;
	call->arg = arg;
	fake->calls[fake->count++] = call;
	return &call->base;
}

static void
fake_cancel(struct handler_call *base)
{
	fake_forget(container_of(base->handler, struct fake, base),
	    container_of(base, struct fake_call, base));
}

static void
fake_free(struct handler *handler)
{
	struct fake *fake = container_of(handler, struct fake, base);

	while (fake->count > 0)
		fake_forget(fake, fake->calls[0]);
}

static void
finish_call(struct world *w, size_t i, enum outcome outcome)
{
	struct fake_call *call = w->fake.calls[i];
	handler_done_cb *done = call->done;
	void *arg = call->arg;
	struct verdict verdict;

	assert_true(i < w->fake.count);
	fake_forget(&w->fake, call);
	verdict_init(&verdict, outcome, "test");
	done(arg, &verdict);
}

/* Ends the oldest call. */
static void
finish(struct world *w, enum outcome outcome)
{
	finish_call(w, 0, outcome);
}

static void
finish_last(struct world *w, enum outcome outcome)
{
	finish_call(w, w->fake.count - 1, outcome);
}

static void
finish_many(struct world *w, enum outcome outcome, unsigned count)
{
	while (count-- > 0)
		finish(w, outcome);
}

static void
fake_probe_start(struct probe_driver *base, int64_t timeout_ms,
    probe_driver_cb *cb, void *arg)
{
	struct fake_probe *probe = container_of(base, struct fake_probe, base);

	(void)timeout_ms;
	probe->starts++;
	probe->cb = cb;
	probe->arg = arg;
	loop_timer_start(probe->loop, probe->timer, 1);
}

static void
fake_probe_answer(void *arg)
{
	struct fake_probe *probe = arg;

	probe->cb(probe->arg, probe->good, probe->good ? NULL : "ill");
}

static void
fake_probe_cancel(struct probe_driver *base)
{
	struct fake_probe *probe = container_of(base, struct fake_probe, base);

	loop_timer_stop(probe->loop, probe->timer);
}

static void
fake_probe_free(struct probe_driver *base)
{
	struct fake_probe *probe = container_of(base, struct fake_probe, base);

	loop_timer_free(probe->loop, probe->timer);
}

static const struct handler_ops fake_ops = {
	.start = fake_start,
	.cancel = fake_cancel,
	.free = fake_free,
};

static const struct probe_driver_ops fake_probe_ops = {
	.start = fake_probe_start,
	.cancel = fake_probe_cancel,
	.free = fake_probe_free,
};

static struct handler *
make_handler(void *arg, const struct conf_downstream *conf)
{
	struct world *w = arg;

	assert_ptr_equal(conf, &w->conf);
	return &w->fake.base;
}

static struct probe_driver *
make_driver(void *arg, const struct conf_downstream *conf)
{
	struct world *w = arg;

	assert_ptr_equal(conf, &w->conf);
	w->probe.timer = loop_timer_new(w->loop, fake_probe_answer, &w->probe);
	return &w->probe.base;
}

static void
done(void *arg, const struct verdict *verdict)
{
	struct world *w = arg;

	w->oks += verdict->outcome == OUTCOME_OK;
	w->retries += verdict->outcome == OUTCOME_RETRY;
	w->rejects += verdict->outcome == OUTCOME_REJECT;
	w->seen = downstream_state(w->d);
	w->seen_room = downstream_room(w->d);
}

static void
start(struct world *w)
{
	assert_non_null(downstream_start(w->d, &w->attempt, done, w));
}

static void
start_many(struct world *w, unsigned count)
{
	while (count-- > 0)
		start(w);
}

static void
told(void *arg)
{
	struct pipeline *p = arg;

	p->told++;
	while (p->backlog > 0 && downstream_room(p->world->d) > 0) {
		start(p->world);
		p->started++;
		p->backlog--;
	}
}

static int
setup(void **state)
{
	static struct world w;

	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	memset(&w, 0, sizeof(w));
	w.loop = sim_loop_new(7);
	w.metrics = metrics_new();
	w.fake.base.ops = &fake_ops;
	w.fake.base.capacity = HANDLER_ANY;
	w.probe.base.ops = &fake_probe_ops;
	w.probe.loop = w.loop;
	w.a.world = w.b.world = &w;
	w.a.listener.cb = w.b.listener.cb = told;
	w.a.listener.arg = &w.a;
	w.b.listener.arg = &w.b;
	w.conf = (struct conf_downstream){
		.name = "d",
		.probe = { .every_ms = 2000,
		    .timeout_ms = 1000,
		    .rise = 3,
		    .fall = 2 },
		.breaker = { .failures = 5,
		    .ratio = 0.5,
		    .minimum = 20,
		    .window_ms = 10000,
		    .open_ms = 5000,
		    .open_max_ms = 60000 },
	};
	*state = &w;
	return 0;
}

static void
open_downstream(struct world *w, unsigned concurrency)
{
	const struct downstream_env env = {
		.loop = w->loop,
		.metrics = w->metrics,
		.handler_new = make_handler,
		.driver_new = make_driver,
		.arg = w,
	};

	w->d = downstream_new(&env, &w->conf, concurrency);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	downstream_free(w->d);
	metrics_free(w->metrics);
	loop_free(w->loop);
	return 0;
}

/* Steps until the breaker is in that state. */
static void
await(struct world *w, enum breaker_state state)
{
	while (downstream_state(w->d) != state)
		assert_true(sim_loop_step(w->loop));
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
pass(struct world *w, int64_t ms)
{
	bool passed = false;
	struct loop_timer *timer = loop_timer_new(w->loop, on_passed, &passed);

	loop_timer_start(w->loop, timer, ms);
	assert_true(sim_loop_run_until(w->loop, INT64_MAX, is_true, &passed));
	loop_timer_free(w->loop, timer);
}

static void
check_metric(struct world *w, const char *line)
{
	struct buf out = { 0 };

	metrics_render(w->metrics, &out);
	if (strstr(buf_str(&out), line) == NULL)
		fail_msg("no %s in:\n%s", line, buf_str(&out));
	buf_clear(&out);
}

static void
passes_verdicts_on(void **state)
{
	struct world *w = *state;

	open_downstream(w, 8);
	assert_string_equal(downstream_name(w->d), "d");
	assert_int_equal(downstream_health(w->d), PROBE_HEALTHY);
	assert_int_equal(downstream_room(w->d), 8);
	start_many(w, 3);
	assert_int_equal(downstream_room(w->d), 5);
	finish(w, OUTCOME_OK);
	finish(w, OUTCOME_RETRY);
	finish(w, OUTCOME_REJECT);
	assert_int_equal(w->oks + 10 * w->retries + 100 * w->rejects, 111);
	assert_int_equal(downstream_room(w->d), 8);
	assert_int_equal(w->seen_room, 8);
	check_metric(w, "dlo_breaker_state{downstream=\"d\"} 0\n");
	check_metric(w, "dlo_probe_healthy{downstream=\"d\"} 1\n");
}

static void
watch(void *arg, struct downstream *d, enum breaker_state from)
{
	struct world *w = arg;

	buf_printf(&w->changes, "%s-%s ", breaker_state_name(from),
	    breaker_state_name(downstream_state(d)));
}

/* Whoever watches sees each change, when it happens. */
static void
is_watched(void **state)
{
	struct world *w = *state;

	open_downstream(w, 8);
	downstream_watch(w->d, watch, w);
	start_many(w, 5);
	finish_many(w, OUTCOME_RETRY, 4);
	assert_int_equal(downstream_opened(w->d), 0);
	assert_int_equal(downstream_open_ms(w->d), 0);
	finish(w, OUTCOME_RETRY);
	assert_string_equal(buf_str(&w->changes), "closed-open ");
	assert_int_equal(downstream_opened(w->d), 1);
	assert_in_range(downstream_open_ms(w->d), 4000, 5000);
	await(w, BREAKER_HALF_OPEN);
	assert_int_equal(downstream_open_ms(w->d), 0);
	start(w);
	finish(w, OUTCOME_RETRY);
	await(w, BREAKER_HALF_OPEN);
	start(w);
	finish(w, OUTCOME_OK);
	assert_string_equal(buf_str(&w->changes),
	    "closed-open open-half-open half-open-open open-half-open "
	    "half-open-closed ");
	assert_int_equal(downstream_opened(w->d), 2);
	buf_clear(&w->changes);
}

/* From failures through a trial message to slow start, and who is told. */
static void
opens_and_recovers(void **state)
{
	struct world *w = *state;

	open_downstream(w, 8);
	downstream_listen(w->d, &w->a.listener);
	start_many(w, 7);
	finish_many(w, OUTCOME_RETRY, 4);
	assert_int_equal(w->seen, BREAKER_CLOSED);
	finish(w, OUTCOME_RETRY);
	assert_int_equal(w->seen, BREAKER_OPEN);
	assert_int_equal(downstream_room(w->d), 0);
	assert_int_equal(w->a.told, 0);
	loop_run_tasks(w->loop);
	assert_int_equal(w->a.told, 1);
	check_metric(w, "dlo_breaker_state{downstream=\"d\"} 2\n");
	check_metric(w, "dlo_breaker_opened_total{downstream=\"d\"} 1\n");
	/* Late verdicts still reach their pipeline, and nothing else. */
	finish_many(w, OUTCOME_RETRY, 2);
	assert_int_equal(w->retries, 7);

	await(w, BREAKER_HALF_OPEN);
	assert_in_range(loop_now_ms(w->loop), 4000, 5000);
	assert_int_equal(w->a.told, 2);
	check_metric(w, "dlo_breaker_state{downstream=\"d\"} 1\n");
	assert_int_equal(downstream_room(w->d), 1);
	w->a.backlog = 20;
	told(&w->a);
	assert_int_equal(w->fake.count, 1);
	/* A reject decides nothing: the next message is the trial. */
	finish(w, OUTCOME_REJECT);
	assert_int_equal(w->seen, BREAKER_HALF_OPEN);
	loop_run_tasks(w->loop);
	assert_int_equal(w->fake.count, 1);
	finish(w, OUTCOME_OK);
	assert_int_equal(w->seen, BREAKER_CLOSED);
	loop_run_tasks(w->loop);
	assert_int_equal(w->fake.count, 1);
	/* Twice as many each second, and each time all that now may start do.
	 */
	for (unsigned wanted = 2; wanted <= 8; wanted *= 2) {
		pass(w, BREAKER_STEP_MS);
		finish(w, OUTCOME_OK);
		loop_run_tasks(w->loop);
		assert_int_equal(w->fake.count, wanted);
	}
	check_metric(w, "dlo_breaker_state{downstream=\"d\"} 0\n");
	check_metric(w, "dlo_breaker_opened_total{downstream=\"d\"} 1\n");
}

/* The probe decides, and is asked at once when the breaker is half-open. */
static void
asks_the_probe(void **state)
{
	struct world *w = *state;
	int64_t now_ms;
	unsigned starts;

	w->conf.probe.kind = CONF_PROBE_TCP;
	w->conf.probe.every_ms = 3600000;
	w->probe.good = false;
	open_downstream(w, 8);
	assert_int_equal(downstream_health(w->d), PROBE_UNKNOWN);
	check_metric(w, "dlo_probe_healthy{downstream=\"d\"} 0\n");
	start_many(w, 5);
	finish_many(w, OUTCOME_RETRY, 5);
	await(w, BREAKER_HALF_OPEN);
	assert_int_equal(downstream_room(w->d), 0);
	starts = w->probe.starts;
	now_ms = loop_now_ms(w->loop);
	await(w, BREAKER_OPEN);
	assert_in_range(loop_now_ms(w->loop), now_ms, now_ms + 10);
	assert_int_equal(w->probe.starts, starts + 1);
	assert_int_equal(downstream_health(w->d), PROBE_UNHEALTHY);
	check_metric(w, "dlo_breaker_opened_total{downstream=\"d\"} 2\n");
	w->probe.good = true;
	await(w, BREAKER_HALF_OPEN);
	await(w, BREAKER_CLOSED);
	assert_int_equal(downstream_health(w->d), PROBE_HEALTHY);
	assert_int_equal(downstream_room(w->d), 1);
	check_metric(w, "dlo_probe_healthy{downstream=\"d\"} 1\n");
}

static void
cancels(void **state)
{
	struct world *w = *state;
	struct downstream_call *call;
	unsigned i;

	open_downstream(w, 2);
	downstream_listen(w->d, &w->a.listener);
	for (i = 0; i < 20; i++) {
		call = downstream_start(w->d, &w->attempt, done, w);
		downstream_cancel(call);
	}
	assert_int_equal(w->fake.count, 0);
	assert_int_equal(w->oks + w->retries + w->rejects, 0);
	assert_int_equal(downstream_state(w->d), BREAKER_CLOSED);
	start(w);
	call = downstream_start(w->d, &w->attempt, done, w);
	assert_int_equal(downstream_room(w->d), 0);
	w->a.backlog = 1;
	downstream_cancel(call);
	loop_run_tasks(w->loop);
	assert_int_equal(w->a.started, 1);
	/* Teardown frees those that are under way. */
}

/* A handler that can do less than the pipelines want. */
static void
keeps_within_the_capacity(void **state)
{
	struct world *w = *state;

	w->fake.base.capacity = 3;
	open_downstream(w, 8);
	assert_int_equal(downstream_room(w->d), 3);
	start_many(w, 3);
	assert_int_equal(downstream_room(w->d), 0);
	finish(w, OUTCOME_OK);
	loop_run_tasks(w->loop);
	assert_int_equal(downstream_room(w->d), 1);
}

/* Those of before an opening count for the handler. */
static void
keeps_late_attempts_within_the_capacity(void **state)
{
	struct world *w = *state;

	w->fake.base.capacity = 3;
	w->conf.breaker.failures = 1;
	open_downstream(w, 8);
	start_many(w, 3);
	finish(w, OUTCOME_RETRY);
	await(w, BREAKER_HALF_OPEN);
	assert_int_equal(downstream_room(w->d), 1);
	start(w);
	assert_int_equal(w->fake.count, 3);
	finish_last(w, OUTCOME_OK);
	assert_int_equal(downstream_state(w->d), BREAKER_CLOSED);
	loop_run_tasks(w->loop);
	start(w);
	pass(w, BREAKER_STEP_MS);
	finish_last(w, OUTCOME_OK);
	loop_run_tasks(w->loop);
	/* Two by the slow start, one by the handler. */
	assert_int_equal(downstream_room(w->d), 1);
	finish_many(w, OUTCOME_RETRY, 2);
	assert_int_equal(downstream_state(w->d), BREAKER_CLOSED);
	assert_int_equal(downstream_room(w->d), 2);
}

/* Two pipelines that never have enough take turns. */
static void
shares_fairly(void **state)
{
	struct world *w = *state;
	unsigned i;

	open_downstream(w, 4);
	downstream_listen(w->d, &w->a.listener);
	downstream_listen(w->d, &w->b.listener);
	w->a.backlog = w->b.backlog = 1000;
	told(&w->a);
	assert_int_equal(w->a.started, 4);
	for (i = 0; i < 100; i++) {
		finish(w, OUTCOME_OK);
		assert_int_equal(w->seen_room, 0);
		loop_run_tasks(w->loop);
		assert_int_equal(w->fake.count, 4);
	}
	assert_int_equal(w->a.started, 54);
	assert_int_equal(w->b.started, 50);
	/* Room that was there all along needs no telling. */
	w->a.backlog = w->b.backlog = 0;
	finish_many(w, OUTCOME_OK, 4);
	loop_run_tasks(w->loop);
	w->a.told = 0;
	start(w);
	finish(w, OUTCOME_OK);
	assert_int_equal(w->seen_room, 4);
	loop_run_tasks(w->loop);
	assert_int_equal(w->a.told, 0);
}

static void
unlisten_both(void *arg)
{
	struct world *w = arg;

	w->a.told++;
	downstream_unlisten(w->d, &w->b.listener);
	downstream_unlisten(w->d, &w->a.listener);
}

static void
lets_listeners_go(void **state)
{
	struct world *w = *state;

	w->conf.breaker.failures = 1;
	open_downstream(w, 4);
	w->a.listener.cb = unlisten_both;
	w->a.listener.arg = w;
	downstream_listen(w->d, &w->a.listener);
	downstream_listen(w->d, &w->b.listener);
	start(w);
	finish(w, OUTCOME_RETRY);
	loop_run_tasks(w->loop);
	await(w, BREAKER_HALF_OPEN);
	assert_int_equal(w->a.told, 1);
	assert_int_equal(w->b.told, 0);
}

/* The handler that says ok to everything, and no factory at all. */
static void
measures_with_noop(void **state)
{
	struct world *w = *state;
	const struct downstream_env env = {
		.loop = w->loop,
		.metrics = w->metrics,
	};
	struct downstream_call *call;

	w->conf.kind = CONF_KIND_NOOP;
	w->d = downstream_new(&env, &w->conf, 16);
	downstream_listen(w->d, &w->a.listener);
	w->a.backlog = 1000;
	told(&w->a);
	assert_int_equal(w->oks, 0);
	assert_int_equal(w->a.started, 16);
	loop_run_tasks(w->loop);
	assert_int_equal(w->oks, 1000);
	assert_int_equal(downstream_room(w->d), 16);
	start(w);
	call = downstream_start(w->d, &w->attempt, done, w);
	start(w);
	downstream_cancel(call);
	loop_run_tasks(w->loop);
	assert_int_equal(w->oks, 1002);
	/* Freed with calls under way by teardown. */
	start_many(w, 3);
}

static void
takes_another_limit(void **state)
{
	struct world *w = *state;

	open_downstream(w, 4);
	downstream_listen(w->d, &w->a.listener);
	start_many(w, 4);
	assert_int_equal(downstream_room(w->d), 0);
	downstream_limit(w->d, 6);
	loop_run_tasks(w->loop);
	assert_int_equal(w->a.told, 1);
	assert_int_equal(downstream_room(w->d), 2);
	downstream_limit(w->d, 2);
	assert_int_equal(downstream_room(w->d), 0);
	finish_many(w, OUTCOME_OK, 3);
	loop_run_tasks(w->loop);
	assert_int_equal(downstream_room(w->d), 1);
	/* What the breaker knows stays. */
	downstream_limit(w->d, 10);
	start_many(w, 4);
	finish_many(w, OUTCOME_RETRY, 5);
	assert_int_equal(downstream_state(w->d), BREAKER_OPEN);
	downstream_limit(w->d, 20);
	assert_int_equal(downstream_state(w->d), BREAKER_OPEN);
	assert_int_equal(downstream_room(w->d), 0);
	downstream_unlisten(w->d, &w->a.listener);
}

static void
on_idle(void *arg, struct downstream *d)
{
	struct world *w = arg;

	assert_ptr_equal(d, w->d);
	w->idle++;
}

static bool
is_rendered(struct world *w, const char *what)
{
	struct buf out = { 0 };
	bool found;

	metrics_render(w->metrics, &out);
	found = strstr(buf_str(&out), what) != NULL;
	buf_clear(&out);
	return found;
}

static void
retires_when_all_have_come_to_a_verdict(void **state)
{
	struct world *w = *state;
	unsigned probes;

	w->conf.probe.kind = CONF_PROBE_TCP;
	open_downstream(w, 8);
	loop_run_tasks(w->loop);
	pass(w, 10);
	start_many(w, 6);
	assert_true(is_rendered(w, "dlo_breaker_state{downstream=\"d\"} 0"));
	downstream_retire(w->d, on_idle, w);
	assert_int_equal(downstream_room(w->d), 0);
	assert_false(is_rendered(w, "dlo_breaker_state{"));
	assert_false(is_rendered(w, "dlo_probe_healthy{"));
	assert_true(is_rendered(w, "dlo_breaker_opened_total{"));
	probes = w->probe.starts;
	finish_many(w, OUTCOME_RETRY, 5);
	pass(w, 10000);
	assert_int_equal(w->probe.starts, probes);
	/* Whoever counts them now, it is not this one. */
	assert_int_equal(downstream_state(w->d), BREAKER_CLOSED);
	assert_int_equal(w->retries, 5);
	assert_int_equal(w->idle, 0);
	finish(w, OUTCOME_OK);
	assert_int_equal(w->idle, 0);
	loop_run_tasks(w->loop);
	assert_int_equal(w->idle, 1);
}

static void
retires_at_once_when_idle(void **state)
{
	struct world *w = *state;

	open_downstream(w, 8);
	downstream_retire(w->d, on_idle, w);
	assert_int_equal(w->idle, 0);
	loop_run_tasks(w->loop);
	assert_int_equal(w->idle, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(passes_verdicts_on),
		TEST(is_watched),
		TEST(opens_and_recovers),
		TEST(asks_the_probe),
		TEST(cancels),
		TEST(keeps_within_the_capacity),
		TEST(keeps_late_attempts_within_the_capacity),
		TEST(shares_fairly),
		TEST(lets_listeners_go),
		TEST(measures_with_noop),
		TEST(takes_another_limit),
		TEST(retires_when_all_have_come_to_a_verdict),
		TEST(retires_at_once_when_idle),
	};

	return cmocka_run_group_tests_name("downstream", tests, NULL, NULL);
}
