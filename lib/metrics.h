/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Counters, gauges and histograms, rendered as Prometheus text. A family has
 * a name, a help line and label names; a cell is one combination of label
 * values. Look a cell up once and keep it: it lives as long as the registry,
 * and adding to it is an addition. Families and cells belong to the registry.
 *
 *	family = metrics_counter(m, "dlo_attempts_total", "Attempts made.",
 *	    "pipeline,outcome,class");
 *	metrics_inc(metrics_cell(family, "orders", "ok", "http.200"));
 *
 * The last label is the one whose values may come from outside: for each
 * combination of the others it takes at most METRICS_VALUES_MAX values, the
 * rest is counted as "other".
 */
#ifndef DLO_LIB_METRICS_H
#define DLO_LIB_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/compiler.h"

#define METRICS_VALUES_MAX 100

struct metrics;
struct metrics_family;

/* The value of one combination of labels; use the functions below. */
struct metrics_cell {
	struct metrics_family *family;
	struct metrics_cell *next;	/* in order of creation */
	struct metrics_cell *next_hash; /* same slot of the table */
	char **labels;			/* their values, UTF-8 */
	double value;			/* counter, gauge; histogram: sum */
	uint64_t *buckets; /* histogram: not cumulated, +Inf last */
	bool overflow;	   /* counts what had no room for a cell */
	bool hidden;	   /* what it tells of is gone */
};

typedef void metrics_render_cb(void *arg);

/* An empty registry. */
struct metrics *metrics_new(void);
/* Frees it with its families and cells; NULL is fine. */
void metrics_free(struct metrics *);

/*
 * A family; `labels` are names joined by commas, NULL for none (then its one
 * cell is there from the start, at 0). Asked again with the same shape it is
 * the same family; with another shape, or a name that Prometheus would
 * refuse, the process aborts: that is a mistake in our code. A counter's name
 * ends in _total.
 */
struct metrics_family *metrics_counter(struct metrics *, const char *name,
    const char *help, const char *labels);
struct metrics_family *metrics_gauge(struct metrics *, const char *name,
    const char *help, const char *labels);
/* `bounds`: `count` upper bounds, rising, without +Inf; copied. */
struct metrics_family *metrics_histogram(struct metrics *, const char *name,
    const char *help, const char *labels, const double *bounds, size_t count);
/* Bounds from 1 ms to 60 s that suit most waits, in seconds. */
struct metrics_family *metrics_histogram_seconds(struct metrics *,
    const char *name, const char *help, const char *labels);

/* The cell of these label values (text), made when it is new. */
#define metrics_cell(family, ...) \
	metrics_cell_get(family, \
	    (const char *const[]){ NULL, ##__VA_ARGS__ } + 1, \
	    array_len(((const char *const[]){ NULL, ##__VA_ARGS__ })) - 1)
/* As the macro: `count` values, as many as the family has labels. */
struct metrics_cell *metrics_cell_get(struct metrics_family *,
    const char *const *values, size_t count);

static inline void
metrics_add(struct metrics_cell *cell, double n)
{
	cell->value += n;
}

static inline void
metrics_inc(struct metrics_cell *cell)
{
	cell->value += 1;
}

/* Gauges only. */
static inline void
metrics_set(struct metrics_cell *cell, double value)
{
	cell->value = value;
}

/*
 * Gauges only: what it tells of is gone. It is no longer rendered, until it is
 * asked for again.
 */
void metrics_hide(struct metrics_cell *);

/* Histograms only. */
void metrics_observe(struct metrics_cell *, double value);

/* Calls `cb` before each render, to refresh gauges; until _off_render. */
void metrics_on_render(struct metrics *, metrics_render_cb *, void *arg);
void metrics_off_render(struct metrics *, metrics_render_cb *, void *arg);
/* Appends all families in the text format, version 0.0.4. */
void metrics_render(struct metrics *, struct buf *out);
/* The Content-Type of what metrics_render writes. */
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

#endif
