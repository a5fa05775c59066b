/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The configuration file as one immutable struct, whole and checked: every
 * default is filled in, names are resolved to pointers, secrets are read.
 * The struct conf owns every string and array below it, all of them valid
 * until conf_free; a reload makes a second struct conf and leaves the first
 * alone. Nothing here logs: what is wrong comes back as a list with line and
 * column, sorted as in the file, and never quotes a secret.
 *
 * Units: durations in milliseconds, sizes in bytes, shares from 0 to 1. Text
 * is NUL-terminated UTF-8 and never NULL unless its comment says so. A
 * relative path in the file is resolved against the file's own folder.
 */
#ifndef DLO_CONFIG_CONF_H
#define DLO_CONFIG_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/buf.h"
#include "lib/compiler.h"
#include "lib/log.h"

/* Whose connection it is; a set of them says whose secrets to read. */
enum conf_role {
	CONF_ROLE_CONSUMER = 1,
	CONF_ROLE_REDRIVE = 2,
	CONF_ROLE_TOPOLOGY = 4,
	CONF_ROLE_OPERATOR = 8, /* asks dlo-redrive: no connection */
};

/* A list of texts; no items: count 0 and items NULL. */
struct conf_texts {
	const char *const *items;
	size_t count;
};

/* A password or token: what it is, and where it came from. */
struct conf_secret {
	const char *text; /* NULL: none given, or not for the asked roles */
	const char *env;  /* read from this variable; else NULL */
	const char *file; /* read from this path; else NULL */
};

/* TLS files, PEM; NULL members: the system's default or none. */
struct conf_tls {
	const char *ca;
	const char *cert;
	const char *key;
	const char *server_name; /* the name to verify; NULL: the host */
};

/* One broker node to connect to. */
struct conf_node {
	const char *host; /* name or address; IPv6 without brackets */
	uint16_t port;
	bool tls; /* amqps:// */
};

enum conf_mechanism { CONF_MECHANISM_PLAIN, CONF_MECHANISM_EXTERNAL };

/* The management API, for `dlo topology`; dlo-redrive asks it as its own user.
 */
struct conf_management {
	const char *url;  /* NULL: not configured */
	const char *user; /* NULL: that of the topology's broker, with its */
	struct conf_secret password; /* password */
};

/* How to reach the broker, and as whom. */
struct conf_broker {
	const struct conf_node *nodes; /* tried in turn; at least one */
	size_t node_count;
	const char *vhost;
	const char *user;
	struct conf_secret password;
	enum conf_mechanism mechanism;
	/*
	 * Users whose dlo-* headers count: broker.trusted_users and every
	 * user named in the file, each once. The same list for all roles.
	 */
	struct conf_texts trusted_users;
	int64_t heartbeat_ms; /* whole seconds, at least one */
	int64_t connect_timeout_ms;
	struct conf_tls tls;
	struct conf_management management;
};

/* What topology.broker, consumer.broker and redrive.broker override. */
struct conf_identity {
	const char *user; /* NULL: as in broker */
	bool has_password;
	struct conf_secret password;
	bool has_tls;
	struct conf_tls tls;
};

enum conf_queue_type { CONF_QUEUE_QUORUM, CONF_QUEUE_CLASSIC };

struct conf_topology {
	const char *prefix; /* of our exchanges and queues: "dlo" */
	bool declare;	    /* declare at start what is missing */
	enum conf_queue_type queue_type; /* of the queues we declare */
	struct conf_identity broker;
};

/* A header to send; its name is an HTTP token. */
struct conf_header {
	const char *name;
	const char *value; /* NULL only when its file is for another role */
	const char *file;  /* read from this path; else NULL */
};

struct conf_headers {
	const struct conf_header *items;
	size_t count;
};

enum conf_format { CONF_FORMAT_PLAIN, CONF_FORMAT_CLOUDEVENTS };

/* A handler behind HTTP. */
struct conf_http {
	const char *url; /* http:// or https://; http+unix:// is split up */
	const char *method;
	int64_t timeout_ms; /* the whole request */
	int64_t connect_timeout_ms;
	uint32_t connections; /* at most */
	struct conf_headers headers;
	struct conf_texts forward_headers; /* from the message's headers */
	enum conf_format format;
	const char *socket; /* unix socket to connect to; NULL: none */
	const char *ca;	    /* PEM files; NULL: the system's, or none */
	const char *cert;
	const char *key;
	/*
	 * What these files hold, as a digest: another text when they are
	 * others. NULL: none of them, or they are for another role.
	 */
	const char *pem_digest;
};

enum conf_exec_mode { CONF_EXEC_ONCE, CONF_EXEC_STREAM };

/* A handler that is a command. */
struct conf_exec {
	struct conf_texts command; /* argv, at least one */
	uint32_t workers;
	enum conf_exec_mode mode;
	int64_t timeout_ms;
	uint64_t memory_bytes; /* address space at most; 0: no limit */
	int64_t cpu_ms;	       /* CPU time at most; 0: no limit */
};

/* A handler in a shared object. */
struct conf_plugin {
	const char *path;
	unsigned line, column; /* where the path stands in the file */
	const char *config;    /* JSON text */
	uint32_t workers;      /* processes; 0: inside the loop */
	int64_t timeout_ms;
	uint64_t memory_bytes; /* address space at most; 0: no limit */
	int64_t cpu_ms;	       /* CPU time at most; 0: no limit */
};

enum conf_probe_kind {
	CONF_PROBE_NONE, /* always healthy */
	CONF_PROBE_HTTP,
	CONF_PROBE_TCP,
	CONF_PROBE_EXEC,
	CONF_PROBE_AMQP,
};

/* A name or address and a port. */
struct conf_address {
	const char *host; /* IPv6 without brackets */
	uint16_t port;
};

/* How to tell that a downstream is healthy. */
struct conf_probe {
	enum conf_probe_kind kind;
	const char *url;	     /* http; else NULL */
	uint32_t expect;	     /* http: the status that is good */
	struct conf_address address; /* tcp; else its host is NULL */
	struct conf_texts command;   /* exec: argv */
	int64_t every_ms;
	int64_t timeout_ms;
	uint32_t rise; /* good probes in a row that make it healthy */
	uint32_t fall; /* bad ones that make it unhealthy */
};

/* When to stop calling a downstream, and when to try again. */
struct conf_breaker {
	uint32_t failures; /* in a row that open it */
	double ratio;	   /* share of failures in the window that opens it */
	uint32_t minimum;  /* results in the window before the ratio counts */
	int64_t window_ms;
	int64_t open_ms;     /* first time open, then doubling */
	int64_t open_max_ms; /* ... to this */
};

enum conf_kind {
	CONF_KIND_HTTP,
	CONF_KIND_EXEC,
	CONF_KIND_PLUGIN,
	CONF_KIND_NOOP, /* always ok */
};

/* What processes messages; pipelines may share one. */
struct conf_downstream {
	const char *name;
	enum conf_kind kind; /* which one of http, exec, plugin is filled */
	struct conf_http http;
	struct conf_exec exec;
	struct conf_plugin plugin;
	struct conf_probe probe;
	struct conf_breaker breaker;
};

enum conf_order {
	CONF_ORDER_NONE,
	CONF_ORDER_STRICT,	/* one message at a time */
	CONF_ORDER_HEADER,	/* one at a time for each value of a header */
	CONF_ORDER_ROUTING_KEY, /* one at a time for each routing key */
};

enum conf_dedup { CONF_DEDUP_NONE, CONF_DEDUP_MESSAGE_ID };

enum conf_then {
	CONF_THEN_SAME, /* as the handler said */
	CONF_THEN_OK,
	CONF_THEN_RETRY,
	CONF_THEN_REJECT,
};

/* What to do with failures of a class; the first match wins. */
struct conf_rule {
	const char *class; /* dotted prefix: http, http.503, exec.signal */
	enum conf_then then;
	/* Of a retry; the pipeline's unless the rule has its own. */
	uint32_t attempts;
	int64_t first_ms;
	int64_t cap_ms;
};

struct conf_retry {
	uint32_t attempts; /* in all, before it is dead */
	int64_t first_ms;
	double factor;
	int64_t cap_ms;	     /* at least first_ms */
	double jitter;	     /* drawn from [d * (1 - jitter), d] */
	int64_t hold_ms;     /* delays up to this wait in memory */
	int64_t deadline_ms; /* since the first failure */
	const struct conf_rule *rules;
	size_t rule_count;
};

struct conf_dead_letter {
	const char *queue;   /* "Q.dlq" unless named */
	const char *parked;  /* "Q.parked" */
	const char *archive; /* "Q.archive" */
	int64_t archive_ttl_ms;
	uint32_t alert_above; /* dead letters */
};

/* A header that a dead letter must carry with this very value. */
struct conf_match {
	const char *header;
	const char *value;
};

/* Which dead letters; all that is given must hold. */
struct conf_filter {
	struct conf_texts reasons; /* any of them; none: every reason */
	struct conf_texts classes; /* any, by dotted prefix; none: every */
	const char *error;	   /* text in the error; NULL: any */
	struct conf_texts ids;	   /* any of them; none: every id */
	int64_t older_than_ms;	   /* 0: any age */
	int64_t newer_than_ms;	   /* 0: any age */
	const char *routing_key;   /* glob; NULL: any */
	const struct conf_match *headers;
	size_t header_count;
	bool has_redrives_above;
	uint32_t redrives_above;
};

enum conf_trigger_kind {
	CONF_TRIGGER_HEALTHY, /* the downstream becomes healthy */
	CONF_TRIGGER_EVERY,
	CONF_TRIGGER_CRON,
};

struct conf_trigger {
	enum conf_trigger_kind kind;
	int64_t every_ms; /* every */
	const char *cron; /* cron, UTC; else NULL */
};

struct conf_ramp {
	uint32_t start; /* messages a second */
	int64_t double_every_ms;
};

struct conf_redrive {
	const struct conf_trigger *when; /* none: operators only */
	size_t when_count;
	struct conf_filter only; /* what automatic jobs take */
	uint32_t rate;		 /* messages a second, at most */
	uint32_t canary;	 /* messages; 0: none */
	int64_t verdict_timeout_ms;
	struct conf_ramp ramp;
	double abort_above;    /* share of a job's messages failing again */
	uint32_t max_redrives; /* then parked */
	int64_t cooldown_ms; /* from the end of one automatic job to the next */
};

/* A work queue, its downstream and its policy. */
struct conf_pipeline {
	const char *name;
	const char *queue;
	bool declare; /* the work queue is ours to declare */
	enum conf_queue_type declare_type;
	const struct conf_downstream *downstream;
	uint32_t prefetch;    /* 1..65535 */
	uint32_t concurrency; /* attempts under way at once */
	uint64_t max_body_bytes;
	enum conf_order order;
	const char *order_header; /* order by header: its name; else NULL */
	enum conf_dedup dedup;
	struct conf_retry retry;
	struct conf_dead_letter dead_letter;
	struct conf_redrive redrive;
};

enum conf_listen_kind { CONF_LISTEN_NONE, CONF_LISTEN_TCP, CONF_LISTEN_UNIX };

/* Where a daemon's HTTP server listens. */
struct conf_listen {
	enum conf_listen_kind kind;
	char host[256]; /* tcp: name or address; IPv6 without brackets */
	uint16_t port;	/* tcp */
	char path[108]; /* unix */
};

struct conf_consumer {
	struct conf_listen listen;
	int64_t drain_timeout_ms;
	int64_t hold_max_ms; /* nothing is held unacked longer */
	uint64_t max_inflight_bytes;
	struct conf_identity broker;
};

struct conf_redrived {
	struct conf_listen listen;
	struct conf_secret token; /* bearer token of a TCP listener */
	struct conf_identity broker;
};

struct conf_log {
	enum log_level level;
	enum log_format format;
};

struct conf_features {
	bool consume;
	bool retry; /* false: dead-letter at once */
	bool redrive;
};

struct conf_pool;
struct conf_tree;

/* The file. */
struct conf {
	const char *path; /* as given to conf_load */
	uint32_t version;
	struct conf_broker broker; /* for a role: conf_broker_for */
	struct conf_topology topology;
	const struct conf_downstream *downstreams; /* in the file's order */
	size_t downstream_count;
	const struct conf_pipeline *pipelines; /* in the file's order */
	size_t pipeline_count;
	struct conf_consumer consumer;
	struct conf_redrived redrive;
	struct conf_log log;
	struct conf_features features;
	/* broker with each role's override applied */
	struct conf_broker consumer_broker;
	struct conf_broker redrive_broker;
	struct conf_broker topology_broker;
	const struct conf_tree *root; /* where each key stood */
	struct conf_pool *pool;	      /* owns all memory of this struct */
};

/* One thing that is wrong. */
struct conf_error {
	unsigned line, column; /* from 1; line 0: the file as a whole */
	char *key;	       /* "pipelines.orders.retry.cap"; "" for none */
	char *problem;
};

/* What is wrong with a file, in the file's order; zeroed is empty. */
struct conf_errors {
	char *path;
	struct conf_error *items;
	size_t count;
};

/* $DLO_CONFIG, or dlo.yaml under sysconfdir. */
const char *conf_default_path(void);
/*
 * Reads and checks the file at `path`. Secrets are read only for `roles`, a
 * set of enum conf_role: a process must not need what another's user may
 * read (a daemon of a topology.declare: true file reads the topology user's
 * too). NULL when anything is wrong: `errors`, which must be empty on entry,
 * then says what. The caller frees both, by conf_free and conf_errors_clear.
 */
struct conf *conf_load(const char *path, unsigned roles,
    struct conf_errors *errors) must_use;
/* NULL is fine. */
void conf_free(struct conf *);
/*
 * How to reach the broker in that role (any but the operator); belongs to the
 * conf.
 */
const struct conf_broker *conf_broker_for(const struct conf *, enum conf_role);
/* By name; NULL when there is none. */
const struct conf_pipeline *conf_pipeline_find(const struct conf *,
    const char *name);

/* Appends error `i`, FILE:LINE:COLUMN: key: problem, without a newline. */
void conf_errors_show(const struct conf_errors *, size_t i, struct buf *out);
/* All of them, one line each. */
void conf_errors_print(const struct conf_errors *, FILE *);
void conf_errors_clear(struct conf_errors *);

/*
 * An address as in `listen` and --listen: none, unix:PATH, HOST:PORT or
 * [IPV6]:PORT. -1: it is none of them, and `why` says what is wrong in
 * static text.
 */
int conf_listen_parse(const char *text, struct conf_listen *,
    const char **why) must_use;
/* The same the other way round; the caller frees it. */
char *conf_listen_address(const struct conf_listen *) must_use;

/*
 * `-t`: says on stdout that the file is valid, or on stderr what is wrong.
 * Returns the exit code, 0 or 78.
 */
int conf_check_main(const char *path, unsigned roles) must_use;
/*
 * The same; `check` may find more that is wrong, and `tell`s more of a valid
 * one. NULL is fine for both.
 */
int conf_check_tell(const char *path, unsigned roles,
    void (*check)(const struct conf *, struct conf_errors *),
    void (*tell)(const struct conf *)) must_use;

#endif
