/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/redrive/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "amqp/link.h"
#include "amqp/props.h"
#include "amqp/publisher.h"
#include "config/conf.h"
#include "dlx/broker.h"
#include "downstream/probe.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/print.h"
#include "tests/sim/sim_net.h"

#define DAY_US (INT64_C(86400) * 1000000)

/* A probe's driver that finds what the world says. */
struct fake_driver {
	struct probe_driver base;
	struct world *world;
	struct loop_timer *timer;
	probe_driver_cb *cb;
	void *arg;
};

static void
fake_answer(void *arg)
{
	struct fake_driver *fake = arg;

	fake->cb(fake->arg, fake->world->healthy, "the test says so");
}

static void
fake_start(struct probe_driver *driver, int64_t timeout_ms, probe_driver_cb *cb,
    void *arg)
{
	struct fake_driver *fake =
	    container_of(driver, struct fake_driver, base);

	(void)timeout_ms;
	fake->cb = cb;
	fake->arg = arg;
	loop_timer_start(fake->world->loop, fake->timer, 1);
}

static void
fake_cancel(struct probe_driver *driver)
{
	struct fake_driver *fake =
	    container_of(driver, struct fake_driver, base);

	loop_timer_stop(fake->world->loop, fake->timer);
}

static void
fake_free(struct probe_driver *driver)
{
	struct fake_driver *fake =
	    container_of(driver, struct fake_driver, base);

	loop_timer_free(fake->world->loop, fake->timer);
	free(fake);
}

static struct probe_driver *
fake_new(void *arg, const struct conf_downstream *conf)
{
	static const struct probe_driver_ops ops = { fake_start, fake_cancel,
		fake_free };
	struct fake_driver *fake = xcalloc(1, sizeof(*fake));

	(void)conf;
	fake->base.ops = &ops;
	fake->world = arg;
	fake->timer = loop_timer_new(fake->world->loop, fake_answer, fake);
	return &fake->base;
}

static void
on_acked(void *arg, uint32_t lineage, const char *queue, unsigned safe)
{
	struct world *world = arg;

	(void)lineage;
	if (strcmp(queue, "dlo.verdicts") == 0)
		return;
	/* The invariant: a copy is confirmed before the original goes. */
	assert_true(safe > 0);
	if (strcmp(queue, "orders.dlq") == 0 && world->acked < WORLD_ACKS_MAX)
		world->acked_us[world->acked++] = loop_now_us(world->loop);
}

static void
set_prop(struct rmq_props *props, enum rmq_prop prop, const void *bytes,
    size_t len)
{
	props->has[prop] = true;
	props->value[prop] = (struct rmq_slice){ bytes, len };
}

/* As dlo-consumer tells it, on dlo.events. */
static void
tell(struct world *world, const struct buf *json)
{
	const char *user = world->verdict_user;
	struct buf raw = { 0 }, timestamp = { 0 };
	struct rmq_props props = { 0 };

	buf_add_u64(&timestamp, (uint64_t)loop_wall_ms(world->loop) / 1000);
	set_prop(&props, RMQ_PROP_TIMESTAMP, buf_peek(&timestamp),
	    timestamp.len);
	if (user != NULL)
		set_prop(&props, RMQ_PROP_USER_ID, user, strlen(user));
	rmq_props_write(&raw, &props);
	assert_true(model_publish_raw(world->model, "dlo.verdicts",
	    buf_peek(json), json->len, buf_peek(&raw), raw.len));
	buf_clear(&raw);
	buf_clear(&timestamp);
}

static void
add_header(struct buf *json, struct rmq_slice headers, const char *name)
{
	struct rmq_header header;
	struct rmq_slice text = { NULL, 0 };

	assert_true(rmq_table_find(headers, name, &header));
	assert_true(rmq_header_text(&header, &text));
	buf_printf(json, ",\"%s\":\"%.*s\"", name + strlen("dlo-"),
	    (int)text.len, (const char *)text.ptr);
}

static void
tell_outcome(struct world *world, const struct model_sight *sight,
    enum world_word word)
{
	static const char *const outcomes[] = {
		[WORLD_OK] = "ok",
		[WORLD_RETRY] = "retry",
		[WORLD_REJECT] = "reject",
	};
	struct rmq_props props;
	struct buf json = { 0 };

	assert_int_equal(rmq_props_parse(&props,
			     (struct rmq_slice){ sight->props,
				 sight->props_len }),
	    RMQ_PROPS_OK);
	buf_printf(&json,
	    "{\"version\":1,\"event\":\"outcome\","
	    "\"pipeline\":\"orders\",\"outcome\":\"%s\"",
	    outcomes[word]);
	add_header(&json, props.value[RMQ_PROP_HEADERS], "dlo-id");
	add_header(&json, props.value[RMQ_PROP_HEADERS], "dlo-job");
	buf_add_u8(&json, '}');
	tell(world, &json);
	buf_clear(&json);
}

static void
note_job(struct world *world, const struct model_sight *sight)
{
	const struct rmq_slice raw = { sight->props, sight->props_len };
	struct rmq_props props;
	struct rmq_header header;

	assert_int_equal(rmq_props_parse(&props, raw), RMQ_PROPS_OK);
	assert_true(
	    rmq_table_find(props.value[RMQ_PROP_HEADERS], "dlo-job", &header));
	(void)snprintf(world->job, sizeof(world->job), "%.*s",
	    (int)header.value.len, (const char *)header.value.ptr);
}

static void
on_published(void *arg, const struct model_sight *sight)
{
	struct world *world = arg;
	enum world_word word;

	if (strcmp(sight->place, "dlo.redrive") != 0)
		return;
	note_job(world, sight);
	if (world->redriven < WORLD_ACKS_MAX)
		world->redriven_us[world->redriven] = loop_now_us(world->loop);
	world->redriven++;
	if (world->verdict == NULL)
		return;
	word = world->verdict(world, sight->lineage);
	if (word != WORLD_NOTHING)
		tell_outcome(world, sight, word);
}

void
world_breaker(struct world *world, const char *instance, const char *state)
{
	struct buf json = { 0 };

	buf_printf(&json,
	    "{\"version\":1,\"event\":\"breaker\",\"instance\":\"%s\","
	    "\"downstream\":\"shop\",\"state\":\"%s\"}",
	    instance, state);
	tell(world, &json);
	buf_clear(&json);
}

static void
on_violation(void *arg, const char *what)
{
	(void)arg;
	print_error("violation: %s\n", what);
	assert_null(what);
}

static struct conf *
make_conf(const char *redrive)
{
	static const char text[] =
	    "version: 1\n"
	    "broker: {nodes: [amqp://broker], user: guest,"
	    " password: guest}\n"
	    "downstreams:\n"
	    "  shop:\n"
	    "    noop: {}\n"
	    "    probe: {tcp: {address: \"h:1\"}, every: 1s, rise: 1,"
	    " fall: 1}\n"
	    "pipelines:\n"
	    "  orders:\n"
	    "    queue: {name: orders, declare: {type: quorum}}\n"
	    "    downstream: shop\n"
	    "    redrive: %s\n";
	struct conf_errors errors = { 0 };
	char path[] = "/tmp/dlo-redrive-XXXXXX";
	int fd = mkstemp(path);
	struct conf *conf;

	assert_int_not_equal(fd, -1);
	assert_true(dprintf(fd, text, redrive) > 0);
	assert_int_equal(close(fd), 0);
	conf = conf_load(path, CONF_ROLE_REDRIVE, &errors);
	conf_errors_print(&errors, stderr);
	conf_errors_clear(&errors);
	assert_int_equal(unlink(path), 0);
	assert_non_null(conf);
	return conf;
}

static void
on_client_up(void *arg, struct rmq_conn *conn)
{
	rmq_publisher_attach(((struct world *)arg)->publisher, conn);
}

static void
on_client_down(void *arg, const struct rmq_close *why)
{
	(void)why;
	rmq_publisher_detach(((struct world *)arg)->publisher);
}

static void
on_client_blocked(void *arg, bool blocked, const char *reason)
{
	(void)blocked;
	(void)reason;
	rmq_publisher_wake(((struct world *)arg)->publisher);
}

static void
open_client(struct world *world)
{
	static const struct rmq_link_cbs cbs = {
		.up = on_client_up,
		.down = on_client_down,
		.blocked = on_client_blocked,
	};
	static const struct rmq_publisher_options options = {
		.correlation_header = "dlo-id",
		.window = 1000,
		.confirm_timeout_ms = 60000,
	};

	world->publisher = rmq_publisher_new(world->loop, &options);
	world->link = broker_link_new(world->loop, sim_net_streams(world->net),
	    conf_broker_for(world->conf, CONF_ROLE_REDRIVE), "client", &cbs,
	    world);
	rmq_link_start(world->link);
}

struct world *
world_new(uint64_t seed, const char *redrive)
{
	static const struct model_hooks hooks = {
		.acked = on_acked,
		.published = on_published,
		.violation = on_violation,
	};
	struct world *world = xcalloc(1, sizeof(*world));

	if (getenv("DLO_TEST_DEBUG") != NULL)
		log_open(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
	else
		log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	world->verdict_user = "guest";
	world->loop = sim_loop_new(seed);
	world->model = model_new(world->loop, &hooks, world);
	world->net = sim_net_new(world->loop, &model_server, world->model);
	world->conf = make_conf(redrive);
	world->metrics = metrics_new();
	open_client(world);
	return world;
}

void
world_kill(struct world *world)
{
	redrive_free(world->redrive);
	redrive_free(world->other);
	world->redrive = world->other = NULL;
	world->ready = world->ended = false;
}

void
world_kill_one(struct world *world, bool other)
{
	struct redrive **which = other ? &world->other : &world->redrive;

	redrive_free(*which);
	*which = NULL;
}

static bool
nothing_left(const struct world *world)
{
	(void)world;
	return false;
}

void
world_free(struct world *world)
{
	world_kill(world);
	rmq_publisher_free(world->publisher);
	rmq_link_free(world->link);
	/* Streams are closed by now; their ends want to be told. */
	(void)sim_loop_run_until(world->loop,
	    loop_now_us(world->loop) + 60 * INT64_C(1000000),
	    (bool (*)(void *))nothing_left, world);
	model_free(world->model);
	sim_net_free(world->net);
	metrics_free(world->metrics);
	conf_free(world->conf);
	loop_free(world->loop);
	free(world);
}

static void
on_ready(void *arg)
{
	((struct world *)arg)->ready = true;
}

static void
on_unreachable(void *arg)
{
	(void)arg;
}

static void
on_result(void *arg, const struct once_result *result)
{
	struct world *world = arg;
	struct buf text = { 0 };

	print_result(&text, result);
	(void)snprintf(world->result, sizeof(world->result), "%s",
	    buf_str(&text));
	buf_clear(&text);
}

static void
on_ended(void *arg, int exit_code)
{
	struct world *world = arg;

	world->ended = true;
	world->exit_code = exit_code;
}

static struct redrive *
start(struct world *world, const char *instance,
    const struct once_options *once, const struct redrive_cbs *cbs)
{
	const struct redrive_env env = {
		.loop = world->loop,
		.net = sim_net_streams(world->net),
		.metrics = world->metrics,
		.instance = instance,
		.held_max_bytes = world->held_max_bytes,
		.scan_prefetch = world->scan_prefetch,
		.driver_new = fake_new,
		.arg = world,
	};
	struct redrive *redrive =
	    redrive_new(&env, world->conf, once, cbs, world);

	redrive_start(redrive);
	return redrive;
}

void
world_start(struct world *world, const struct once_options *once)
{
	static const struct redrive_cbs cbs = {
		.ready = on_ready,
		.unreachable = on_unreachable,
		.result = on_result,
		.ended = on_ended,
	};

	assert_null(world->redrive);
	world->redrive = start(world, "test:1", once, &cbs);
}

static void
other_ready(void *arg)
{
	(void)arg;
}

static void
other_ended(void *arg, int exit_code)
{
	(void)arg;
	print_error("the other one ended: %d\n", exit_code);
	assert_true(false);
}

void
world_start_other(struct world *world)
{
	static const struct redrive_cbs cbs = {
		.ready = other_ready,
		.unreachable = on_unreachable,
		.result = on_result,
		.ended = other_ended,
	};

	assert_null(world->other);
	world->other = start(world, "test:2", NULL, &cbs);
}

bool
world_is_ready(const struct world *world)
{
	return world->ready;
}

bool
world_has_ended(const struct world *world)
{
	return world->ended;
}

struct question {
	const struct world *world;
	bool (*done)(const struct world *);
};

static bool
ask(void *arg)
{
	const struct question *question = arg;

	return question->done(question->world);
}

void
world_until(struct world *world, bool (*done)(const struct world *))
{
	struct question question = { world, done };

	assert_true(sim_loop_run_until(world->loop,
	    loop_now_us(world->loop) + DAY_US, ask, &question));
}

void
world_run(struct world *world, int64_t ms)
{
	struct question question = { world, nothing_left };

	(void)sim_loop_run_until(world->loop,
	    loop_now_us(world->loop) + ms * 1000, ask, &question);
}

/* A letter under way from the client. */
struct posted {
	struct buf headers, props, body;
	char id[16];
	size_t *waiting;
};

static void
on_posted(void *arg, const struct rmq_sent_result *result)
{
	struct posted *posted = arg;

	assert_int_equal(result->sent, RMQ_SENT_OK);
	--*posted->waiting;
	buf_clear(&posted->headers);
	buf_clear(&posted->props);
	buf_clear(&posted->body);
	free(posted);
}

static void
add_text(struct buf *headers, const char *name, const char *text)
{
	if (text != NULL)
		rmq_table_add_text(headers, name, text, strlen(text));
}

static void
post(struct world *world, uint32_t lineage, const struct world_letter *letter,
    size_t *waiting)
{
	static const uint8_t persistent = 2;
	struct posted *posted = xcalloc(1, sizeof(*posted));
	struct rmq_props props = { 0 };
	struct rmq_publish publish = {
		.exchange = "dlo.dead",
		.routing_key = "orders",
		.mandatory = true,
	};

	posted->waiting = waiting;
	(void)snprintf(posted->id, sizeof(posted->id), "m%u", lineage);
	add_text(&posted->headers, "dlo-id", posted->id);
	add_text(&posted->headers, "dlo-reason", letter->reason);
	add_text(&posted->headers, "dlo-class", "http.503");
	add_text(&posted->headers, "dlo-job", letter->job);
	rmq_table_add_int(&posted->headers, "dlo-redrives", letter->redrives);
	rmq_table_add_int(&posted->headers, "dlo-last-failed-at",
	    letter->dead_ms);
	props.has[RMQ_PROP_HEADERS] = true;
	props.value[RMQ_PROP_HEADERS] =
	    (struct rmq_slice){ buf_peek(&posted->headers),
		    posted->headers.len };
	props.has[RMQ_PROP_DELIVERY_MODE] = true;
	props.value[RMQ_PROP_DELIVERY_MODE] =
	    (struct rmq_slice){ &persistent, 1 };
	props.has[RMQ_PROP_USER_ID] = true;
	props.value[RMQ_PROP_USER_ID] = rmq_slice_of("guest");
	rmq_props_write(&posted->props, &props);
	buf_add_u32(&posted->body, lineage);
	memset(buf_reserve(&posted->body, letter->body_bytes), 'x',
	    letter->body_bytes);
	buf_claim(&posted->body, letter->body_bytes);
	publish.props =
	    (struct rmq_slice){ buf_peek(&posted->props), posted->props.len };
	publish.body =
	    (struct rmq_slice){ buf_peek(&posted->body), posted->body.len };
	publish.correlation = rmq_slice_of(posted->id);
	++*waiting;
	(void)rmq_publisher_send(world->publisher, &publish, on_posted, posted);
}

static bool
all_posted(void *arg)
{
	return *(size_t *)arg == 0;
}

void
world_bury(struct world *world, uint32_t first, uint32_t count,
    const struct world_letter *letter)
{
	size_t waiting = 0;

	for (uint32_t i = 0; i < count; i++)
		post(world, first + i, letter, &waiting);
	assert_true(sim_loop_run_until(world->loop,
	    loop_now_us(world->loop) + DAY_US, all_posted, &waiting));
}

size_t
world_depth(const struct world *world, const char *queue)
{
	return model_depth(world->model, queue);
}

struct expected {
	const uint32_t *lineages;
	size_t count, seen;
};

static void
compare(void *arg, const struct model_sight *sight)
{
	struct expected *expected = arg;

	assert_true(expected->seen < expected->count);
	assert_int_equal(sight->lineage, expected->lineages[expected->seen]);
	expected->seen++;
}

void
world_expect(struct world *world, const char *queue, const uint32_t *lineages,
    size_t count)
{
	struct expected expected = { lineages, count, 0 };

	model_each(world->model, queue, compare, &expected);
	assert_int_equal(expected.seen, count);
}
