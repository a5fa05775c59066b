/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/handler.h"

struct handler_call *
handler_start(struct handler *handler, const struct attempt *attempt,
    handler_done_cb *done, void *arg)
{
	return handler->ops->start(handler, attempt, done, arg);
}

void
handler_cancel(struct handler_call *call)
{
	call->handler->ops->cancel(call);
}

void
handler_free(struct handler *handler)
{
	if (handler != NULL)
		handler->ops->free(handler);
}
