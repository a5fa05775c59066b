/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Keys in the order of the sample and the manual. Defaults go through the
 * same parser as what is given.
 */
#include "config/conf_table.h"

#include <string.h>

#include "config/conf_hooks.h"
#include "config/conf_valid.h"
#include "lib/compiler.h"

#define CONF(member)	   offsetof(struct conf, member)
#define DOWNSTREAM(member) offsetof(struct conf_downstream, member)
#define PIPELINE(member)   offsetof(struct conf_pipeline, member)
#define RULE(member)	   offsetof(struct conf_rule, member)
#define TRIGGER(member)	   offsetof(struct conf_trigger, member)

#define SECOND 1000.0
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
/* As long as anybody may want to wait. */
#define EVER (36500 * DAY)
/* The broker keeps a TTL in 32 bits of milliseconds: 49.7 days. */
#define TTL_MAX	  (49 * DAY)
#define COUNT_MAX 2147483647.0
/* A pipeline needs a channel, and a connection has 2047. */
#define PIPELINES_MAX 2000
/* Of lists and names that a person writes. */
#define MANY 1000
/* Of processes that live on, each with its memory. */
#define WORKERS_MAX 1024
#define KIB	    1024.0
#define MIB	    (1024 * KIB)
#define GIB	    (1024 * MIB)

#define BETWEEN(low, high) .min = (low), .max = (high)

/* A password or token: text, {env: NAME} or {file: PATH}. */
#define SECRET(path_, offset_, more_, ...) \
	{ path_, CONF_TYPE_SECRET, CONF_OR_MAP | CONF_PRIVATE | (more_), \
		(offset_) + offsetof(struct conf_secret, text), \
		.hook = conf_hooks_secret, __VA_ARGS__ }, \
	    { path_ ".env", CONF_TYPE_TEXT, CONF_PRIVATE, \
		    (offset_) + offsetof(struct conf_secret, env), \
		    .check = conf_valid_env, \
		    .doc = "Environment variable to read it from." }, \
	{ \
		path_ ".file", CONF_TYPE_PATH, CONF_PRIVATE, \
		    (offset_) + offsetof(struct conf_secret, file), \
		    .doc = "File to read it from; a trailing newline is cut." \
	}

#define TLS(path_, offset_, doc_) \
	{ path_, CONF_TYPE_MAP, CONF_GIVEN, .hook = conf_hooks_tls, \
		.doc = (doc_) }, \
	    { path_ ".ca", CONF_TYPE_PATH, 0, \
		    (offset_) + offsetof(struct conf_tls, ca), \
		    .doc = \
			"PEM file of the trusted authorities; without it the " \
			"system's." }, \
	    { path_ ".cert", CONF_TYPE_PATH, 0, \
		    (offset_) + offsetof(struct conf_tls, cert), \
		    .doc = "PEM file of our own certificate chain." }, \
	    { path_ ".key", CONF_TYPE_PATH, 0, \
		    (offset_) + offsetof(struct conf_tls, key), \
		    .doc = "PEM file of its key." }, \
	{ \
		path_ ".server_name", CONF_TYPE_TEXT, 0, \
		    (offset_) + offsetof(struct conf_tls, server_name), \
		    .check = conf_valid_host, \
		    .doc = "Name that the peer's certificate must have; " \
			   "without it " \
			   "the node's host." \
	}

/* Another user of the broker, for one task. */
#define IDENTITY(path_, offset_, doc_) \
	{ path_, CONF_TYPE_MAP, .doc = (doc_) }, \
	    { path_ ".user", CONF_TYPE_TEXT, 0, \
		    (offset_) + offsetof(struct conf_identity, user), \
		    .check = conf_valid_short, \
		    .doc = "Instead of broker.user." }, \
	    SECRET(path_ ".password", \
		(offset_) + offsetof(struct conf_identity, password), 0, \
		.doc = "Instead of broker.password."), \
	    TLS(path_ ".tls", (offset_) + offsetof(struct conf_identity, tls), \
		"Instead of the whole of broker.tls.")

static const struct conf_word mechanisms[] = {
	{ "plain", CONF_MECHANISM_PLAIN },
	{ "external", CONF_MECHANISM_EXTERNAL },
	{ NULL, 0 },
};

static const struct conf_word queue_types[] = {
	{ "quorum", CONF_QUEUE_QUORUM },
	{ "classic", CONF_QUEUE_CLASSIC },
	{ NULL, 0 },
};

static const struct conf_word formats[] = {
	{ "plain", CONF_FORMAT_PLAIN },
	{ "cloudevents", CONF_FORMAT_CLOUDEVENTS },
	{ NULL, 0 },
};

static const struct conf_word exec_modes[] = {
	{ "once", CONF_EXEC_ONCE },
	{ "stream", CONF_EXEC_STREAM },
	{ NULL, 0 },
};

static const struct conf_word orders[] = {
	{ "none", CONF_ORDER_NONE },
	{ "strict", CONF_ORDER_STRICT },
	{ NULL, 0 },
};

static const struct conf_word order_keys[] = {
	{ "routing_key", CONF_ORDER_ROUTING_KEY },
	{ NULL, 0 },
};

static const struct conf_word dedups[] = {
	{ "none", CONF_DEDUP_NONE },
	{ "message_id", CONF_DEDUP_MESSAGE_ID },
	{ NULL, 0 },
};

static const struct conf_word thens[] = {
	{ "ok", CONF_THEN_OK },
	{ "retry", CONF_THEN_RETRY },
	{ "reject", CONF_THEN_REJECT },
	{ NULL, 0 },
};

static const struct conf_word triggers[] = {
	{ "healthy", CONF_TRIGGER_HEALTHY },
	{ NULL, 0 },
};

static const struct conf_word levels[] = {
	{ "error", LOG_LEVEL_ERROR },
	{ "warn", LOG_LEVEL_WARN },
	{ "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
	{ NULL, 0 },
};

static const struct conf_word log_formats[] = {
	{ "logfmt", LOG_FORMAT_LOGFMT },
	{ "json", LOG_FORMAT_JSON },
	{ NULL, 0 },
};

const struct conf_key conf_table[] = {
	{ "", .type = CONF_TYPE_MAP },
	{ "version", CONF_TYPE_COUNT, 0, CONF(version), BETWEEN(1, 1),
	    .def = "1", .doc = "Version of this format." },

	{ "broker", CONF_TYPE_MAP,
	    .doc = "How to reach RabbitMQ, and as whom." },
	{ "broker.nodes", CONF_TYPE_LIST, 0, CONF(broker.nodes),
	    sizeof(struct conf_node), BETWEEN(1, MANY),
	    .def = "[amqp://127.0.0.1:5672]",
	    .doc = "Nodes of the cluster, tried in turn; amqps:// for TLS. "
		   "Without a port 5672, or 5671 for TLS." },
	{ "broker.nodes[]", .type = CONF_TYPE_NODE },
	{ "broker.vhost", CONF_TYPE_TEXT, 0, CONF(broker.vhost), .def = "/",
	    .check = conf_valid_short, .doc = "Virtual host." },
	{ "broker.user", CONF_TYPE_TEXT, 0, CONF(broker.user), .def = "guest",
	    .check = conf_valid_short,
	    .doc = "User name; it is also sent with each message." },
	SECRET("broker.password", CONF(broker.password), 0,
	    .def = "{env: DLO_PASSWORD}",
	    .doc = "Password: {env: NAME}, {file: PATH}, or the text itself "
		   "if others cannot read this file."),
	{ "broker.mechanism", CONF_TYPE_WORD, 0, CONF(broker.mechanism),
	    .def = "plain", .words = mechanisms,
	    .doc = "How to log in: by user and password, or, external, by "
		   "the certificate in tls (rabbitmq_auth_mechanism_ssl)." },
	{ "broker.trusted_users", CONF_TYPE_LIST, CONF_LIVE,
	    CONF(broker.trusted_users), sizeof(const char *), BETWEEN(0, MANY),
	    .def = "[]",
	    .doc = "Users whose dlo-* headers count, beside every user "
		   "named in this file." },
	{ "broker.trusted_users[]", CONF_TYPE_TEXT, .check = conf_valid_short },
	{ "broker.heartbeat", CONF_TYPE_DURATION, 0, CONF(broker.heartbeat_ms),
	    BETWEEN(SECOND, 65535 * SECOND), .def = "10s",
	    .doc = "Whole seconds; a peer silent for two of them is dead." },
	{ "broker.connect_timeout", CONF_TYPE_DURATION, 0,
	    CONF(broker.connect_timeout_ms), BETWEEN(1, HOUR), .def = "5s",
	    .doc = "For name, TCP, TLS and login of one node together." },
	TLS("broker.tls", CONF(broker.tls),
	    "TLS of amqps:// nodes. The peer and its name are always "
	    "verified."),
	{ "broker.management", CONF_TYPE_MAP, .hook = conf_hooks_management,
	    .doc = "The management API, for dlo topology; https:// trusts "
		   "what broker.tls (or topology.broker.tls) names. "
		   "dlo-redrive asks it, as its own user, whether a work queue "
		   "drops messages." },
	{ "broker.management.url", CONF_TYPE_TEXT, CONF_REQUIRED | CONF_LIVE,
	    CONF(broker.management.url), .check = conf_valid_base_url,
	    .doc = "Such as http://127.0.0.1:15672." },
	{ "broker.management.user", CONF_TYPE_TEXT, CONF_LIVE,
	    CONF(broker.management.user), .check = conf_valid_short,
	    .doc = "User name; the broker wants the tag management on it. "
		   "Without it the user and password to declare as; needed "
		   "with mechanism: external." },
	SECRET("broker.management.password", CONF(broker.management.password),
	    CONF_LIVE, .doc = "Password."),

	{ "topology", CONF_TYPE_MAP,
	    .doc = "Our own exchanges and queues in the broker." },
	{ "topology.prefix", CONF_TYPE_TEXT, 0, CONF(topology.prefix),
	    .def = "dlo", .check = conf_valid_prefix,
	    .doc = "What the names of shared exchanges and queues begin "
		   "with." },
	{ "topology.declare", CONF_TYPE_BOOL, 0, CONF(topology.declare),
	    .def = "true",
	    .doc = "Declare at start what is missing; false: refuse to start "
		   "without it." },
	{ "topology.queue_type", CONF_TYPE_WORD, 0, CONF(topology.queue_type),
	    .def = "quorum", .words = queue_types,
	    .doc = "Type of our own queues; classic is for throw-away "
		   "brokers, it can lose messages." },
	IDENTITY("topology.broker", CONF(topology.broker),
	    "Whom to declare as."),

	{ "downstreams", CONF_TYPE_NAMED, CONF_REQUIRED, CONF(downstreams),
	    sizeof(struct conf_downstream), BETWEEN(1, PIPELINES_MAX),
	    .check = conf_valid_name,
	    .doc = "What processes messages, by name." },
	{ "downstreams.*", CONF_TYPE_MAP, .hook = conf_hooks_downstream,
	    .doc = "One downstream: one of http, exec, plugin and noop, with "
		   "a probe and a breaker." },
	{ "downstreams.*.http", CONF_TYPE_MAP,
	    .doc = "POST each message to an HTTP endpoint." },
	{ "downstreams.*.http.url", CONF_TYPE_TEXT, CONF_REQUIRED | CONF_LIVE,
	    DOWNSTREAM(http.url), .check = conf_valid_place_url,
	    .doc = "Where to; http://, https:// or http+unix://. With https "
		   "the peer and its name are always verified, and HTTP/2 is "
		   "spoken if it is offered. http+unix://%2Frun%2Fx.sock/a is "
		   "http://localhost/a with socket: /run/x.sock." },
	{ "downstreams.*.http.method", CONF_TYPE_TEXT, CONF_LIVE,
	    DOWNSTREAM(http.method), .def = "POST", .check = conf_valid_method,
	    .doc = "HTTP method." },
	{ "downstreams.*.http.timeout", CONF_TYPE_DURATION, CONF_LIVE,
	    DOWNSTREAM(http.timeout_ms), BETWEEN(1, DAY), .def = "5s",
	    .doc = "For the whole request." },
	{ "downstreams.*.http.connect_timeout", CONF_TYPE_DURATION, CONF_LIVE,
	    DOWNSTREAM(http.connect_timeout_ms), BETWEEN(1, DAY), .def = "2s",
	    .doc = "For name, TCP and TLS." },
	{ "downstreams.*.http.connections", CONF_TYPE_COUNT, CONF_LIVE,
	    DOWNSTREAM(http.connections), BETWEEN(1, COUNT_MAX), .def = "64",
	    .doc = "Connections, and requests at once, at most." },
	{ "downstreams.*.http.headers", CONF_TYPE_NAMED, CONF_LIVE,
	    DOWNSTREAM(http.headers), sizeof(struct conf_header),
	    BETWEEN(0, MANY), .def = "{}", .check = conf_valid_header,
	    .hook = conf_hooks_headers,
	    .doc = "Headers to send along; a value is text or {file: "
		   "PATH}." },
	{ "downstreams.*.http.headers.*", CONF_TYPE_TEXT,
	    CONF_OR_MAP | CONF_EMPTY | CONF_PRIVATE,
	    offsetof(struct conf_header, value),
	    .check = conf_valid_header_value, .hook = conf_hooks_header },
	{ "downstreams.*.http.headers.*.file", CONF_TYPE_PATH,
	    CONF_REQUIRED | CONF_PRIVATE, offsetof(struct conf_header, file),
	    .doc = "File to read the value from, at start and at a reload; a "
		   "trailing newline is cut." },
	{ "downstreams.*.http.forward_headers", CONF_TYPE_LIST, CONF_LIVE,
	    DOWNSTREAM(http.forward_headers), sizeof(const char *),
	    BETWEEN(0, MANY), .def = "[]",
	    .doc = "Headers of the message to send along, by their exact "
		   "names; texts, numbers, booleans and times are." },
	{ "downstreams.*.http.forward_headers[]", CONF_TYPE_TEXT,
	    .check = conf_valid_forward },
	{ "downstreams.*.http.format", CONF_TYPE_WORD, CONF_LIVE,
	    DOWNSTREAM(http.format), .def = "plain", .words = formats,
	    .doc = "How the message becomes a request; plain: the body as "
		   "it is; cloudevents: with the headers of CloudEvents' "
		   "binary mode." },
	{ "downstreams.*.http.socket", CONF_TYPE_PATH, CONF_LIVE,
	    DOWNSTREAM(http.socket),
	    .doc = "Unix socket to connect to, whatever host the URL has." },
	{ "downstreams.*.http.ca", CONF_TYPE_PATH, CONF_LIVE,
	    DOWNSTREAM(http.ca),
	    .doc = "PEM file of the trusted authorities; without it the "
		   "system's. For an https probe too." },
	{ "downstreams.*.http.cert", CONF_TYPE_PATH, CONF_LIVE,
	    DOWNSTREAM(http.cert),
	    .doc = "PEM file of our own certificate chain. For an https "
		   "probe too." },
	{ "downstreams.*.http.key", CONF_TYPE_PATH, CONF_LIVE,
	    DOWNSTREAM(http.key),
	    .doc = "PEM file of its key, without a passphrase." },
	{ "downstreams.*.exec", CONF_TYPE_MAP, .hook = conf_hooks_exec,
	    .doc = "Give each message to a command." },
	{ "downstreams.*.exec.command", CONF_TYPE_LIST,
	    CONF_REQUIRED | CONF_LIVE, DOWNSTREAM(exec.command),
	    sizeof(const char *), BETWEEN(1, MANY),
	    .doc = "The program and its arguments; no shell. A program "
		   "without a slash is looked for in PATH." },
	{ "downstreams.*.exec.command[]", .type = CONF_TYPE_TEXT,
	    .flags = CONF_EMPTY },
	{ "downstreams.*.exec.workers", CONF_TYPE_COUNT, CONF_LIVE,
	    DOWNSTREAM(exec.workers), BETWEEN(1, COUNT_MAX), .def = "4",
	    .doc = "Commands running at once." },
	{ "downstreams.*.exec.mode", CONF_TYPE_WORD, CONF_LIVE,
	    DOWNSTREAM(exec.mode), .def = "once", .words = exec_modes,
	    .doc = "once: a process a message; stream: processes that live "
		   "on." },
	{ "downstreams.*.exec.timeout", CONF_TYPE_DURATION, CONF_LIVE,
	    DOWNSTREAM(exec.timeout_ms), BETWEEN(1, DAY), .def = "30s",
	    .doc = "For one message." },
	{ "downstreams.*.exec.memory", CONF_TYPE_SIZE, CONF_LIVE,
	    DOWNSTREAM(exec.memory_bytes), BETWEEN(MIB, 1024 * GIB),
	    .derived = "no limit", .doc = "Memory of a process at most." },
	{ "downstreams.*.exec.cpu", CONF_TYPE_DURATION, CONF_LIVE,
	    DOWNSTREAM(exec.cpu_ms), BETWEEN(SECOND, EVER),
	    .derived = "no limit", .doc = "CPU time of a process at most." },
	{ "downstreams.*.plugin", CONF_TYPE_MAP, .hook = conf_hooks_plugin,
	    .doc = "Give each message to a shared object." },
	{ "downstreams.*.plugin.path", CONF_TYPE_PATH,
	    CONF_REQUIRED | CONF_LIVE, DOWNSTREAM(plugin.path),
	    .doc = "The shared object. -t loads it, in a process of its own." },
	{ "downstreams.*.plugin.config", CONF_TYPE_ANY,
	    CONF_LIVE | CONF_PRIVATE, DOWNSTREAM(plugin.config), .def = "null",
	    .doc = "Whatever the plugin understands; it gets it as JSON, "
		   "with the types of YAML's core schema." },
	{ "downstreams.*.plugin.workers", CONF_TYPE_COUNT, CONF_LIVE,
	    DOWNSTREAM(plugin.workers), BETWEEN(0, WORKERS_MAX), .def = "2",
	    .doc = "Processes to run it in; 0: inside the daemon, where a "
		   "crash ends the daemon." },
	{ "downstreams.*.plugin.timeout", CONF_TYPE_DURATION, CONF_LIVE,
	    DOWNSTREAM(plugin.timeout_ms), BETWEEN(1, DAY), .def = "30s",
	    .doc = "For one message." },
	{ "downstreams.*.plugin.memory", CONF_TYPE_SIZE, CONF_LIVE,
	    DOWNSTREAM(plugin.memory_bytes), BETWEEN(MIB, 1024 * GIB),
	    .derived = "no limit",
	    .doc = "Memory of a worker process at most; not with "
		   "workers: 0." },
	{ "downstreams.*.plugin.cpu", CONF_TYPE_DURATION, CONF_LIVE,
	    DOWNSTREAM(plugin.cpu_ms), BETWEEN(SECOND, EVER),
	    .derived = "no limit",
	    .doc = "CPU time of a worker process at most; not with "
		   "workers: 0." },
	{ "downstreams.*.noop", CONF_TYPE_MAP,
	    .doc = "Always ok: for measuring. Write noop: {}." },
	{ "downstreams.*.probe", CONF_TYPE_MAP, .hook = conf_hooks_probe,
	    .doc = "How to tell whether the downstream is healthy: one of "
		   "http, tcp, exec and amqp. Without a probe it always "
		   "is." },
	{ "downstreams.*.probe.http", CONF_TYPE_MAP, .doc = "GET a URL." },
	{ "downstreams.*.probe.http.url", CONF_TYPE_TEXT,
	    CONF_REQUIRED | CONF_LIVE, DOWNSTREAM(probe.url),
	    .check = conf_valid_http_url,
	    .doc = "Which; http:// or https://." },
	{ "downstreams.*.probe.http.expect", CONF_TYPE_COUNT, CONF_LIVE,
	    DOWNSTREAM(probe.expect), BETWEEN(100, 599), .def = "200",
	    .doc = "The status that is good." },
	{ "downstreams.*.probe.tcp", CONF_TYPE_MAP,
	    .doc = "Connect to a port." },
	{ "downstreams.*.probe.tcp.address", CONF_TYPE_ADDRESS,
	    CONF_REQUIRED | CONF_LIVE, DOWNSTREAM(probe.address),
	    .doc = "HOST:PORT or [IPV6]:PORT." },
	{ "downstreams.*.probe.exec", CONF_TYPE_MAP,
	    .doc = "Run a command that exits 0." },
	{ "downstreams.*.probe.exec.command", CONF_TYPE_LIST,
	    CONF_REQUIRED | CONF_LIVE, DOWNSTREAM(probe.command),
	    sizeof(const char *), BETWEEN(1, MANY),
	    .doc = "The program and its arguments; no shell." },
	{ "downstreams.*.probe.exec.command[]", .type = CONF_TYPE_TEXT,
	    .flags = CONF_EMPTY },
	{ "downstreams.*.probe.amqp", CONF_TYPE_MAP,
	    .doc = "dlo-redrive sees whether the work queue has a consumer; to "
		   "dlo-consumer it is no probe. Write amqp: {}." },
	{ "downstreams.*.probe.every", CONF_TYPE_DURATION, CONF_LIVE,
	    DOWNSTREAM(probe.every_ms), BETWEEN(10, DAY), .def = "2s",
	    .doc = "From one probe to the next." },
	{ "downstreams.*.probe.timeout", CONF_TYPE_DURATION, CONF_LIVE,
	    DOWNSTREAM(probe.timeout_ms), BETWEEN(1, HOUR), .def = "1s",
	    .doc = "For one probe." },
	{ "downstreams.*.probe.rise", CONF_TYPE_COUNT, CONF_LIVE,
	    DOWNSTREAM(probe.rise), BETWEEN(1, COUNT_MAX), .def = "3",
	    .doc = "Good probes in a row that make it healthy." },
	{ "downstreams.*.probe.fall", CONF_TYPE_COUNT, CONF_LIVE,
	    DOWNSTREAM(probe.fall), BETWEEN(1, COUNT_MAX), .def = "2",
	    .doc = "Bad ones that make it unhealthy." },
	{ "downstreams.*.breaker", CONF_TYPE_MAP,
	    .doc = "When to stop calling the downstream." },
	{ "downstreams.*.breaker.failures", CONF_TYPE_COUNT, CONF_LIVE,
	    DOWNSTREAM(breaker.failures), BETWEEN(1, COUNT_MAX), .def = "5",
	    .doc = "Failures in a row that open it." },
	{ "downstreams.*.breaker.ratio", CONF_TYPE_NUMBER, CONF_LIVE,
	    DOWNSTREAM(breaker.ratio), BETWEEN(0.001, 1), .def = "0.5",
	    .doc = "Share of failures in the window that opens it." },
	{ "downstreams.*.breaker.minimum", CONF_TYPE_COUNT, CONF_LIVE,
	    DOWNSTREAM(breaker.minimum), BETWEEN(1, COUNT_MAX), .def = "20",
	    .doc = "Results in the window before the ratio counts." },
	{ "downstreams.*.breaker.window", CONF_TYPE_DURATION, CONF_LIVE,
	    DOWNSTREAM(breaker.window_ms), BETWEEN(100, DAY), .def = "10s",
	    .doc = "How far the ratio looks back." },
	{ "downstreams.*.breaker.open", CONF_TYPE_DURATION, CONF_LIVE,
	    DOWNSTREAM(breaker.open_ms), BETWEEN(1, DAY), .def = "5s",
	    .doc = "How long it stays open at first." },
	{ "downstreams.*.breaker.open_max", CONF_TYPE_DURATION, CONF_LIVE,
	    DOWNSTREAM(breaker.open_max_ms), BETWEEN(1, DAY), .def = "60s",
	    .doc = "What that doubles up to; at least open." },

	{ "pipelines", CONF_TYPE_NAMED, CONF_REQUIRED, CONF(pipelines),
	    sizeof(struct conf_pipeline), BETWEEN(1, PIPELINES_MAX),
	    .check = conf_valid_name, .doc = "Work queues, by name." },
	{ "pipelines.*", CONF_TYPE_MAP, .hook = conf_hooks_pipeline,
	    .doc = "One work queue, its downstream and its policy." },
	{ "pipelines.*.queue", CONF_TYPE_TEXT, CONF_REQUIRED | CONF_OR_MAP,
	    PIPELINE(queue), .check = conf_valid_queue,
	    .doc = "The work queue: its name, or {name: NAME, declare: "
		   "{type: quorum}}. It belongs to one pipeline." },
	{ "pipelines.*.queue.name", CONF_TYPE_TEXT, CONF_REQUIRED,
	    PIPELINE(queue), .check = conf_valid_queue, .doc = "Its name." },
	{ "pipelines.*.queue.declare", CONF_TYPE_MAP, CONF_GIVEN,
	    .hook = conf_hooks_declare,
	    .doc = "Declare the work queue if it is missing; without this "
		   "it must be there." },
	{ "pipelines.*.queue.declare.type", CONF_TYPE_WORD, 0,
	    PIPELINE(declare_type), .def = "quorum", .words = queue_types,
	    .doc = "Its type." },
	{ "pipelines.*.downstream", CONF_TYPE_LINK, CONF_REQUIRED | CONF_LIVE,
	    PIPELINE(downstream), .doc = "Name of the downstream." },
	{ "pipelines.*.prefetch", CONF_TYPE_COUNT, CONF_LIVE,
	    PIPELINE(prefetch), BETWEEN(1, 65535), .def = "256",
	    .doc = "Messages taken from the queue and not yet done, at "
		   "most. Where the order counts a smaller one needs a "
		   "restart." },
	{ "pipelines.*.concurrency", CONF_TYPE_COUNT, CONF_LIVE,
	    PIPELINE(concurrency), BETWEEN(1, COUNT_MAX), .def = "64",
	    .doc = "Attempts under way at once." },
	{ "pipelines.*.max_body", CONF_TYPE_SIZE, CONF_LIVE,
	    PIPELINE(max_body_bytes), BETWEEN(1, 2 * GIB), .def = "16m",
	    .doc = "A larger message is dead as too_large, whole." },
	{ "pipelines.*.order", CONF_TYPE_WORD, CONF_OR_MAP, PIPELINE(order),
	    .def = "none", .words = orders,
	    .doc = "strict: one message at a time; {key: routing_key} or "
		   "{key: {header: NAME}}: one at a time of each key. All "
		   "delays together must not exceed consumer.hold_max." },
	{ "pipelines.*.order.key", CONF_TYPE_WORD, CONF_REQUIRED | CONF_OR_MAP,
	    PIPELINE(order), .words = order_keys,
	    .doc = "routing_key, or {header: NAME}: what messages are told "
		   "apart by." },
	{ "pipelines.*.order.key.header", CONF_TYPE_TEXT, CONF_REQUIRED,
	    PIPELINE(order_header), .check = conf_valid_short,
	    .hook = conf_hooks_order_header,
	    .doc = "The value of that header." },
	{ "pipelines.*.dedup", CONF_TYPE_WORD, CONF_LIVE, PIPELINE(dedup),
	    .def = "none", .words = dedups,
	    .doc = "message_id: a redelivery of what this process has just "
		   "finished is acked, not handed over again." },
	{ "pipelines.*.retry", CONF_TYPE_MAP,
	    .doc = "What to do after a failed attempt." },
	{ "pipelines.*.retry.attempts", CONF_TYPE_COUNT, CONF_LIVE,
	    PIPELINE(retry.attempts), BETWEEN(1, COUNT_MAX), .def = "6",
	    .doc = "Attempts in all, before the message is dead." },
	{ "pipelines.*.retry.first", CONF_TYPE_DURATION, CONF_LIVE,
	    PIPELINE(retry.first_ms), BETWEEN(1, TTL_MAX), .def = "1s",
	    .doc = "Delay after the first failure." },
	{ "pipelines.*.retry.factor", CONF_TYPE_NUMBER, CONF_LIVE,
	    PIPELINE(retry.factor), BETWEEN(1, 1000), .def = "2",
	    .doc = "What each further delay is multiplied by." },
	{ "pipelines.*.retry.cap", CONF_TYPE_DURATION, CONF_LIVE,
	    PIPELINE(retry.cap_ms), BETWEEN(1, TTL_MAX), .def = "5m",
	    .doc = "Longest delay; at least first." },
	{ "pipelines.*.retry.jitter", CONF_TYPE_NUMBER, CONF_LIVE,
	    PIPELINE(retry.jitter), BETWEEN(0, 1), .def = "0.5",
	    .doc = "A delay d is drawn from d*(1-jitter) to d." },
	{ "pipelines.*.retry.hold", CONF_TYPE_DURATION, CONF_LIVE,
	    PIPELINE(retry.hold_ms), BETWEEN(0, TTL_MAX), .def = "500ms",
	    .doc = "Delays up to this wait in memory, longer ones in the "
		   "broker; all in memory when the order counts." },
	{ "pipelines.*.retry.deadline", CONF_TYPE_DURATION, CONF_LIVE,
	    PIPELINE(retry.deadline_ms), BETWEEN(1, EVER), .def = "24h",
	    .doc = "Longest time since the first failure; then the message "
		   "is dead." },
	{ "pipelines.*.retry.rules", CONF_TYPE_LIST, CONF_LIVE,
	    PIPELINE(retry.rules), sizeof(struct conf_rule), BETWEEN(0, MANY),
	    .def = "[]",
	    .doc = "What to do with some classes of failure; the first that "
		   "matches wins, and the built-in ones stand below." },
	{ "pipelines.*.retry.rules[]", .type = CONF_TYPE_MAP,
	    .hook = conf_hooks_rule },
	{ "pipelines.*.retry.rules[].class", CONF_TYPE_TEXT, CONF_REQUIRED,
	    RULE(class), .check = conf_valid_class,
	    .doc = "Dotted prefix, such as http.409 or exec.signal." },
	{ "pipelines.*.retry.rules[].then", CONF_TYPE_WORD, 0, RULE(then),
	    .words = thens, .derived = "as the handler said",
	    .doc = "The outcome to take for it." },
	{ "pipelines.*.retry.rules[].attempts", CONF_TYPE_COUNT, 0,
	    RULE(attempts), BETWEEN(1, COUNT_MAX), .derived = "the pipeline's",
	    .doc = "Attempts in all, whatever the earlier ones failed with." },
	{ "pipelines.*.retry.rules[].first", CONF_TYPE_DURATION, 0,
	    RULE(first_ms), BETWEEN(1, TTL_MAX), .derived = "the pipeline's",
	    .doc = "Delay after the first failure." },
	{ "pipelines.*.retry.rules[].cap", CONF_TYPE_DURATION, 0, RULE(cap_ms),
	    BETWEEN(1, TTL_MAX), .derived = "the pipeline's",
	    .doc = "Longest delay; at least first." },
	{ "pipelines.*.dead_letter", CONF_TYPE_MAP,
	    .doc = "Where dead messages go." },
	{ "pipelines.*.dead_letter.queue", CONF_TYPE_TEXT, 0,
	    PIPELINE(dead_letter.queue), .check = conf_valid_queue,
	    .derived = "QUEUE.dlq", .doc = "The dead-letter queue." },
	{ "pipelines.*.dead_letter.parked", CONF_TYPE_TEXT, 0,
	    PIPELINE(dead_letter.parked), .check = conf_valid_queue,
	    .derived = "QUEUE.parked",
	    .doc = "Dead letters that were redriven too often." },
	{ "pipelines.*.dead_letter.archive", CONF_TYPE_TEXT, 0,
	    PIPELINE(dead_letter.archive), .check = conf_valid_queue,
	    .derived = "QUEUE.archive",
	    .doc = "Dead letters that an operator deleted." },
	{ "pipelines.*.dead_letter.archive_ttl", CONF_TYPE_DURATION, 0,
	    PIPELINE(dead_letter.archive_ttl_ms), BETWEEN(MINUTE, TTL_MAX),
	    .def = "7d", .doc = "How long they can be restored." },
	{ "pipelines.*.dead_letter.alert_above", CONF_TYPE_COUNT, CONF_LIVE,
	    PIPELINE(dead_letter.alert_above), BETWEEN(0, COUNT_MAX),
	    .def = "100", .doc = "Dead letters that are worth an alert." },
	{ "pipelines.*.redrive", CONF_TYPE_MAP,
	    .doc = "When and how dead letters go back to the work queue." },
	{ "pipelines.*.redrive.when", CONF_TYPE_LIST, CONF_LIVE,
	    PIPELINE(redrive.when), sizeof(struct conf_trigger),
	    BETWEEN(0, MANY),
	    .derived = "[healthy] if the downstream has a probe, else []",
	    .doc = "Any of healthy, {every: DURATION} and {cron: TEXT}; []: "
		   "only when an operator says so." },
	{ "pipelines.*.redrive.when[]", CONF_TYPE_WORD, CONF_OR_MAP,
	    TRIGGER(kind), .words = triggers, .hook = conf_hooks_trigger,
	    .doc = "healthy: when the downstream becomes healthy." },
	{ "pipelines.*.redrive.when[].every", CONF_TYPE_DURATION, 0,
	    TRIGGER(every_ms), BETWEEN(SECOND, EVER), .doc = "On a timer." },
	{ "pipelines.*.redrive.when[].cron", CONF_TYPE_TEXT, 0, TRIGGER(cron),
	    .check = conf_valid_cron, .doc = "At these times, in UTC." },
	{ "pipelines.*.redrive.only", CONF_TYPE_MAP, .hook = conf_hooks_only,
	    .doc = "What is redriven automatically: all that is given here "
		   "must hold; {}: everything." },
	{ "pipelines.*.redrive.only.reason", CONF_TYPE_LIST, CONF_LIVE,
	    PIPELINE(redrive.only.reasons), sizeof(const char *),
	    BETWEEN(1, MANY), .def = "[attempts_exhausted, deadline]",
	    .doc = "Any of these reasons. The default holds only without "
		   "redrive.only." },
	{ "pipelines.*.redrive.only.reason[]", CONF_TYPE_TEXT,
	    .check = conf_valid_reason },
	{ "pipelines.*.redrive.only.class", CONF_TYPE_LIST, CONF_LIVE,
	    PIPELINE(redrive.only.classes), sizeof(const char *),
	    BETWEEN(1, MANY), .derived = "any",
	    .doc = "Any of these classes, by dotted prefix." },
	{ "pipelines.*.redrive.only.class[]", CONF_TYPE_TEXT,
	    .check = conf_valid_class },
	{ "pipelines.*.redrive.only.error", CONF_TYPE_TEXT, CONF_LIVE,
	    PIPELINE(redrive.only.error), .derived = "any",
	    .doc = "Text in the error." },
	{ "pipelines.*.redrive.only.id", CONF_TYPE_LIST, CONF_LIVE,
	    PIPELINE(redrive.only.ids), sizeof(const char *), BETWEEN(1, MANY),
	    .derived = "any", .doc = "Any of these ids." },
	{ "pipelines.*.redrive.only.id[]", .type = CONF_TYPE_TEXT },
	{ "pipelines.*.redrive.only.older_than", CONF_TYPE_DURATION, CONF_LIVE,
	    PIPELINE(redrive.only.older_than_ms), BETWEEN(1, EVER),
	    .derived = "any", .doc = "Dead for longer than this." },
	{ "pipelines.*.redrive.only.newer_than", CONF_TYPE_DURATION, CONF_LIVE,
	    PIPELINE(redrive.only.newer_than_ms), BETWEEN(1, EVER),
	    .derived = "any", .doc = "Dead for less than this." },
	{ "pipelines.*.redrive.only.routing_key", CONF_TYPE_TEXT, CONF_LIVE,
	    PIPELINE(redrive.only.routing_key), .check = conf_valid_short,
	    .derived = "any",
	    .doc = "Glob that the first routing key matches." },
	{ "pipelines.*.redrive.only.header", CONF_TYPE_NAMED, CONF_LIVE,
	    PIPELINE(redrive.only.headers), sizeof(struct conf_match),
	    BETWEEN(1, MANY), .check = conf_valid_short, .derived = "any",
	    .doc = "Headers, each with the value it must have." },
	{ "pipelines.*.redrive.only.header.*", CONF_TYPE_TEXT, CONF_EMPTY,
	    .offset = offsetof(struct conf_match, value) },
	{ "pipelines.*.redrive.only.redrives_above", CONF_TYPE_COUNT, CONF_LIVE,
	    PIPELINE(redrive.only.redrives_above), BETWEEN(0, COUNT_MAX),
	    .derived = "any", .hook = conf_hooks_redrives_above,
	    .doc = "Redriven more often than this." },
	{ "pipelines.*.redrive.rate", CONF_TYPE_COUNT, CONF_LIVE,
	    PIPELINE(redrive.rate), BETWEEN(1, COUNT_MAX), .def = "200",
	    .doc = "Messages a second, at most." },
	{ "pipelines.*.redrive.canary", CONF_TYPE_COUNT, CONF_LIVE,
	    PIPELINE(redrive.canary), BETWEEN(0, COUNT_MAX), .def = "5",
	    .doc =
		"Messages that go first, and whose outcome decides; 0: none go "
		"first, and nobody waits for outcomes." },
	{ "pipelines.*.redrive.verdict_timeout", CONF_TYPE_DURATION, CONF_LIVE,
	    PIPELINE(redrive.verdict_timeout_ms), BETWEEN(SECOND, DAY),
	    .def = "10m",
	    .doc = "How long to wait for that outcome; not while the breaker "
		   "is open." },
	{ "pipelines.*.redrive.ramp", CONF_TYPE_MAP,
	    .doc = "How a job gets faster." },
	{ "pipelines.*.redrive.ramp.start", CONF_TYPE_COUNT, CONF_LIVE,
	    PIPELINE(redrive.ramp.start), BETWEEN(1, COUNT_MAX), .def = "10",
	    .doc = "Messages a second at first, and after each stop." },
	{ "pipelines.*.redrive.ramp.double_every", CONF_TYPE_DURATION,
	    CONF_LIVE, PIPELINE(redrive.ramp.double_every_ms), BETWEEN(1, DAY),
	    .def = "5s",
	    .doc = "How soon that doubles, up to rate; it halves when failures "
		   "show." },
	{ "pipelines.*.redrive.abort_above", CONF_TYPE_NUMBER, CONF_LIVE,
	    PIPELINE(redrive.abort_above), BETWEEN(0, 1), .def = "0.2",
	    .doc = "Share of a job's messages failing again above which it "
		   "ends." },
	{ "pipelines.*.redrive.max_redrives", CONF_TYPE_COUNT, CONF_LIVE,
	    PIPELINE(redrive.max_redrives), BETWEEN(0, COUNT_MAX), .def = "3",
	    .doc = "Redrives of one message; then it is parked." },
	{ "pipelines.*.redrive.cooldown", CONF_TYPE_DURATION, CONF_LIVE,
	    PIPELINE(redrive.cooldown_ms), BETWEEN(0, EVER), .def = "60s",
	    .doc = "Least time from the end of an automatic job to the "
		   "next." },

	{ "consumer", CONF_TYPE_MAP, .doc = "dlo-consumer as a process." },
	{ "consumer.listen", CONF_TYPE_LISTEN, 0, CONF(consumer.listen),
	    .def = "127.0.0.1:8671",
	    .doc = "Where /healthz, /readyz and /metrics are served: "
		   "HOST:PORT, unix:PATH or none." },
	{ "consumer.drain_timeout", CONF_TYPE_DURATION, CONF_LIVE,
	    CONF(consumer.drain_timeout_ms), BETWEEN(0, DAY), .def = "30s",
	    .doc = "For attempts under way when told to stop." },
	{ "consumer.hold_max", CONF_TYPE_DURATION, CONF_LIVE,
	    CONF(consumer.hold_max_ms), BETWEEN(SECOND, TTL_MAX), .def = "10m",
	    .doc = "Nothing is held in memory longer; keep it below the "
		   "broker's consumer_timeout." },
	{ "consumer.max_inflight", CONF_TYPE_SIZE, CONF_LIVE,
	    CONF(consumer.max_inflight_bytes), BETWEEN(64 * KIB, 1024 * GIB),
	    .def = "256m",
	    .doc = "Bytes of messages in memory; beyond it none are read." },
	IDENTITY("consumer.broker", CONF(consumer.broker),
	    "Whom to consume as."),

	{ "redrive", CONF_TYPE_MAP, .doc = "dlo-redrive as a process." },
	{ "redrive.listen", CONF_TYPE_LISTEN, 0, CONF(redrive.listen),
	    .derived = "unix:DIR/redrive.sock, DIR being $RUNTIME_DIRECTORY, "
		       "else /run/dlo, else $XDG_RUNTIME_DIR/dlo",
	    .doc = "Where its HTTP server listens: unix:PATH, HOST:PORT or "
		   "none." },
	SECRET("redrive.token", CONF(redrive.token), 0,
	    .doc = "Bearer token of the control API on a TCP listener; "
		   "without one it answers nobody there."),
	IDENTITY("redrive.broker", CONF(redrive.broker), "Whom to redrive as."),

	{ "log", CONF_TYPE_MAP, .doc = "Log lines, on stderr." },
	{ "log.level", CONF_TYPE_WORD, CONF_LIVE, CONF(log.level),
	    .def = "info", .words = levels,
	    .doc = "Least important level that is written." },
	{ "log.format", CONF_TYPE_WORD, CONF_LIVE, CONF(log.format),
	    .def = "logfmt", .words = log_formats, .doc = "How a line looks." },

	{ "features", CONF_TYPE_MAP, .doc = "Parts to switch off." },
	{ "features.consume", CONF_TYPE_BOOL, CONF_LIVE, CONF(features.consume),
	    .def = "true", .doc = "Take messages from work queues." },
	{ "features.retry", CONF_TYPE_BOOL, CONF_LIVE, CONF(features.retry),
	    .def = "true", .doc = "false: dead-letter at once." },
	{ "features.redrive", CONF_TYPE_BOOL, CONF_LIVE, CONF(features.redrive),
	    .def = "true", .doc = "Redrive automatically." },
};

const size_t conf_table_len = array_len(conf_table);

const char *
conf_table_name(const struct conf_key *key)
{
	const char *dot = strrchr(key->path, '.'), *name;

	name = dot == NULL ? key->path : dot + 1;
	/* A list's elements: a[] */
	return strchr(name, '[') == NULL ? name : strchr(name, '[');
}

/* The rest of the path below another; NULL: not below it. */
static const char *
rest_below(const char *parent, const char *path)
{
	size_t len = strlen(parent);

	if (len == 0)
		return path;
	if (strncmp(path, parent, len) != 0)
		return NULL;
	if (path[len] == '.')
		return path + len + 1;
	return path[len] == '[' ? path + len : NULL;
}

const struct conf_key *
conf_table_below(const struct conf_key *parent, const struct conf_key *prev)
{
	const struct conf_key *key = prev == NULL ? parent + 1 : prev + 1;
	const char *rest;

	for (; key < conf_table + conf_table_len; key++) {
		rest = rest_below(parent->path, key->path);
		if (rest == NULL)
			return NULL;
		if (strchr(rest, '.') == NULL && strchr(rest + 1, '[') == NULL)
			return key;
	}
	return NULL;
}

const struct conf_key *
conf_table_find(const struct conf_key *map, const char *name)
{
	const struct conf_key *key = NULL;

	while ((key = conf_table_below(map, key)) != NULL)
		if (strcmp(conf_table_name(key), name) == 0)
			return key;
	return NULL;
}

const struct conf_key *
conf_table_row(const char *path)
{
	size_t i;

	for (i = 0; i < conf_table_len; i++)
		if (strcmp(conf_table[i].path, path) == 0)
			return &conf_table[i];
	return NULL;
}

bool
conf_table_live(const struct conf_key *key)
{
	size_t i, len;

	if (key->type == CONF_TYPE_NAMED)
		return true;
	for (i = 0; i < conf_table_len; i++) {
		if ((conf_table[i].flags & CONF_LIVE) == 0)
			continue;
		len = strlen(conf_table[i].path);
		if (strncmp(key->path, conf_table[i].path, len) == 0 &&
		    strchr(".[", key->path[len]) != NULL)
			return true;
	}
	return false;
}
