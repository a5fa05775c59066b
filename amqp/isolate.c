/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "amqp/isolate.h"

bool
rmq_isolate_closed(struct rmq_isolate *isolate, size_t unconfirmed)
{
	if (unconfirmed == 0)
		return false;
	if (isolate->batch == 1)
		return true;
	/* One that was not sent alone gets the benefit of the doubt. */
	isolate->batch = unconfirmed > 1 ? unconfirmed / 2 : 1;
	return false;
}

void
rmq_isolate_passed(struct rmq_isolate *isolate)
{
	if (isolate->batch < (size_t)1 << 31)
		isolate->batch *= 2;
}

void
rmq_isolate_done(struct rmq_isolate *isolate)
{
	isolate->batch = 0;
}
