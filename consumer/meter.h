/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The consumer's metrics: the families, and the cells of one pipeline looked
 * up once, so that counting a message is an addition.
 */
#ifndef DLO_CONSUMER_METER_H
#define DLO_CONSUMER_METER_H

#include <stdint.h>

#include "dlx/envelope.h"
#include "downstream/verdict.h"
#include "lib/metrics.h"

/* What became of a delivery. */
enum meter_result {
	METER_OK,	 /* processed, acked */
	METER_DUPLICATE, /* processed before, acked */
	METER_RETRY,	 /* its copy is on the ladder, acked */
	METER_DEAD,	 /* its copy is in the dead-letter queue, acked */
	METER_DROPPED,	 /* its channel went: the broker delivers it again */
	METER_RESULT_COUNT
};

/* What the broker did to us. */
enum meter_fault {
	METER_CONNECTION_LOST,
	METER_BLOCKED,
	METER_CHANNEL_CLOSED,
	METER_CONSUMER_CANCELLED,
	METER_QUEUE_GONE,
	METER_CONSUMER_TIMEOUT,
	METER_GIVEN_BACK, /* held too long */
	METER_CLOCK_JUMP,
	METER_FAULT_COUNT
};

enum meter_link { METER_CONSUME, METER_PUBLISH, METER_LINK_COUNT };

/* All pipelines'. */
struct meter {
	struct metrics *metrics;
	struct metrics_family *attempts;
	struct metrics_cell *faults[METER_FAULT_COUNT];
	struct metrics_cell *connected[METER_LINK_COUNT];
	struct metrics_cell *blocked[METER_LINK_COUNT];
	struct metrics_cell *confirm_seconds;
	struct metrics_cell *inflight_bytes;
};

/* One pipeline's. */
struct meter_pipeline {
	struct meter *meter;
	const char *name;
	struct metrics_cell *deliveries;
	struct metrics_cell *settled[METER_RESULT_COUNT];
	struct metrics_cell *inflight;
	struct metrics_cell *held;
	struct metrics_cell *handler_seconds;
	struct metrics_cell *retry_held;
	struct metrics_cell *retry_laddered;
	struct metrics_cell *returned;
	struct metrics_cell *ruled[OUTCOME_REJECT + 1];
	struct metrics_cell *dead[ENVELOPE_REASON_COUNT];
	/* The last class of each outcome and its cell: most repeat. */
	struct {
		char class[VERDICT_CLASS_SPACE];
		struct metrics_cell *cell;
	} last[OUTCOME_REJECT + 1];
};

/* Makes the families; cells belong to `metrics`. */
void meter_init(struct meter *, struct metrics *);
/* `name` must outlive it. */
void meter_pipeline_init(struct meter_pipeline *, struct meter *,
    const char *name);
/* The pipeline is gone: its gauges go, what was counted stays. */
void meter_pipeline_clear(struct meter_pipeline *);
/* Counts an attempt and its time. */
void meter_attempt(struct meter_pipeline *, const struct verdict *,
    int64_t handler_us);

#endif
