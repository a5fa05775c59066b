/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo pause, resume, cancel ID */
#include "ctl/verb_jobs.h"

#include "ctl/job_text.h"
#include "ctl/output.h"
#include "ctl/remote.h"

static int
show(const json_t *job)
{
	struct buf text = { 0 };
	int code;

	job_text_brief(&text, job);
	buf_add_u8(&text, '\n');
	code = output_text(&text);
	buf_clear(&text);
	return code;
}

static int
steer(const struct verb_call *call, const char *what)
{
	struct remote *remote = remote_open(call->conf);
	struct buf path = { 0 };
	json_t *answer;
	int code;

	if (remote == NULL)
		return CLI_CONFIG;
	buf_add_str(&path, "/v1/jobs/");
	remote_escape(remote, &path, call->words[0]);
	buf_printf(&path, "/%s", what);
	code = remote_post(remote, buf_str(&path), NULL, &answer);
	if (code == CLI_OK)
		code = call->json ? output_json(answer) : show(answer);
	json_decref(answer);
	buf_clear(&path);
	remote_close(remote);
	return code;
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
