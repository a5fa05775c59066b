/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo feature NAME on|off */
#include "ctl/verb_jobs.h"

#include <stdio.h>
#include <string.h>

#include "ctl/remote.h"
#include "ctl/remote_show.h"
#include "lib/js.h"

static void
show(struct buf *out, const struct verb_call *call, const json_t *answer)
{
	(void)answer;
	buf_printf(out, "%s is %s\n", call->words[0], call->words[1]);
}

static int
turn(const struct verb_call *call, bool on)
{
	json_t *body = json_object();
	struct buf path = { 0 };
	int code;

	js_set_bool(body, "on", on);
	buf_add_str(&path, "/v1/features/");
	remote_escape(&path, call->words[0]);
	code = remote_show_post(call, &path, body, show);
	json_decref(body);
	return code;
}

int
verb_feature(const struct verb_call *call)
{
	bool on = strcmp(call->words[1], "on") == 0;

	if (on || strcmp(call->words[1], "off") == 0)
		return turn(call, on);
	(void)fprintf(stderr, "dlo feature: on or off is needed, not %s\n",
	    call->words[1]);
	return CLI_USAGE;
}
