/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/job_event.h"

#include <stdlib.h>

#include "lib/xalloc.h"
#include "redrive/registry.h"

static const char *const kinds[] = { "job" };

struct job_events {
	struct event_teller *teller;
};

struct job_events *
job_events_new(const struct event_env *env)
{
	struct event_env own = *env;
	struct job_events *je = xcalloc(1, sizeof(*je));

	own.app = "dlo-redrive";
	own.kinds = kinds;
	own.kind_count = array_len(kinds);
	je->teller = event_teller_new(&own);
	return je;
}

void
job_events_free(struct job_events *je)
{
	if (je == NULL)
		return;
	event_teller_free(je->teller);
	free(je);
}

void
job_events_tell(struct job_events *je, const struct registry_job *job)
{
	const struct job_report *report = &job->report;
	struct buf *out = event_begin(je->teller, 0);

	event_add_str(out, "pipeline", job->pipeline);
	event_add_str(out, "job", job->id);
	event_add_str(out, "action", job->action);
	event_add_bool(out, "dry_run", job->dry_run);
	event_add_str(out, "trigger", job->trigger);
	event_add_some(out, "who", rmq_slice_of(job->who));
	event_add_str(out, "state", registry_state_name(job->state));
	if (report->end != JOB_UNDER_WAY)
		event_add_str(out, "end", report_end_name(report->end));
	event_add_some(out, "why", rmq_slice_of(report->why));
	event_add_int(out, "moved", (int64_t)report_moved(report));
	event_add_int(out, "failed_again", (int64_t)report->failed_again);
	event_add_number(out, "progress", report->progress);
	event_tell(je->teller, 0, job->pipeline);
}
