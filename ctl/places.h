/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Which of the names in a broker are ours, and what each is for. Pure.
 */
#ifndef DLO_CTL_PLACES_H
#define DLO_CTL_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/conf.h"

enum place_kind {
	PLACE_NONE,   /* not ours */
	PLACE_WORK,   /* queues … */
	PLACE_LADDER, /* a level; a queue, and an exchange of that name */
	PLACE_DEAD,   /* the exchange of that sort, too */
	PLACE_PARKED,
	PLACE_ARCHIVE,
	PLACE_JOBS,
	PLACE_OTHER,   /* one that loses no message of anybody */
	PLACE_REDRIVE, /* exchanges … */
	PLACE_FOOT,    /* of a ladder */
};

struct place {
	enum place_kind kind;
	/* NULL: not of one, or of one that the configuration does not know */
	const struct conf_pipeline *pipeline;
};

/* What a queue is for. */
struct place places_queue(const struct conf *, const char *name);
/*
 * What an exchange is for. Levels above those that the configuration needs
 * are PLACE_OTHER: they are what a higher retry.cap has left.
 */
struct place places_exchange(const struct conf *, const char *name);
/* Whose messages a key of the dead-letter or redrive exchange carries. */
const struct conf_pipeline *places_key(const struct conf *, const char *key);

#endif
