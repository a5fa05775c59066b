/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/budget.h"

void
budget_take(struct budget *b, uint64_t bytes)
{
	b->used_bytes += bytes;
	if (b->full || b->used_bytes + b->partial_bytes(b->arg) <= b->max_bytes)
		return;
	b->full = true;
	b->changed(b->arg, true);
}

void
budget_give(struct budget *b, uint64_t bytes)
{
	b->used_bytes -= bytes;
	if (!b->full)
		return;
	/* A quarter below the limit: not on and off with each message. */
	if (b->used_bytes != 0 &&
	    b->used_bytes + b->partial_bytes(b->arg) >
		b->max_bytes - b->max_bytes / 4)
		return;
	b->full = false;
	b->changed(b->arg, false);
}

void
budget_limit(struct budget *b, uint64_t max_bytes)
{
	b->max_bytes = max_bytes;
	budget_take(b, 0);
	budget_give(b, 0);
}

void
budget_reset(struct budget *b)
{
	if (!b->full)
		return;
	b->full = false;
	b->changed(b->arg, false);
}
