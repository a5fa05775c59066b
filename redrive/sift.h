/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Each dead letter that a pass sees: judged, counted, told to whom it
 * concerns. Says which are to be moved.
 */
#ifndef DLO_REDRIVE_SIFT_H
#define DLO_REDRIVE_SIFT_H

#include <stdbool.h>
#include <stdint.h>

#include "redrive/judge.h"

struct census;
struct job_env;
struct rmq_message;
struct watch;

/* What it points to must outlive it. */
struct sift {
	const struct job_env *env;
	const char *work_queue;
	struct judge judge;
	struct census *census; /* not NULL: a dry run, counted there */
	struct watch *watch;   /* is told what is dead again; or NULL */
	/* Of one pass */
	bool looking; /* it moves nothing */
	uint64_t counts[JUDGE_COUNT];
	int64_t oldest_ms; /* when the oldest that stays died; 0: unknown */
	/* The same of the pass before. */
	uint64_t last_counts[JUDGE_COUNT];
	int64_t last_oldest_ms;
};

/* Begins another pass. */
void sift_restart(struct sift *, bool looking);
/* It saw nothing, and would have seen what the one before left. */
void sift_keep(struct sift *);
/*
 * One letter. True: it is to be moved, and *action says how. `wanted`: there
 * may be more of those.
 */
bool sift_letter(struct sift *, const struct rmq_message *, bool redelivered,
    bool wanted, enum action *action) must_use;
/* Letters that a dry run would move, so far. */
uint64_t sift_would_move(const struct sift *);

#endif
