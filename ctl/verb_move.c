/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo redrive, delete, restore, park, unpark: each makes a job. */
#include "ctl/verb_jobs.h"

#include <stdio.h>

#include "ctl/job_text.h"
#include "ctl/output.h"
#include "ctl/remote.h"
#include "ctl/remote_show.h"
#include "ctl/wait.h"
#include "lib/js.h"

static json_t *
request_of(const struct verb_call *call, const char *action)
{
	json_t *body = json_object();

	js_set_text(body, "pipeline", call->words[0]);
	js_set_text(body, "action", action);
	if (call->filter != NULL)
		js_set(body, "filter", json_incref(call->filter));
	if (call->rate >= 0)
		js_set_int(body, "rate", call->rate);
	if (call->max >= 0)
		js_set_int(body, "max", call->max);
	if (call->canary >= 0)
		js_set_int(body, "canary", call->canary);
	if (call->dry_run)
		js_set_bool(body, "dry_run", true);
	if (call->force)
		js_set_bool(body, "force", true);
	return body;
}

/* Once the job is made: its line, or its end. */
static void
show(struct buf *out, const struct verb_call *call, const json_t *job)
{
	bool ended = job_text_has_ended(job);

	if (ended && call->dry_run && job_text_exit_code(job) == CLI_OK) {
		job_text_would(out, job);
		return;
	}
	if (ended) {
		buf_printf(out, "%s: ", output_member(job, "id"));
		job_text_state(out, job);
		buf_add_str(out, ": ");
		job_text_did(out, job);
	} else {
		job_text_brief(out, job);
		if (output_member(job, "id") != NULL)
			buf_printf(out, "\n`dlo job %s` shows how far it is.",
			    output_member(job, "id"));
	}
	buf_add_u8(out, '\n');
}

static int
make_job(const struct verb_call *call, const char *action,
    struct remote *remote)
{
	json_t *body = request_of(call, action), *job, *ended = NULL;
	int code = remote_post(remote, "/v1/jobs", body, &job);

	/* A dry run has nothing to say before its end. */
	if (code == CLI_OK && (call->wait || call->dry_run) &&
	    output_member(job, "id") != NULL) {
		code = wait_for(remote, output_member(job, "id"), &ended);
		json_decref(job);
		job = ended;
	}
	if (code == CLI_OK)
		code = remote_show(call, job, show);
	if (code == CLI_OK)
		code = job_text_exit_code(job);
	json_decref(job);
	json_decref(body);
	return code;
}

static int
move(const struct verb_call *call, const char *action)
{
	struct remote *remote;
	int code;

	if (call->filter == NULL && !call->all) {
		(void)fprintf(stderr,
		    "dlo %s: a filter is needed, or --all for every letter\n",
		    action);
		return CLI_USAGE;
	}
	if (call->filter != NULL && call->all) {
		(void)fprintf(stderr,
		    "dlo %s: --all and a filter contradict each other\n",
		    action);
		return CLI_USAGE;
	}
	remote = remote_open(call->conf);
	if (remote == NULL)
		return CLI_CONFIG;
	code = make_job(call, action, remote);
	remote_close(remote);
	return code;
}

int
verb_redrive(const struct verb_call *call)
{
	return move(call, "redrive");
}

int
verb_delete(const struct verb_call *call)
{
	return move(call, "delete");
}

int
verb_restore(const struct verb_call *call)
{
	return move(call, "restore");
}

int
verb_park(const struct verb_call *call)
{
	return move(call, "park");
}

int
verb_unpark(const struct verb_call *call)
{
	return move(call, "unpark");
}
