/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What a valid text becomes. */
#include "tests/config/support.h"

#include <stdlib.h>

#include "config/conf_cross.h"
#include "config/conf_parse.h"
#include "config/conf_table.h"
#include "lib/compiler.h"
#include "lib/xalloc.h"

#define PAYMENTS \
	"downstreams:\n" \
	"  payments:\n" \
	"    http: {url: 'http://127.0.0.1:9000/charge'}\n" \
	"    probe: {http: {url: 'http://127.0.0.1:9000/health'}}\n"
#define ORDERS \
	"pipelines:\n" \
	"  orders: {queue: orders, downstream: payments}\n"

#define assert_double_equal(a, b) assert_true((a) >= (b) && (a) <= (b))

static void
broker_defaults(const struct conf_broker *broker)
{
	assert_int_equal(broker->node_count, 1);
	assert_string_equal(broker->nodes[0].host, "127.0.0.1");
	assert_int_equal(broker->nodes[0].port, 5672);
	assert_false(broker->nodes[0].tls);
	assert_string_equal(broker->vhost, "/");
	assert_string_equal(broker->user, "guest");
	assert_string_equal(broker->password.text, "xyzzy");
	assert_string_equal(broker->password.env, "DLO_PASSWORD");
	assert_null(broker->password.file);
	assert_int_equal(broker->mechanism, CONF_MECHANISM_PLAIN);
	assert_int_equal(broker->trusted_users.count, 1);
	assert_string_equal(broker->trusted_users.items[0], "guest");
	assert_int_equal(broker->heartbeat_ms, 10000);
	assert_int_equal(broker->connect_timeout_ms, 5000);
	assert_null(broker->tls.ca);
	assert_null(broker->tls.server_name);
	assert_null(broker->management.url);
}

static void
downstream_defaults(const struct conf_downstream *downstream)
{
	const struct conf_http *http = &downstream->http;
	const struct conf_probe *probe = &downstream->probe;
	const struct conf_breaker *breaker = &downstream->breaker;

	assert_string_equal(downstream->name, "payments");
	assert_int_equal(downstream->kind, CONF_KIND_HTTP);
	assert_string_equal(http->url, "http://127.0.0.1:9000/charge");
	assert_string_equal(http->method, "POST");
	assert_int_equal(http->timeout_ms, 5000);
	assert_int_equal(http->connect_timeout_ms, 2000);
	assert_int_equal(http->connections, 64);
	assert_int_equal(http->headers.count, 0);
	assert_int_equal(http->forward_headers.count, 0);
	assert_int_equal(http->format, CONF_FORMAT_PLAIN);
	assert_null(http->socket);
	assert_int_equal(probe->kind, CONF_PROBE_HTTP);
	assert_string_equal(probe->url, "http://127.0.0.1:9000/health");
	assert_int_equal(probe->expect, 200);
	assert_null(probe->address.host);
	assert_int_equal(probe->every_ms, 2000);
	assert_int_equal(probe->timeout_ms, 1000);
	assert_int_equal(probe->rise, 3);
	assert_int_equal(probe->fall, 2);
	assert_int_equal(breaker->failures, 5);
	assert_double_equal(breaker->ratio, 0.5);
	assert_int_equal(breaker->minimum, 20);
	assert_int_equal(breaker->window_ms, 10000);
	assert_int_equal(breaker->open_ms, 5000);
	assert_int_equal(breaker->open_max_ms, 60000);
}

static void
redrive_defaults(const struct conf_redrive *redrive)
{
	const struct conf_filter *only = &redrive->only;

	assert_int_equal(redrive->when_count, 1);
	assert_int_equal(redrive->when[0].kind, CONF_TRIGGER_HEALTHY);
	assert_int_equal(only->reasons.count, 2);
	assert_string_equal(only->reasons.items[0], "attempts_exhausted");
	assert_string_equal(only->reasons.items[1], "deadline");
	assert_int_equal(only->classes.count, 0);
	assert_int_equal(only->ids.count, 0);
	assert_null(only->error);
	assert_int_equal(only->older_than_ms, 0);
	assert_int_equal(only->newer_than_ms, 0);
	assert_null(only->routing_key);
	assert_int_equal(only->header_count, 0);
	assert_false(only->has_redrives_above);
	assert_int_equal(redrive->rate, 200);
	assert_int_equal(redrive->canary, 5);
	assert_int_equal(redrive->verdict_timeout_ms, 600000);
	assert_int_equal(redrive->ramp.start, 10);
	assert_int_equal(redrive->ramp.double_every_ms, 5000);
	assert_double_equal(redrive->abort_above, 0.2);
	assert_int_equal(redrive->max_redrives, 3);
	assert_int_equal(redrive->cooldown_ms, 60000);
}

static void
pipeline_defaults(const struct conf_pipeline *pipeline)
{
	const struct conf_retry *retry = &pipeline->retry;
	const struct conf_dead_letter *dead = &pipeline->dead_letter;

	assert_string_equal(pipeline->name, "orders");
	assert_string_equal(pipeline->queue, "orders");
	assert_false(pipeline->declare);
	assert_int_equal(pipeline->prefetch, 256);
	assert_int_equal(pipeline->concurrency, 64);
	assert_int_equal(pipeline->max_body_bytes, 16 << 20);
	assert_int_equal(pipeline->order, CONF_ORDER_NONE);
	assert_null(pipeline->order_header);
	assert_int_equal(pipeline->dedup, CONF_DEDUP_NONE);
	assert_int_equal(retry->attempts, 6);
	assert_int_equal(retry->first_ms, 1000);
	assert_double_equal(retry->factor, 2);
	assert_int_equal(retry->cap_ms, 300000);
	assert_double_equal(retry->jitter, 0.5);
	assert_int_equal(retry->hold_ms, 500);
	assert_int_equal(retry->deadline_ms, 86400000);
	assert_int_equal(retry->rule_count, 0);
	assert_string_equal(dead->queue, "orders.dlq");
	assert_string_equal(dead->parked, "orders.parked");
	assert_string_equal(dead->archive, "orders.archive");
	assert_int_equal(dead->archive_ttl_ms, 7 * 86400000);
	assert_int_equal(dead->alert_above, 100);
	redrive_defaults(&pipeline->redrive);
}

static void
every_default_is_filled_in(void **state)
{
	struct conf *conf = support_parse(PAYMENTS ORDERS);

	(void)state;
	assert_string_equal(conf->path, "/etc/dlo/dlo.yaml");
	assert_int_equal(conf->version, 1);
	broker_defaults(&conf->broker);
	broker_defaults(conf_broker_for(conf, CONF_ROLE_CONSUMER));
	broker_defaults(conf_broker_for(conf, CONF_ROLE_REDRIVE));
	broker_defaults(conf_broker_for(conf, CONF_ROLE_TOPOLOGY));
	assert_string_equal(conf->topology.prefix, "dlo");
	assert_true(conf->topology.declare);
	assert_int_equal(conf->topology.queue_type, CONF_QUEUE_QUORUM);
	assert_int_equal(conf->downstream_count, 1);
	downstream_defaults(&conf->downstreams[0]);
	assert_int_equal(conf->pipeline_count, 1);
	pipeline_defaults(&conf->pipelines[0]);
	assert_ptr_equal(conf->pipelines[0].downstream, &conf->downstreams[0]);
	assert_int_equal(conf->consumer.listen.kind, CONF_LISTEN_TCP);
	assert_string_equal(conf->consumer.listen.host, "127.0.0.1");
	assert_int_equal(conf->consumer.listen.port, 8671);
	assert_int_equal(conf->consumer.drain_timeout_ms, 30000);
	assert_int_equal(conf->consumer.hold_max_ms, 600000);
	assert_int_equal(conf->consumer.max_inflight_bytes, 256 << 20);
	assert_int_equal(conf->log.level, LOG_LEVEL_INFO);
	assert_int_equal(conf->log.format, LOG_FORMAT_LOGFMT);
	assert_true(conf->features.consume);
	assert_true(conf->features.retry);
	assert_true(conf->features.redrive);
	conf_free(conf);
}

static void
a_socket_may_stand_in_the_url(void **state)
{
	struct conf *conf = support_parse(
	    "downstreams:\n"
	    "  a: {http: {url: 'http+unix://%2Frun%2Fa%20b/c?d=%2F'}}\n"
	    "  b: {http: {url: 'http+unix://%2Frun%2Fb'}}\n"
	    "pipelines:\n"
	    "  p: {queue: p, downstream: a}\n");

	(void)state;
	assert_string_equal(conf->downstreams[0].http.socket, "/run/a b");
	assert_string_equal(conf->downstreams[0].http.url,
	    "http://localhost/c?d=%2F");
	assert_string_equal(conf->downstreams[1].http.socket, "/run/b");
	assert_string_equal(conf->downstreams[1].http.url, "http://localhost");
	conf_free(conf);
}

static void
what_is_given_is_taken(void **state)
{
	struct conf *conf = support_parse(
	    "broker:\n"
	    "  nodes: ['amqps://a', 'amqps://[::1]:7']\n"
	    "  password: hunter2\n"
	    "  tls: {ca: /ca.pem, cert: tls/me.pem, key: me.key}\n"
	    "downstreams:\n"
	    "  a: {noop: {}, probe: {tcp: {address: '[::1]:9'}}}\n"
	    "  b:\n"
	    "    http:\n"
	    "      url: https://b/\n"
	    "      headers: {X-A: '', X-B: \"b \\xe9\"}\n"
	    "      forward_headers: [x-c, ce-id]\n"
	    "      socket: run/b.sock\n"
	    "pipelines:\n"
	    "  p: {queue: {name: q, declare: {type: classic}}, downstream: b,\n"
	    "      max_body: 100, retry: {factor: 1.5}}\n"
	    "  r: {queue: {name: r}, downstream: a,\n"
	    "      redrive: {when: [{every: 4h}, healthy],\n"
	    "                only: {header: {k: v}, redrives_above: 0}}}\n"
	    "log: {level: debug, format: json}\n"
	    "features: {retry: false}\n");
	const struct conf_pipeline *p = conf_pipeline_find(conf, "p");
	const struct conf_pipeline *r = conf_pipeline_find(conf, "r");

	(void)state;
	assert_int_equal(conf->broker.node_count, 2);
	assert_true(conf->broker.nodes[0].tls);
	assert_int_equal(conf->broker.nodes[0].port, 5671);
	assert_string_equal(conf->broker.nodes[1].host, "::1");
	assert_string_equal(conf->broker.password.text, "hunter2");
	assert_null(conf->broker.password.env);
	assert_string_equal(conf->broker.tls.ca, "/ca.pem");
	assert_string_equal(conf->broker.tls.cert, "/etc/dlo/tls/me.pem");
	assert_int_equal(conf->downstreams[0].kind, CONF_KIND_NOOP);
	assert_int_equal(conf->downstreams[0].probe.kind, CONF_PROBE_TCP);
	assert_string_equal(conf->downstreams[0].probe.address.host, "::1");
	assert_int_equal(conf->downstreams[0].probe.address.port, 9);
	assert_int_equal(conf->downstreams[1].probe.kind, CONF_PROBE_NONE);
	assert_int_equal(conf->downstreams[1].http.headers.count, 2);
	assert_string_equal(conf->downstreams[1].http.headers.items[0].name,
	    "X-A");
	assert_string_equal(conf->downstreams[1].http.headers.items[0].value,
	    "");
	assert_string_equal(conf->downstreams[1].http.headers.items[1].value,
	    "b \xc3\xa9");
	assert_int_equal(conf->downstreams[1].http.forward_headers.count, 2);
	assert_string_equal(conf->downstreams[1].http.forward_headers.items[1],
	    "ce-id");
	assert_string_equal(conf->downstreams[1].http.socket,
	    "/etc/dlo/run/b.sock");
	assert_ptr_equal(p->downstream, &conf->downstreams[1]);
	assert_true(p->declare);
	assert_int_equal(p->declare_type, CONF_QUEUE_CLASSIC);
	assert_int_equal(p->max_body_bytes, 100);
	assert_double_equal(p->retry.factor, 1.5);
	assert_int_equal(p->redrive.when_count, 0);
	assert_false(r->declare);
	assert_int_equal(r->redrive.when_count, 2);
	assert_int_equal(r->redrive.when[0].kind, CONF_TRIGGER_EVERY);
	assert_int_equal(r->redrive.when[0].every_ms, 4 * 3600000);
	assert_int_equal(r->redrive.when[1].kind, CONF_TRIGGER_HEALTHY);
	assert_int_equal(r->redrive.only.reasons.count, 0);
	assert_string_equal(r->redrive.only.headers[0].header, "k");
	assert_string_equal(r->redrive.only.headers[0].value, "v");
	assert_true(r->redrive.only.has_redrives_above);
	assert_int_equal(conf->log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(conf->log.format, LOG_FORMAT_JSON);
	assert_false(conf->features.retry);
	assert_null(conf_pipeline_find(conf, "q"));
	conf_free(conf);
}

static void
rules_inherit_what_they_do_not_say(void **state)
{
	struct conf *conf = support_parse(
	    "downstreams: {d: {noop: {}}}\n"
	    "pipelines:\n"
	    "  p: {queue: q, downstream: d, retry: {attempts: 9, first: 2s,\n"
	    "      cap: 10s, rules: [\n"
	    "        {class: http.409, then: ok},\n"
	    "        {class: http.429, attempts: 20, first: 1s, cap: 1h},\n"
	    "        {class: http, then: retry, attempts: 3},\n"
	    "        {class: exec, then: reject}]}}\n");
	const struct conf_retry *retry = &conf->pipelines[0].retry;
	static const struct conf_rule expected[] = {
		{ "http.409", CONF_THEN_OK, 9, 2000, 10000 },
		{ "http.429", CONF_THEN_SAME, 20, 1000, 3600000 },
		{ "http", CONF_THEN_RETRY, 3, 2000, 10000 },
		{ "exec", CONF_THEN_REJECT, 9, 2000, 10000 },
	};

	(void)state;
	assert_int_equal(retry->rule_count, array_len(expected));
	for (size_t i = 0; i < array_len(expected); i++) {
		const struct conf_rule *rule = &retry->rules[i];

		assert_string_equal(rule->class, expected[i].class);
		assert_int_equal(rule->then, expected[i].then);
		assert_int_equal(rule->attempts, expected[i].attempts);
		assert_int_equal(rule->first_ms, expected[i].first_ms);
		assert_int_equal(rule->cap_ms, expected[i].cap_ms);
	}
	conf_free(conf);
}

static void
triggers_depend_on_the_probe(void **state)
{
	static const struct {
		const char *downstream, *redrive;
		size_t count;
	} rows[] = {
		{ "noop: {}", "{}", 0 },
		{ "noop: {}", "{when: []}", 0 },
		{ "noop: {}", "{when: [{every: 1h}]}", 1 },
		{ "noop: {}, probe: {tcp: {address: 'h:1'}}", "{}", 1 },
		{ "noop: {}, probe: {tcp: {address: 'h:1'}}", "{when: []}", 0 },
	};
	char text[256];
	struct conf *conf;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(rows); i++) {
		snprintf(text, sizeof(text),
		    "downstreams: {d: {%s}}\n"
		    "pipelines: {p: {queue: q, downstream: d, redrive: %s}}\n",
		    rows[i].downstream, rows[i].redrive);
		conf = support_parse(text);
		assert_int_equal(conf->pipelines[0].redrive.when_count,
		    rows[i].count);
		conf_free(conf);
	}
}

static bool
is_trusted(const struct conf *conf, const char *user)
{
	const struct conf_texts *users = &conf->broker.trusted_users;
	size_t i;

	for (i = 0; i < users->count; i++)
		if (strcmp(users->items[i], user) == 0)
			return true;
	return false;
}

static void
roles_override_user_password_and_tls(void **state)
{
	struct conf *conf =
	    support_parse("broker:\n"
			  "  nodes: [amqps://a]\n"
			  "  user: base\n"
			  "  tls: {ca: /base.pem, server_name: base}\n"
			  "  trusted_users: [base, shovel]\n"
			  "consumer: {broker: {user: eater, password: one}}\n"
			  "redrive: {broker: {password: two, tls: {ca: "
			  "/two.pem}}}\n" SUPPORT_REST);
	const struct conf_broker *consumer, *redrive, *topology;

	(void)state;
	consumer = conf_broker_for(conf, CONF_ROLE_CONSUMER);
	redrive = conf_broker_for(conf, CONF_ROLE_REDRIVE);
	topology = conf_broker_for(conf, CONF_ROLE_TOPOLOGY);
	assert_string_equal(consumer->user, "eater");
	assert_string_equal(consumer->password.text, "one");
	assert_string_equal(consumer->tls.ca, "/base.pem");
	assert_string_equal(redrive->user, "base");
	assert_string_equal(redrive->password.text, "two");
	assert_string_equal(redrive->tls.ca, "/two.pem");
	assert_null(redrive->tls.server_name);
	assert_string_equal(topology->user, "base");
	assert_string_equal(topology->password.text, "xyzzy");
	assert_string_equal(topology->nodes[0].host, "a");
	assert_int_equal(conf->broker.trusted_users.count, 3);
	assert_true(is_trusted(conf, "eater"));
	assert_true(is_trusted(conf, "base"));
	assert_true(is_trusted(conf, "shovel"));
	assert_ptr_equal(redrive->trusted_users.items,
	    conf->broker.trusted_users.items);
	conf_free(conf);
}

static void
relative_paths_count_from_the_folder(void **state)
{
	static const struct {
		const char *file, *ca;
	} rows[] = {
		{ "/dlo.yaml", "/ca.pem" },
		{ "dlo.yaml", "./ca.pem" },
		{ "../etc/dlo.yaml", "../etc/ca.pem" },
	};
	static const char text[] =
	    "broker: {nodes: [amqps://a], tls: {ca: ca.pem}}\n" SUPPORT_REST;
	struct conf_errors errors = { 0 };
	struct conf *conf;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(rows); i++) {
		conf = conf_parse(rows[i].file, text, strlen(text), false,
		    SUPPORT_ROLES, &errors);
		assert_non_null(conf);
		assert_string_equal(conf->broker.tls.ca, rows[i].ca);
		assert_string_equal(conf->topology_broker.tls.ca, rows[i].ca);
		conf_errors_clear(&errors);
		conf_free(conf);
	}
}

/* A program is one when it has a slash; its arguments never are. */
static void
programs_are_paths_when_they_have_a_slash(void **state)
{
	static const struct {
		const char *command, *program, *argument;
	} rows[] = {
		{ "[./brew, ./x]", "/etc/./brew", "./x" },
		{ "[bin/brew, x/y]", "/etc/bin/brew", "x/y" },
		{ "[brew, x/y]", "brew", "x/y" },
		{ "[/bin/brew, \"\"]", "/bin/brew", "" },
	};
	struct conf_errors errors = { 0 };
	const struct conf_exec *exec;
	struct buf text = { 0 };
	struct conf *conf;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(rows); i++) {
		buf_reset(&text);
		buf_printf(&text,
		    "downstreams: {d: {exec: {command: %s, memory: 64m, "
		    "cpu: 2s}}}\npipelines: {p: {queue: q, downstream: d}}\n",
		    rows[i].command);
		conf = conf_parse("/etc/dlo.yaml", buf_peek(&text), text.len,
		    false, SUPPORT_ROLES, &errors);
		assert_non_null(conf);
		assert_int_equal(conf->downstreams[0].kind, CONF_KIND_EXEC);
		exec = &conf->downstreams[0].exec;
		assert_int_equal(exec->command.count, 2);
		assert_string_equal(exec->command.items[0], rows[i].program);
		assert_string_equal(exec->command.items[1], rows[i].argument);
		assert_int_equal(exec->mode, CONF_EXEC_ONCE);
		assert_int_equal(exec->workers, 4);
		assert_int_equal(exec->timeout_ms, 30000);
		assert_int_equal(exec->memory_bytes, 64 << 20);
		assert_int_equal(exec->cpu_ms, 2000);
		conf_errors_clear(&errors);
		conf_free(conf);
	}
	buf_clear(&text);
}

/* What is the plugin's own goes to it as JSON, typed as YAML types it. */
static void
a_plugin_gets_json(void **state)
{
	static const struct {
		const char *yaml, *json;
	} rows[] = {
		{ "null", "null" },
		{ "", "null" },
		{ "~", "null" },
		{ "TRUE", "true" },
		{ "False", "false" },
		{ "yes", "\"yes\"" },
		{ "'12'", "\"12\"" },
		{ "10s", "\"10s\"" },
		{ "12", "12" },
		{ "+007", "7" },
		{ "-0", "-0" },
		{ "123456789012345678901", "123456789012345678901" },
		{ "0x1F", "31" },
		{ "0o17", "15" },
		{ "1.50", "1.5" },
		{ "-.5e1", "-5" },
		{ "[]", "[]" },
		{ "{}", "{}" },
		{ "{a: [1, {\"b \\\"\": café}], c: {d: ~}}",
		    "{\"a\":[1,{\"b \\\"\":\"café\"}],"
		    "\"c\":{\"d\":null}}" },
	};
	struct buf text = { 0 };
	struct conf *conf;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(rows); i++) {
		buf_reset(&text);
		buf_printf(&text,
		    "downstreams: {d: {plugin: {path: /x.so, config: %s}}}\n"
		    "pipelines: {p: {queue: q, downstream: d}}\n",
		    rows[i].yaml);
		conf = support_parse(buf_str(&text));
		assert_string_equal(conf->downstreams[0].plugin.config,
		    rows[i].json);
		conf_free(conf);
	}
	buf_clear(&text);
	conf = support_parse("downstreams: {d: {plugin: {path: /x.so}}}\n"
			     "pipelines: {p: {queue: q, downstream: d}}\n");
	assert_string_equal(conf->downstreams[0].plugin.config, "null");
	assert_int_equal(conf->downstreams[0].plugin.workers, 2);
	assert_int_equal(conf->downstreams[0].plugin.timeout_ms, 30000);
	assert_int_equal(conf->downstreams[0].plugin.line, 1);
	conf_free(conf);
}

static void
lists_have_an_end(void **state)
{
	struct buf text = { 0 }, problems = { 0 };
	int i;

	(void)state;
	buf_add_str(&text, "broker: {trusted_users: [");
	for (i = 0; i <= 1000; i++)
		buf_printf(&text, "u%d, ", i);
	buf_add_str(&text, "]}\n" SUPPORT_REST);
	support_refuse(buf_str(&text), &problems);
	assert_string_equal(buf_str(&problems),
	    "1:25: broker.trusted_users: has too many (at most 1000)\n");
	buf_clear(&text);
	buf_clear(&problems);
}

static void
a_default_user_that_nobody_is_has_no_trust(void **state)
{
	struct conf *conf =
	    support_parse("consumer: {broker: {user: a}}\n"
			  "redrive: {broker: {user: b}}\n"
			  "topology: {broker: {user: c}}\n" SUPPORT_REST);

	(void)state;
	assert_int_equal(conf->broker.trusted_users.count, 3);
	assert_false(is_trusted(conf, "guest"));
	conf_free(conf);
}

static void
listen_addresses(void **state)
{
	static const struct {
		const char *text, *host;
		enum conf_listen_kind kind;
		uint16_t port;
	} good[] = {
		{ "none", "", CONF_LISTEN_NONE, 0 },
		{ "127.0.0.1:8671", "127.0.0.1", CONF_LISTEN_TCP, 8671 },
		{ "[::]:1", "::", CONF_LISTEN_TCP, 1 },
		{ "localhost:0", "localhost", CONF_LISTEN_TCP, 0 },
	};
	static const char *const bad[] = { "", "8671", ":8671", "host",
		"host:", "host:65536", "::1:8671", "unix:", "unix:a.sock",
		"None", "tcp://a:1" };
	struct conf_listen listen;
	const char *why;
	char *text;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(good); i++) {
		assert_int_equal(conf_listen_parse(good[i].text, &listen, &why),
		    0);
		assert_int_equal(listen.kind, good[i].kind);
		assert_string_equal(listen.host, good[i].host);
		assert_int_equal(listen.port, good[i].port);
		text = conf_listen_address(&listen);
		assert_string_equal(text, good[i].text);
		free(text);
	}
	assert_int_equal(conf_listen_parse("unix:/a b", &listen, &why), 0);
	assert_int_equal(listen.kind, CONF_LISTEN_UNIX);
	assert_string_equal(listen.path, "/a b");
	text = conf_listen_address(&listen);
	assert_string_equal(text, "unix:/a b");
	free(text);
	for (i = 0; i < array_len(bad); i++) {
		why = NULL;
		if (conf_listen_parse(bad[i], &listen, &why) != -1)
			fail_msg("\"%s\" is no address", bad[i]);
		assert_non_null(why);
	}
}

static void
the_redrive_socket_has_a_default(void **state)
{
	struct conf *conf;
	char long_path[200];

	(void)state;
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[0] = '/';
	long_path[sizeof(long_path) - 1] = '\0';
	setenv("RUNTIME_DIRECTORY", "/run/ours:/run/other", 1);
	conf = support_parse(SUPPORT_REST);
	assert_int_equal(conf->redrive.listen.kind, CONF_LISTEN_UNIX);
	assert_string_equal(conf->redrive.listen.path,
	    "/run/ours/redrive.sock");
	conf_free(conf);
	setenv("RUNTIME_DIRECTORY", long_path, 1);
	conf = support_parse(SUPPORT_REST);
	assert_string_equal(conf->redrive.listen.path, "/run/dlo/redrive.sock");
	conf_free(conf);
	unsetenv("RUNTIME_DIRECTORY");
	conf = support_parse("redrive: {listen: none}\n" SUPPORT_REST);
	assert_int_equal(conf->redrive.listen.kind, CONF_LISTEN_NONE);
	conf_free(conf);
}

/* Bytes that a value of the type takes; 0: it has no place of its own. */
static size_t
value_size(enum conf_type type)
{
	switch (type) {
	case CONF_TYPE_MAP:
		return 0;
	case CONF_TYPE_NAMED:
	case CONF_TYPE_LIST:
		return sizeof(void *) + sizeof(size_t);
	case CONF_TYPE_ANY:
	case CONF_TYPE_TEXT:
	case CONF_TYPE_PATH:
	case CONF_TYPE_SECRET:
	case CONF_TYPE_LINK:
		return sizeof(void *);
	case CONF_TYPE_BOOL:
		return sizeof(bool);
	case CONF_TYPE_COUNT:
		return sizeof(uint32_t);
	case CONF_TYPE_WORD:
		return sizeof(enum conf_then);
	case CONF_TYPE_NUMBER:
	case CONF_TYPE_DURATION:
	case CONF_TYPE_SIZE:
		return 8;
	case CONF_TYPE_NODE:
		return sizeof(struct conf_node);
	case CONF_TYPE_ADDRESS:
		return sizeof(struct conf_address);
	case CONF_TYPE_LISTEN:
		return sizeof(struct conf_listen);
	}
	abort();
}

/* Length of the part of the path that leads to the innermost element. */
static size_t
element_len(const char *path)
{
	size_t len = 0, i;

	for (i = 0; path[i] != '\0'; i++)
		if (path[i] == '*' || path[i] == ']')
			len = i + 1;
	return len;
}

static bool
overlap(const struct conf_key *a, const struct conf_key *b)
{
	size_t a_len = element_len(a->path), b_len = element_len(b->path);

	return a_len == b_len && strncmp(a->path, b->path, a_len) == 0 &&
	    a->offset < b->offset + value_size(b->type) &&
	    b->offset < a->offset + value_size(a->type);
}

/* Offsets of a wrong member would make one row write over another's. */
static void
rows_of_the_table_do_not_overlap(void **state)
{
	const struct conf_key *a, *b;
	size_t len;

	(void)state;
	for (a = conf_table; a < conf_table + conf_table_len; a++) {
		assert_ptr_equal(conf_table_row(a->path), a);
		for (b = conf_table; b < a; b++) {
			if (!overlap(a, b))
				continue;
			/* Two ways to give one value share its place. */
			len = strlen(b->path);
			if (strncmp(a->path, b->path, len) != 0 ||
			    a->path[len] != '.' || a->type != b->type)
				fail_msg("%s and %s share a place", a->path,
				    b->path);
		}
	}
}

static void
orders_are_told_apart(void **state)
{
	static const struct {
		const char *order;
		enum conf_order expected;
		const char *header;
	} cases[] = {
		{ "none", CONF_ORDER_NONE, NULL },
		{ "strict", CONF_ORDER_STRICT, NULL },
		{ "{key: routing_key}", CONF_ORDER_ROUTING_KEY, NULL },
		{ "{key: {header: a b}}", CONF_ORDER_HEADER, "a b" },
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		char *text = xasprintf(PAYMENTS "pipelines:\n"
						"  orders:\n"
						"    queue: orders\n"
						"    downstream: payments\n"
						"    retry: {cap: 1m}\n"
						"    order: %s\n",
		    cases[i].order);
		struct conf *conf = support_parse(text);
		const struct conf_pipeline *pipeline = &conf->pipelines[0];

		assert_int_equal(pipeline->order, cases[i].expected);
		if (cases[i].header == NULL)
			assert_null(pipeline->order_header);
		else
			assert_string_equal(pipeline->order_header,
			    cases[i].header);
		conf_free(conf);
		free(text);
	}
}

#define EVER INT64_C(3153600000000)

/* The worst that all failures of one message can ask for. */
static void
delays_add_up(void **state)
{
	static const struct conf_rule rules[] = {
		/* Three more of up to 10 s, after four of the pipeline. */
		{ .class = "a", .attempts = 8, .cap_ms = 10000 },
		/* The first two up to a minute. */
		{ .class = "b", .attempts = 3, .cap_ms = 60000 },
		{ .class = "c", .attempts = 5, .cap_ms = 1000 },
		{ .class = "d",
		    .then = CONF_THEN_OK,
		    .attempts = 99,
		    .cap_ms = 20000 },
		{ .class = "e",
		    .then = CONF_THEN_REJECT,
		    .attempts = 5,
		    .cap_ms = EVER },
	};
	struct conf_retry retry = {
		.attempts = 5,
		.first_ms = 1,
		.cap_ms = 20000,
		.deadline_ms = EVER,
	};

	(void)state;
	assert_int_equal(conf_cross_delays_ms(&retry), 4 * 20000);
	retry.rules = rules;
	retry.rule_count = array_len(rules);
	assert_int_equal(conf_cross_delays_ms(&retry),
	    2 * 60000 + 2 * 20000 + 3 * 10000);
	retry.deadline_ms = 12345;
	assert_int_equal(conf_cross_delays_ms(&retry), 12345);
	retry = (struct conf_retry){ .attempts = 1,
		.cap_ms = 20000,
		.deadline_ms = EVER };
	assert_int_equal(conf_cross_delays_ms(&retry), 0);
	retry.attempts = INT32_MAX;
	retry.cap_ms = INT64_C(49) * 86400000;
	retry.deadline_ms = INT64_MAX;
	assert_int_equal(conf_cross_delays_ms(&retry),
	    INT64_C(2147483646) * 49 * 86400000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_default_is_filled_in),
		cmocka_unit_test(a_socket_may_stand_in_the_url),
		cmocka_unit_test(what_is_given_is_taken),
		cmocka_unit_test(rules_inherit_what_they_do_not_say),
		cmocka_unit_test(triggers_depend_on_the_probe),
		cmocka_unit_test(roles_override_user_password_and_tls),
		cmocka_unit_test(relative_paths_count_from_the_folder),
		cmocka_unit_test(programs_are_paths_when_they_have_a_slash),
		cmocka_unit_test(a_plugin_gets_json),
		cmocka_unit_test(lists_have_an_end),
		cmocka_unit_test(a_default_user_that_nobody_is_has_no_trust),
		cmocka_unit_test(listen_addresses),
		cmocka_unit_test(the_redrive_socket_has_a_default),
		cmocka_unit_test(orders_are_told_apart),
		cmocka_unit_test(delays_add_up),
		cmocka_unit_test(rows_of_the_table_do_not_overlap),
	};

	return cmocka_run_group_tests(tests, support_setup, NULL);
}
