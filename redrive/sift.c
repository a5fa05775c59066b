/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/sift.h"

#include <string.h>

#include "dlx/envelope.h"
#include "redrive/census.h"
#include "redrive/job_env.h"
#include "redrive/watch.h"

void
sift_restart(struct sift *sift, bool looking)
{
	sift->looking = looking;
	sift->last_oldest_ms = sift->oldest_ms;
	memcpy(sift->last_counts, sift->counts, sizeof(sift->counts));
	sift->oldest_ms = 0;
	memset(sift->counts, 0, sizeof(sift->counts));
}

void
sift_keep(struct sift *sift)
{
	sift->oldest_ms = sift->last_oldest_ms;
	memcpy(sift->counts, sift->last_counts, sizeof(sift->counts));
	/* These did not stay. */
	sift->counts[JUDGE_MOVE] = sift->counts[JUDGE_PARK] = 0;
}

static void
note_stay(struct sift *sift, const struct envelope *e)
{
	int64_t since_ms = envelope_dead_since_ms(e);

	if (since_ms > 0 &&
	    (sift->oldest_ms == 0 || since_ms < sift->oldest_ms))
		sift->oldest_ms = since_ms;
}

static bool
judge(struct sift *sift, const struct envelope *e, bool wanted,
    enum action *action)
{
	enum judge_verdict verdict = judge_letter(&sift->judge, e);
	bool moves = verdict == JUDGE_MOVE || verdict == JUDGE_PARK;

	if (verdict == JUDGE_AGAIN && sift->watch != NULL)
		watch_dead(sift->watch, e->id);
	if (moves && !wanted) {
		note_stay(sift, e);
		return false;
	}
	sift->counts[verdict]++;
	if (moves && sift->census != NULL)
		census_add(sift->census, e);
	*action = verdict == JUDGE_PARK ? ACTION_PARK : sift->judge.action;
	if (moves && sift->census == NULL && !sift->looking)
		return true;
	note_stay(sift, e);
	return false;
}

bool
sift_letter(struct sift *sift, const struct rmq_message *message,
    bool redelivered, bool wanted, enum action *action)
{
	const struct envelope_origin origin = {
		.queue = sift->work_queue,
		.dead = true,
		.redelivered = redelivered,
	};
	struct envelope e;
	bool moves;

	envelope_read(&e, message, &origin, sift->env->trusted,
	    sift->env->loop);
	moves = judge(sift, &e, wanted, action);
	envelope_clear(&e);
	return moves;
}

uint64_t
sift_would_move(const struct sift *sift)
{
	return sift->counts[JUDGE_MOVE] + sift->counts[JUDGE_PARK];
}
