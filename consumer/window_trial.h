/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What a window does with suspects (see trial.h), and what of the window that
 * takes. Nobody but window.c and window_trial.c includes it.
 */
#ifndef DLO_CONSUMER_WINDOW_TRIAL_H
#define DLO_CONSUMER_WINDOW_TRIAL_H

#include "consumer/window.h"

/* It may be what killed those who had it before: to the ladder, marked. */
void window_trial_suspect(struct delivery *);
/* A suspect that cannot be tried (to the end): it comes back in a while. */
void window_trial_put_off(struct delivery *, const char *why);
/*
 * Sees to the suspects that wait. True: nothing else may start, for the sake
 * of one that is to be alone.
 */
bool window_trial_work(struct window *, int64_t wall_ms);
/* An attempt has been under way for so long that nobody waits for its end. */
bool window_trial_is_long(const struct window *);

/* Of window.c, for a delivery that is on none of its lists of waiting. */

/* To the dead-letter queue. `error`: see envelope_dead. */
void window_bury(struct delivery *, enum envelope_reason, int64_t wall_ms,
    const char *error);
/* To the ladder as what it is; that is no retry. */
void window_send_aside(struct delivery *, int64_t due_us);
/* Hands it over; there must be room. */
void window_start(struct delivery *);
/* It is not to be handed over, for a reason that policy_admit gave. */
void window_turn_away(struct delivery *, enum envelope_reason, int64_t wall_ms);
/* Finished before, but the broker never heard of it. */
bool window_is_duplicate(const struct delivery *);
/* Whether one more attempt may be under way. */
bool window_has_room(const struct window *);

#endif
