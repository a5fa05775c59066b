/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* A plugin that says ok to everything: what plugins cost by themselves. */
#include "include/dlo/handler.h"

static const struct dlo_host *host;

static const char *
init(const struct dlo_host *the_host, const struct dlo_setup *setup,
    void **self)
{
	(void)setup;
	*self = NULL;
	host = the_host;
	return NULL;
}

static void
handle(void *self, const struct dlo_message *message)
{
	struct dlo_verdict verdict = DLO_VERDICT_INIT;

	(void)self;
	verdict.outcome = DLO_OK;
	host->complete(host, message->call, &verdict);
}

const struct dlo_handler dlo_handler = { DLO_HANDLER_HEAD, "noop", init, handle,
	NULL, NULL };
