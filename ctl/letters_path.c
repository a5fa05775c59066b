/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/letters_path.h"

#include "ctl/remote.h"
#include "lib/js.h"

void
letters_path(struct buf *path, const struct verb_call *call, const char *what)
{
	struct buf filter = { 0 };

	buf_add_str(path, "/v1/pipelines/");
	remote_escape(path, call->words[0]);
	buf_printf(path, "/%s?", what);
	if (call->filter != NULL) {
		js_write(&filter, call->filter);
		remote_add(path, "filter", buf_str(&filter));
	}
	buf_clear(&filter);
	if (call->queue != NULL)
		remote_add(path, "queue", call->queue);
}
