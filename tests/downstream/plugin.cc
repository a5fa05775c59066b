/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The header as C++ sees it: scripts/lint compiles this, nobody runs it. */
#include "include/dlo/handler.h"

static const char *
init(const dlo_host *host, const dlo_setup *setup, void **self)
{
	*self = const_cast<dlo_host *>(host);
	return setup->config_len == 0 ? "no configuration" : nullptr;
}

static void
handle(void *self, const dlo_message *message)
{
	const dlo_host *host = static_cast<const dlo_host *>(self);
	dlo_verdict verdict = DLO_VERDICT_INIT;
	dlo_header header = DLO_HEADER_INIT;

	while (host->header_next(host, message, &header) == 1)
		host->log(host, DLO_DEBUG, header.name.ptr);
	verdict.outcome = DLO_OK;
	host->complete(host, message->call, &verdict);
}

const struct dlo_handler dlo_handler = { DLO_HANDLER_HEAD, "in C++", init,
	handle, nullptr, nullptr };
