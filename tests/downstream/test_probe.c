/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Probes: the counting, the rhythm on virtual time, and both drivers. */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/conf.h"
#include "downstream/probe.h"
#include "lib/log.h"
#include "lib/loop_libevent.h"
#include "tests/downstream/peer.h"
#include "tests/sim/sim_loop.h"
#include "tests/sim/sim_net.h"

#define EVENTS_MAX 32
#define LONG_MS	   60000 /* longer than any test: never waited for */

static const struct {
	unsigned rise, fall;
	const char *results; /* g and b */
	const char *health;  /* after each: unknown, healthy, sick */
} counts[] = {
	{ 3, 2, "ggg", "uuh" },
	{ 3, 2, "bb", "us" },
	{ 3, 2, "ggbggg", "uuuuuh" },
	{ 3, 2, "bgbgbb", "uuuuus" },
	{ 3, 2, "gggbgbb", "uuhhhhs" },
	{ 3, 2, "bbggbggg", "ussssssh" },
	{ 1, 1, "gbgb", "hshs" },
	{ 1, 3, "bbgbbb", "uuhhhs" },
};

static void
counts_in_a_row(void **state)
{
	struct probe_count count;
	enum probe_health before;
	bool changed;
	size_t i, k;

	(void)state;
	for (i = 0; i < array_len(counts); i++) {
		probe_count_init(&count, counts[i].rise, counts[i].fall);
		for (k = 0; counts[i].results[k] != '\0'; k++) {
			before = count.health;
			changed = probe_count_add(&count,
			    counts[i].results[k] == 'g');
			assert_int_equal(changed, count.health != before);
			assert_int_equal("uhs"[count.health],
			    counts[i].health[k]);
		}
	}
}

/* A driver that answers as told, after a time. */
struct driver {
	struct probe_driver base;
	struct loop *loop;
	struct loop_timer *timer;
	bool good;
	int64_t takes_ms; /* -1: for ever */
	unsigned starts, cancels, frees;
	int64_t started_ms[EVENTS_MAX];
	probe_driver_cb *cb;
	void *arg;
};

static void
driver_start(struct probe_driver *base, int64_t timeout_ms, probe_driver_cb *cb,
    void *arg)
{
	struct driver *driver = container_of(base, struct driver, base);

	assert_int_equal(timeout_ms, 1000);
	driver->cb = cb;
	driver->arg = arg;
	assert_true(driver->starts < EVENTS_MAX);
	driver->started_ms[driver->starts++] = loop_now_ms(driver->loop);
	if (driver->takes_ms >= 0)
		loop_timer_start(driver->loop, driver->timer, driver->takes_ms);
}

static void
driver_cancel(struct probe_driver *base)
{
	struct driver *driver = container_of(base, struct driver, base);

	driver->cancels++;
	loop_timer_stop(driver->loop, driver->timer);
}

static void
driver_free(struct probe_driver *base)
{
	container_of(base, struct driver, base)->frees++;
}

static void
driver_answer(void *arg)
{
	struct driver *driver = arg;

	driver->cb(driver->arg, driver->good, driver->good ? NULL : "ill");
}

static const struct probe_driver_ops driver_ops = {
	.start = driver_start,
	.cancel = driver_cancel,
	.free = driver_free,
};

struct world {
	struct loop *loop;
	struct driver driver;
	struct probe *probe;
	struct probe_event events[EVENTS_MAX];
	char why[128]; /* of the last bad one */
	unsigned count, wanted;
};

static const struct probe_params params = {
	.name = "d",
	.every_ms = 2000,
	.timeout_ms = 1000,
	.rise = 3,
	.fall = 2,
};

static int
setup(void **state)
{
	static struct world w;

	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	memset(&w, 0, sizeof(w));
	w.loop = sim_loop_new(1);
	w.driver.base.ops = &driver_ops;
	w.driver.loop = w.loop;
	w.driver.timer = loop_timer_new(w.loop, driver_answer, &w.driver);
	w.driver.good = true;
	*state = &w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	probe_free(w->probe);
	loop_timer_free(w->loop, w->driver.timer);
	loop_free(w->loop);
	return 0;
}

static void
probed(void *arg, const struct probe_event *event)
{
	struct world *w = arg;

	assert_true(w->count < EVENTS_MAX);
	assert_int_equal(event->good, event->why == NULL);
	if (event->why != NULL)
		snprintf(w->why, sizeof(w->why), "%s", event->why);
	w->events[w->count++] = *event;
	if (w->count == w->wanted)
		loop_stop(w->loop);
}

static void
await(struct world *w, unsigned count)
{
	w->wanted = w->count + count;
	loop_run(w->loop);
	assert_int_equal(w->count, w->wanted);
}

static void
keeps_its_rhythm(void **state)
{
	static const int64_t expected_ms[] = { 0, 2000, 4000, 6000, 8000 };
	struct world *w = *state;
	size_t i;

	w->driver.takes_ms = 300;
	w->probe = probe_new(w->loop, &params, &w->driver.base, probed, w);
	assert_int_equal(probe_health(w->probe), PROBE_UNKNOWN);
	await(w, 2);
	assert_int_equal(probe_health(w->probe), PROBE_UNKNOWN);
	await(w, 1);
	assert_int_equal(probe_health(w->probe), PROBE_HEALTHY);
	assert_true(w->events[2].changed);
	w->driver.good = false;
	await(w, 2);
	assert_string_equal(w->why, "ill");
	assert_false(w->events[3].changed);
	assert_true(w->events[4].changed);
	assert_int_equal(w->events[4].health, PROBE_UNHEALTHY);
	for (i = 0; i < array_len(expected_ms); i++)
		assert_int_equal(w->driver.started_ms[i], expected_ms[i]);
	probe_free(w->probe);
	w->probe = NULL;
	assert_int_equal(w->driver.frees, 1);
}

/* A try without an answer is ended and is bad; the next is in time. */
static void
ends_what_takes_too_long(void **state)
{
	struct world *w = *state;

	w->driver.takes_ms = -1;
	w->probe = probe_new(w->loop, &params, &w->driver.base, probed, w);
	await(w, 2);
	assert_int_equal(loop_now_ms(w->loop), 3000);
	assert_int_equal(w->driver.cancels, 2);
	assert_int_equal(w->driver.started_ms[1], 2000);
	assert_int_equal(probe_health(w->probe), PROBE_UNHEALTHY);
	assert_string_equal(w->why, "no answer within 1s");
}

/* Tries that take longer than `every` follow each other at once. */
static void
never_overlaps(void **state)
{
	struct probe_params hasty = params;
	struct world *w = *state;

	hasty.every_ms = 100;
	w->driver.takes_ms = 250;
	w->probe = probe_new(w->loop, &hasty, &w->driver.base, probed, w);
	await(w, 3);
	assert_int_equal(w->driver.started_ms[1], 250);
	assert_int_equal(w->driver.started_ms[2], 500);
}

static void
tries_when_asked(void **state)
{
	struct world *w = *state;

	w->driver.takes_ms = 300;
	w->probe = probe_new(w->loop, &params, &w->driver.base, probed, w);
	await(w, 1);
	probe_now(w->probe);
	await(w, 1);
	assert_int_equal(w->driver.started_ms[1], 300);
	/* Not while one is under way. */
	w->wanted = 0;
	while (w->driver.starts == 2)
		assert_true(sim_loop_step(w->loop));
	probe_now(w->probe);
	await(w, 1);
	assert_int_equal(w->driver.starts, 3);
	assert_int_equal(w->driver.started_ms[2], 2300);
}

static void
is_healthy_without_a_driver(void **state)
{
	struct world *w = *state;

	w->probe = probe_new(w->loop, &params, NULL, probed, w);
	assert_int_equal(probe_health(w->probe), PROBE_HEALTHY);
	assert_int_equal(w->count, 0);
	await(w, 1);
	assert_true(w->events[0].good && w->events[0].changed);
	assert_int_equal(w->events[0].health, PROBE_HEALTHY);
	probe_now(w->probe);
	assert_false(sim_loop_step(w->loop));
}

static void *
net_accept(void *arg, struct sim_conn *conn)
{
	(void)conn;
	*(unsigned *)arg += 1;
	return arg;
}

static void
net_data(void *arg, const uint8_t *bytes, size_t len)
{
	(void)arg;
	(void)bytes;
	(void)len;
}

static void
net_gone(void *arg)
{
	(void)arg;
}

static void
tries_tcp(void **state)
{
	static const struct sim_server server = {
		.accept = net_accept,
		.data = net_data,
		.gone = net_gone,
	};
	const struct conf_downstream conf = {
		.probe = {
			.kind = CONF_PROBE_TCP,
			.address = { .host = "db", .port = 5432 },
		},
	};
	struct world *w = *state;
	unsigned accepted = 0;
	struct sim_net *net = sim_net_new(w->loop, &server, &accepted);

	sim_net_listen(net, true);
	w->probe = probe_new(w->loop, &params,
	    probe_driver_new(w->loop, sim_net_streams(net), &conf), probed, w);
	await(w, 3);
	assert_int_equal(probe_health(w->probe), PROBE_HEALTHY);
	assert_int_equal(accepted, 3);
	sim_net_listen(net, false);
	await(w, 2);
	assert_int_equal(probe_health(w->probe), PROBE_UNHEALTHY);
	assert_true(w->why[0] != '\0');
	probe_free(w->probe);
	w->probe = NULL;
	while (sim_loop_step(w->loop))
		continue;
	sim_net_free(net);
}

static int
setup_http(void **state)
{
	static struct world w;

	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	/* Nobody listens there; it must not matter. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	memset(&w, 0, sizeof(w));
	w.loop = loop_libevent_new();
	*state = &w;
	return 0;
}

static int
teardown_http(void **state)
{
	struct world *w = *state;

	probe_free(w->probe);
	loop_free(w->loop);
	return 0;
}

static void
tries_http(void **state)
{
	static const char ok[] =
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	static const char down[] =
	    "HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n";
	struct probe_params hasty = { "d", 1, 60000, 1, 1 };
	struct world *w = *state;
	struct peer *peer = peer_new(w->loop);
	struct conf_downstream conf = {
		.probe = { .kind = CONF_PROBE_HTTP, .expect = 200 },
	};
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/health",
	    peer_port(peer));
	conf.probe.url = url;
	w->probe = probe_new(w->loop, &hasty,
	    probe_driver_new(w->loop, NULL, &conf), probed, w);
	peer_set(peer, PEER_ANSWER, ok, strlen(ok));
	await(w, 2);
	assert_true(w->events[0].good && w->events[1].good);
	assert_int_equal(strncmp(peer_head(peer), "GET /health HTTP/1.1", 20),
	    0);
	/* Each on a connection of its own. */
	assert_int_equal(peer_accepted(peer), 2);
	peer_set(peer, PEER_ANSWER, down, strlen(down));
	await(w, 1);
	assert_string_equal(w->why, "HTTP 503 instead of 200");
	peer_refuse(peer);
	w->why[0] = '\0';
	await(w, 1);
	assert_true(w->why[0] != '\0');
	assert_int_equal(probe_health(w->probe), PROBE_UNHEALTHY);
	probe_free(w->probe);
	w->probe = NULL;
	peer_free(peer);
}

/* Silence is for the probe to end; the driver forgets the try. */
static void
gives_up_on_silence(void **state)
{
	struct probe_params hasty = { "d", 1, 200, 1, 1 };
	struct world *w = *state;
	struct peer *peer = peer_new(w->loop);
	char url[64];
	const struct conf_downstream conf = {
		.probe = { .url = url, .expect = 204 },
	};

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", peer_port(peer));
	peer_set(peer, PEER_SILENT, NULL, 0);
	w->probe = probe_new(w->loop, &hasty, probe_http_new(w->loop, &conf),
	    probed, w);
	await(w, 1);
	assert_string_equal(w->why, "no answer within 200ms");
	peer_set(peer, PEER_ANSWER, NULL, 0);
	while (probe_health(w->probe) != PROBE_HEALTHY)
		await(w, 1);
	probe_free(w->probe);
	w->probe = NULL;
	peer_free(peer);
}

/* One try of a shell command; why it was bad, "" if it was good. */
static const char *
runs(struct world *w, const char *script, int64_t timeout_ms)
{
	const char *const argv[] = { "/bin/sh", "-c", script };
	struct probe_params once = { "d", LONG_MS, timeout_ms, 1, 1 };
	const struct conf_downstream conf = {
		.probe = {
			.kind = CONF_PROBE_EXEC,
			.command = { argv, array_len(argv) },
		},
	};

	w->why[0] = '\0';
	w->probe = probe_new(w->loop, &once,
	    probe_driver_new(w->loop, NULL, &conf), probed, w);
	await(w, 1);
	assert_int_equal(probe_health(w->probe),
	    w->why[0] == '\0' ? PROBE_HEALTHY : PROBE_UNHEALTHY);
	probe_free(w->probe);
	w->probe = NULL;
	return w->why;
}

static void
tries_commands(void **state)
{
	struct world *w = *state;

	assert_string_equal(runs(w, "exit 0", LONG_MS), "");
	assert_string_equal(runs(w, "echo noise; echo no room >&2; exit 65",
				LONG_MS),
	    "no room");
	assert_string_not_equal(runs(w, "kill -9 $$", LONG_MS), "");
	assert_string_not_equal(runs(w, "exit 75", LONG_MS), "");
	/* What hangs is ended, with all that it started. */
	assert_string_equal(runs(w, "sleep 1000 | sleep 1000", 200),
	    "no answer within 200ms");
}

/* Asks once; whether it was the peer that answered. */
static bool
reaches(struct world *w, struct conf_downstream *conf, const char *url,
    struct peer *peer)
{
	struct probe_params once = { "d", LONG_MS, LONG_MS, 1, 1 };
	unsigned before = peer_requests(peer);

	conf->probe.url = url;
	w->probe =
	    probe_new(w->loop, &once, probe_http_new(w->loop, conf), probed, w);
	await(w, 1);
	probe_free(w->probe);
	w->probe = NULL;
	return peer_requests(peer) > before;
}

static void
shares_a_socket_for_the_same_place(void **state)
{
	struct world *w = *state;
	struct peer *port = peer_new(w->loop), *path = peer_new(w->loop);
	char folder[] = "/tmp/dlo-test-XXXXXX", socket[64], url[64];
	struct conf_downstream conf = {
		.http = { .url = "http://Nosuch.invalid?q", .socket = socket },
		.probe = { .expect = 204 },
	};

	assert_non_null(mkdtemp(folder));
	snprintf(socket, sizeof(socket), "%s/peer", folder);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", peer_port(port));
	peer_listen_unix(path, socket);
	assert_true(reaches(w, &conf, "http://nosuch.invalid/health", path));
	assert_true(reaches(w, &conf, "http://nosuch.invalid", path));
	assert_true(reaches(w, &conf, url, port));
	assert_false(reaches(w, &conf, "http://nosuch.invalid:81/", path));
	assert_false(reaches(w, &conf, "http://nosuch.invalid.invalid/", path));
	conf.http.url = NULL;
	assert_false(reaches(w, &conf, "http://nosuch.invalid/", path));
	peer_free(port);
	peer_free(path);
	assert_int_equal(unlink(socket), 0);
	assert_int_equal(rmdir(folder), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_HTTP(name) \
	cmocka_unit_test_setup_teardown(name, setup_http, teardown_http)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_in_a_row),
		TEST(keeps_its_rhythm),
		TEST(ends_what_takes_too_long),
		TEST(never_overlaps),
		TEST(tries_when_asked),
		TEST(is_healthy_without_a_driver),
		TEST(tries_tcp),
		TEST_HTTP(tries_http),
		TEST_HTTP(gives_up_on_silence),
		TEST_HTTP(tries_commands),
		TEST_HTTP(shares_a_socket_for_the_same_place),
	};

	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
