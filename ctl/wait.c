/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/wait.h"

#include <stdio.h>
#include <unistd.h>

#include "ctl/job_text.h"
#include "lib/cli.h"
#include "lib/loop_libevent.h"

#define BAR_WIDE  40
#define LINE_WIDE 99
#define ASK_MS	  500
#define TRIES_MAX 60 /* in a row, without an answer */

static void
draw(const json_t *job)
{
	double progress = json_number_value(json_object_get(job, "progress"));
	int full = (int)(progress * BAR_WIDE);
	struct buf text = { 0 };

	buf_printf(&text, "[%.*s%*s] %3d %%  ", full,
	    "########################################", BAR_WIDE - full, "",
	    (int)(progress * 100));
	job_text_did(&text, job);
	(void)fprintf(stderr, "\r%-*.*s", LINE_WIDE, LINE_WIDE, buf_str(&text));
	buf_clear(&text);
}

static void
on_pause_over(void *arg)
{
	loop_stop(arg);
}

int
wait_for(struct remote *remote, const char *id, json_t **ended)
{
	struct loop *loop = loop_libevent_new();
	struct loop_timer *pause = loop_timer_new(loop, on_pause_over, loop);
	bool terminal = isatty(STDERR_FILENO) == 1;
	struct buf path = { 0 };
	unsigned tries = 0;
	json_t *job = NULL;
	int code;

	buf_add_str(&path, "/v1/jobs/");
	remote_escape(&path, id);
	for (;;) {
		code = remote_get(remote, buf_str(&path), &job);
		tries = code == CLI_UNREACHABLE ? tries + 1 : 0;
		if (code == CLI_OK && terminal)
			draw(job);
		if (code == CLI_OK ? job_text_has_ended(job)
				   : tries == 0 || tries == TRIES_MAX)
			break;
		json_decref(job);
		loop_timer_start(loop, pause, ASK_MS);
		loop_run(loop);
	}
	if (terminal)
		(void)fputc('\n', stderr);
	buf_clear(&path);
	loop_timer_free(loop, pause);
	loop_free(loop);
	*ended = job;
	return code;
}
