/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The bytes of messages in our hands, of all jobs together, against a limit.
 * Above it nothing more is to be read; it is over until three quarters are
 * left, so that the switch does not flutter. Pure.
 */
#ifndef DLO_REDRIVE_STASH_H
#define DLO_REDRIVE_STASH_H

#include <stdbool.h>
#include <stddef.h>

struct stash {
	size_t held;
	size_t limit;
	bool over;
	void (*changed)(void *arg); /* `over` is another now */
	void *arg;
};

void stash_add(struct stash *, size_t bytes);
void stash_sub(struct stash *, size_t bytes);

#endif
