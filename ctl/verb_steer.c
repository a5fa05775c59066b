/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo pause, resume, cancel ID */
#include "ctl/verb_jobs.h"

#include "ctl/job_text.h"
#include "ctl/remote.h"
#include "ctl/remote_show.h"

static void
show(struct buf *out, const struct verb_call *call, const json_t *job)
{
	(void)call;
	job_text_brief(out, job);
	buf_add_u8(out, '\n');
}

static int
steer(const struct verb_call *call, const char *what)
{
	struct buf path = { 0 };

	buf_add_str(&path, "/v1/jobs/");
	remote_escape(&path, call->words[0]);
	buf_printf(&path, "/%s", what);
	return remote_show_post(call, &path, NULL, show);
}

int
verb_pause(const struct verb_call *call)
{
	return steer(call, "pause");
}

int
verb_resume(const struct verb_call *call)
{
	return steer(call, "resume");
}

int
verb_cancel(const struct verb_call *call)
{
	return steer(call, "cancel");
}
