/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/job_event.h"

#include <stdlib.h>

#include "lib/xalloc.h"
#include "redrive/registry.h"

static const char *const kinds[] = { "job" };

struct job_events {
	struct teller *teller;
};

struct job_events *
job_events_new(const struct teller_env *env)
{
	struct teller_env own = *env;
	struct job_events *je = xcalloc(1, sizeof(*je));

	own.app = "dlo-redrive";
	own.kinds = kinds;
	own.kind_count = array_len(kinds);
	je->teller = teller_new(&own);
	return je;
}

void
job_events_free(struct job_events *je)
{
	if (je == NULL)
		return;
	teller_free(je->teller);
	free(je);
}

void
job_events_tell(struct job_events *je, const struct registry_job *job)
{
	const struct job_report *report = &job->report;
	struct buf *out = teller_begin(je->teller, 0);

	teller_add_str(out, "pipeline", job->pipeline);
	teller_add_str(out, "job", job->id);
	teller_add_str(out, "action", job->action);
	teller_add_bool(out, "dry_run", job->dry_run);
	teller_add_str(out, "trigger", job->trigger);
	teller_add_some(out, "who", rmq_slice_of(job->who));
	teller_add_str(out, "state", registry_state_name(job->state));
	if (report->end != JOB_UNDER_WAY)
		teller_add_str(out, "end", report_end_name(report->end));
	teller_add_some(out, "why", rmq_slice_of(report->why));
	teller_add_int(out, "moved", (int64_t)report_moved(report));
	teller_add_int(out, "failed_again", (int64_t)report->failed_again);
	teller_add_number(out, "progress", report->progress);
	teller_tell(je->teller, 0, job->pipeline);
}
