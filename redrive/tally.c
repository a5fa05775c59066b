/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/tally.h"

void
tally_init(struct tally *t, struct metrics *m)
{
	t->dead_letters = metrics_gauge(m, "dlo_dead_letters",
	    "Dead letters in the queue, those that a job holds included.",
	    "pipeline");
	t->oldest_seconds = metrics_gauge(m, "dlo_dead_letter_oldest_seconds",
	    "Age of the oldest dead letter, as far as the last scan saw.",
	    "pipeline");
	t->redriven = metrics_counter(m, "dlo_redriven_total",
	    "Dead letters moved back to their work queue.", "pipeline");
	t->failed_again = metrics_counter(m, "dlo_redrive_failed_again_total",
	    "Redriven messages that failed again.", "pipeline");
	t->parked = metrics_counter(m, "dlo_parked_total",
	    "Dead letters parked after too many redrives.", "pipeline");
	t->progress = metrics_gauge(m, "dlo_job_progress",
	    "How much of the dead letters the job's pass is through with, "
	    "0 to 1.",
	    "pipeline");
	t->probe_healthy = metrics_gauge(m, "dlo_probe_healthy",
	    "1: the probe says that the downstream is healthy.", "downstream");
	t->active = metrics_cell(metrics_gauge(m, "dlo_active",
	    "1: this is the active redrive daemon.", NULL));
}

void
tally_pipeline_init(struct tally_pipeline *p, struct tally *t, const char *name)
{
	p->tally = t;
	p->name = name;
	p->dead_letters = NULL;
	p->oldest_seconds = NULL;
	p->redriven = metrics_cell(t->redriven, name);
	p->failed_again = metrics_cell(t->failed_again, name);
	p->parked = metrics_cell(t->parked, name);
	p->progress = metrics_cell(t->progress, name);
}

void
tally_pipeline_clear(struct tally_pipeline *p)
{
	if (p->dead_letters != NULL)
		metrics_hide(p->dead_letters);
	if (p->oldest_seconds != NULL)
		metrics_hide(p->oldest_seconds);
	metrics_hide(p->progress);
}

void
tally_depth(struct tally_pipeline *p, double count)
{
	if (p->dead_letters == NULL)
		p->dead_letters = metrics_cell(p->tally->dead_letters, p->name);
	metrics_set(p->dead_letters, count);
}

void
tally_oldest(struct tally_pipeline *p, double seconds)
{
	if (p->oldest_seconds == NULL)
		p->oldest_seconds =
		    metrics_cell(p->tally->oldest_seconds, p->name);
	metrics_set(p->oldest_seconds, seconds);
}

void
tally_probe(struct tally *t, const char *downstream, bool healthy)
{
	metrics_set(metrics_cell(t->probe_healthy, downstream), healthy);
}

void
tally_no_probe(struct tally *t, const char *downstream)
{
	metrics_hide(metrics_cell(t->probe_healthy, downstream));
}
