/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo feature NAME on|off */
#include "ctl/verb_jobs.h"

#include <stdio.h>
#include <string.h>

#include "ctl/output.h"
#include "ctl/remote.h"
#include "lib/js.h"

static int
show(const struct verb_call *call, const json_t *answer)
{
	struct buf text = { 0 };
	int code;

	if (call->json)
		return output_json(answer);
	buf_printf(&text, "%s is %s\n", call->words[0], call->words[1]);
	code = output_text(&text);
	buf_clear(&text);
	return code;
}

static int
turn(const struct verb_call *call, bool on)
{
	struct remote *remote = remote_open(call->conf);
	json_t *body = json_object(), *answer = NULL;
	struct buf path = { 0 };
	int code = CLI_CONFIG;

	if (remote != NULL) {
		js_set_bool(body, "on", on);
		buf_add_str(&path, "/v1/features/");
		remote_escape(remote, &path, call->words[0]);
		code = remote_post(remote, buf_str(&path), body, &answer);
	}
	if (code == CLI_OK)
		code = show(call, answer);
	json_decref(answer);
	json_decref(body);
	buf_clear(&path);
	remote_close(remote);
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
