/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/meter.h"

#include <string.h>

static const char *const result_names[METER_RESULT_COUNT] = {
	[METER_OK] = "ok",
	[METER_DUPLICATE] = "duplicate",
	[METER_RETRY] = "retry",
	[METER_DEAD] = "dead",
	[METER_DROPPED] = "dropped",
};

static const char *const fault_names[METER_FAULT_COUNT] = {
	[METER_CONNECTION_LOST] = "connection_lost",
	[METER_BLOCKED] = "blocked",
	[METER_CHANNEL_CLOSED] = "channel_closed",
	[METER_CONSUMER_CANCELLED] = "consumer_cancelled",
	[METER_QUEUE_GONE] = "queue_gone",
	[METER_CONSUMER_TIMEOUT] = "consumer_timeout",
	[METER_GIVEN_BACK] = "given_back",
	[METER_CLOCK_JUMP] = "clock_jump",
};

static const char *const link_names[METER_LINK_COUNT] = {
	[METER_CONSUME] = "consume",
	[METER_PUBLISH] = "publish",
};

void
meter_init(struct meter *m, struct metrics *metrics)
{
	struct metrics_family *faults =
	    metrics_counter(metrics, "dlo_broker_faults_total",
		"What the broker or the network did to us, recovered from.",
		"kind");
	struct metrics_family *connected =
	    metrics_gauge(metrics, "dlo_broker_connected",
		"Whether the connection is up.", "connection");
	struct metrics_family *blocked =
	    metrics_gauge(metrics, "dlo_broker_blocked",
		"Whether the broker reads no publishes.", "connection");

	m->metrics = metrics;
	m->attempts = metrics_counter(metrics, "dlo_attempts_total",
	    "Hand-overs to the handler that came to a verdict.",
	    "pipeline,outcome,class");
	for (int i = 0; i < METER_FAULT_COUNT; i++)
		m->faults[i] = metrics_cell(faults, fault_names[i]);
	for (int i = 0; i < METER_LINK_COUNT; i++) {
		m->connected[i] = metrics_cell(connected, link_names[i]);
		m->blocked[i] = metrics_cell(blocked, link_names[i]);
	}
	m->confirm_seconds = metrics_cell(
	    metrics_histogram_seconds(metrics, "dlo_confirm_seconds",
		"From sending a copy to the broker's verdict on it.", NULL));
	m->inflight_bytes =
	    metrics_cell(metrics_gauge(metrics, "dlo_inflight_bytes",
		"Memory of the messages in our hands.", NULL));
}

/* The families that have the pipeline as their only label. */
static void
init_plain(struct meter_pipeline *p, struct metrics *m)
{
	p->deliveries =
	    metrics_cell(metrics_counter(m, "dlo_deliveries_total",
			     "Messages delivered to us.", "pipeline"),
		p->name);
	p->inflight = metrics_cell(metrics_gauge(m, "dlo_inflight",
				       "Attempts under way.", "pipeline"),
	    p->name);
	p->held = metrics_cell(metrics_gauge(m, "dlo_held",
				   "Messages waiting in memory for their next "
				   "attempt.",
				   "pipeline"),
	    p->name);
	p->handler_seconds =
	    metrics_cell(metrics_histogram_seconds(m, "dlo_handler_seconds",
			     "How long attempts took.", "pipeline"),
		p->name);
	p->returned =
	    metrics_cell(metrics_counter(m, "dlo_publish_returned_total",
			     "Copies that no queue took; each is tried again.",
			     "pipeline"),
		p->name);
}

void
meter_pipeline_init(struct meter_pipeline *p, struct meter *meter,
    const char *name)
{
	struct metrics *m = meter->metrics;
	struct metrics_family *settled = metrics_counter(m, "dlo_settled_total",
	    "Deliveries by what became of them.", "pipeline,result");
	struct metrics_family *retry =
	    metrics_counter(m, "dlo_retry_scheduled_total",
		"Next attempts by where they wait.", "pipeline,where");
	struct metrics_family *dead = metrics_counter(m,
	    "dlo_dead_lettered_total",
	    "Copies confirmed by the dead-letter queue.", "pipeline,reason");
	struct metrics_family *ruled =
	    metrics_counter(m, "dlo_rule_outcomes_total",
		"Failures that a rule made another outcome, by that.",
		"pipeline,outcome");

	memset(p, 0, sizeof(*p));
	p->meter = meter;
	p->name = name;
	init_plain(p, m);
	for (int i = 0; i < METER_RESULT_COUNT; i++)
		p->settled[i] = metrics_cell(settled, name, result_names[i]);
	for (int i = 0; i <= OUTCOME_REJECT; i++)
		p->ruled[i] = metrics_cell(ruled, name,
		    verdict_outcome_name((enum outcome)i));
	p->retry_held = metrics_cell(retry, name, "hold");
	p->retry_laddered = metrics_cell(retry, name, "ladder");
	for (int i = ENVELOPE_REJECTED; i < ENVELOPE_BROKER_EXPIRED; i++)
		p->dead[i] = metrics_cell(dead, name,
		    envelope_reason_name((enum envelope_reason)i));
}

void
meter_pipeline_clear(struct meter_pipeline *p)
{
	metrics_hide(p->inflight);
	metrics_hide(p->held);
}

void
meter_attempt(struct meter_pipeline *p, const struct verdict *verdict,
    int64_t handler_us)
{
	typeof(&p->last[0]) last = &p->last[verdict->outcome];

	if (last->cell == NULL || strcmp(last->class, verdict->class) != 0) {
		last->cell = metrics_cell(p->meter->attempts, p->name,
		    verdict_outcome_name(verdict->outcome), verdict->class);
		memcpy(last->class, verdict->class, sizeof(last->class));
	}
	metrics_inc(last->cell);
	metrics_observe(p->handler_seconds, (double)handler_us * 1e-6);
}
