/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/handler_exec.h"

#include <stdlib.h>

#include "config/conf.h"

struct handler *
handler_exec_new(struct loop *loop, const char *name,
    const struct conf_exec *conf)
{
	switch (conf->mode) {
	case CONF_EXEC_ONCE:
		return exec_once_new(loop, conf);
	case CONF_EXEC_STREAM:
		return exec_stream_new(loop, name, conf);
	}
	abort();
}
