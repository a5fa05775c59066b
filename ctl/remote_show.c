/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/remote_show.h"

#include "ctl/output.h"
#include "ctl/remote.h"

int
remote_show(const struct verb_call *call, const json_t *answer,
    remote_show_cb *show)
{
	struct buf text = { 0 };
	int code;

	if (call->json)
		return output_json(answer);
	show(&text, call, answer);
	code = output_text(&text);
	buf_clear(&text);
	return code;
}

static int
ask(const struct verb_call *call, struct buf *path, bool post,
    const json_t *body, remote_show_cb *show)
{
	struct remote *remote = remote_open(call->conf);
	json_t *answer = NULL;
	int code = CLI_CONFIG;

	if (remote != NULL && post)
		code = remote_post(remote, buf_str(path), body, &answer);
	else if (remote != NULL)
		code = remote_get(remote, buf_str(path), &answer);
	if (code == CLI_OK)
		code = remote_show(call, answer, show);
	json_decref(answer);
	buf_clear(path);
	remote_close(remote);
	return code;
}

int
remote_show_get(const struct verb_call *call, struct buf *path,
    remote_show_cb *show)
{
	return ask(call, path, false, NULL, show);
}

int
remote_show_post(const struct verb_call *call, struct buf *path,
    const json_t *body, remote_show_cb *show)
{
	return ask(call, path, true, body, show);
}
