/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Is a downstream healthy? A driver tries once (http, tcp, or what a test
 * brings along), a probe repeats it, limits its time and counts: `rise` good
 * ones in a row make it healthy, `fall` bad ones unhealthy, unknown before.
 * Callbacks come from the loop, never inside a call; from them the probe may
 * be told anything but probe_free.
 */
#ifndef DLO_DOWNSTREAM_PROBE_H
#define DLO_DOWNSTREAM_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/loop.h"
#include "lib/stream.h"

struct conf_address;
struct conf_downstream;
struct conf_probe;
struct probe;
struct probe_driver;

enum probe_health {
	PROBE_UNKNOWN,
	PROBE_HEALTHY,
	PROBE_UNHEALTHY,
};

/* "unknown", "healthy", "unhealthy". */
const char *probe_health_name(enum probe_health);

/* The counting, pure. */
struct probe_count {
	unsigned rise, fall; /* ≥ 1 */
	unsigned good, bad;  /* in a row; one of them is 0 */
	enum probe_health health;
};

void probe_count_init(struct probe_count *, unsigned rise, unsigned fall);
/* Counts one result; true: the health is another now. */
bool probe_count_add(struct probe_count *, bool good);

/* `why`: what was wrong, NULL when good; gone on return. */
typedef void probe_driver_cb(void *arg, bool good, const char *why);

/* What a driver provides. */
struct probe_driver_ops {
	/*
	 * Tries once: calls back once, not inside; a try that is cancelled
	 * does not call back. `timeout_ms` is a hint: the probe cancels a try
	 * that takes longer.
	 */
	void (*start)(struct probe_driver *, int64_t timeout_ms,
	    probe_driver_cb *, void *arg);
	void (*cancel)(struct probe_driver *); /* fine when idle */
	void (*free)(struct probe_driver *);
};

/* The common part of every driver; first member of its struct. */
struct probe_driver {
	const struct probe_driver_ops *ops;
};

/*
 * GETs the probe's URL and wants its status, with the TLS files of the
 * downstream's http; by its socket if host and port are the same. Copies what
 * it needs.
 */
struct probe_driver *probe_http_new(struct loop *,
    const struct conf_downstream *);
/* Connects and closes. Copies the address. */
struct probe_driver *probe_tcp_new(struct stream_net *,
    const struct conf_address *);
/* Runs a command that exits 0 when all is well. Copies it. */
struct probe_driver *probe_exec_new(struct loop *, const struct conf_probe *);
/*
 * The one that the configuration asks for; NULL for CONF_PROBE_NONE, and for
 * CONF_PROBE_AMQP, which needs a connection to the broker.
 */
struct probe_driver *probe_driver_new(struct loop *, struct stream_net *,
    const struct conf_downstream *);

/* What a probe tells after each try. */
struct probe_event {
	bool good;
	bool changed; /* the health is another now */
	enum probe_health health;
	const char *why; /* of a bad one; NULL when good */
};

typedef void probe_cb(void *arg, const struct probe_event *);

struct probe_params {
	const char *name; /* of the downstream, for the log; not owned */
	int64_t every_ms;
	int64_t timeout_ms;
	unsigned rise, fall;
};

/* The params of the configuration. `name` must outlive the probe. */
struct probe_params probe_params_of(const char *name,
    const struct conf_probe *);
/*
 * A probe that tries at once and from then on. It owns `driver`; without one
 * (NULL) it is healthy from the start and says so once. Each change of
 * health is logged.
 */
struct probe *probe_new(struct loop *, const struct probe_params *,
    struct probe_driver *driver, probe_cb *, void *arg);
enum probe_health probe_health(const struct probe *);
/* Tries now instead of at the next time, unless a try is under way. */
void probe_now(struct probe *);
/* No callback after this; NULL is fine. Not from its callback. */
void probe_free(struct probe *);

#endif
