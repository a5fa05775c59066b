/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/stash.h"

void
stash_add(struct stash *stash, size_t bytes)
{
	stash->held += bytes;
	if (!stash->over && stash->held > stash->limit) {
		stash->over = true;
		stash->changed(stash->arg);
	}
}

void
stash_sub(struct stash *stash, size_t bytes)
{
	stash->held -= bytes;
	if (stash->over && stash->held <= stash->limit / 4 * 3) {
		stash->over = false;
		stash->changed(stash->arg);
	}
}
