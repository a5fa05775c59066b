/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What the files of the registry share: its items, and their life. registry.c
 * is its outside and what the board says, registry_life.c how jobs begin and
 * end, registry_wish.c what is asked for.
 */
#ifndef DLO_REDRIVE_REGISTRY_CORE_H
#define DLO_REDRIVE_REGISTRY_CORE_H

#include "lib/loop.h"
#include "redrive/board.h"
#include "redrive/registry.h"
#include "redrive/registry_job.h"

#define REGISTRY_JOB_PREFIX  "job/"
#define REGISTRY_FEATURE_KEY "feature/redrive"

TAILQ_HEAD(registry_items, registry_item);

struct registry {
	struct registry_env env;
	const struct registry_cbs *cbs;
	void *arg;
	struct board *board;
	char *instance;		     /* the board's, unique */
	struct registry_items items; /* the newest first */
	size_t count;
	bool said;	 /* somebody turned redriving on or off */
	bool redrive_on; /* ... and so it is */
	registry_changed_cb *changed;
	void *changed_arg;
	struct loop_task tell;
};

/* Says that something has changed, at the end of this turn. */
void registry_tell(struct registry *);

/* NULL: there is none. */
struct registry_item *registry_item_find(const struct registry *,
    const char *id);
struct registry_item *registry_item_of_key(const struct registry *,
    const char *key);
struct registry_item *registry_item_current(const struct registry *,
    const char *pipeline);
void registry_item_insert(struct registry *, struct registry_item *);
void registry_item_remove(struct registry *, struct registry_item *);
/* The key of its record. */
void registry_key(char key[BOARD_KEY_SPACE], const struct registry_item *);
/* Writes the record as it is now, and tells of it. */
void registry_item_put(struct registry *, struct registry_item *);

/* Runs it, if everything is as it must be; or ends it, if it is to end. */
void registry_begin(struct registry *, struct registry_item *);
/* Whether it is held by an operator. */
bool registry_is_held(const struct registry *, const struct registry_item *);

/* An entry for the audit. */
json_t *registry_entry_new(struct registry *, const char *what, const char *who,
    const char *from) must_use;
/*
 * Enters something about a job; `source` NULL: by who wanted the job. `bit`:
 * see registry_job.h.
 */
void registry_enter(struct registry *, struct registry_item *, const char *what,
    const struct registry_source *source, unsigned bit);

/* See board_cbs: deals with a request, and settles it. */
void registry_serve(struct registry *, const struct board_request *);

#endif
