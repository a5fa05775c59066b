/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/looks.h"

#include <stdlib.h>

#include "lib/xalloc.h"

struct look {
	struct looks *looks;
	struct survey_options options;
	const struct look_cbs *cbs; /* NULL: nobody listens any more */
	void *arg;
	struct survey *survey; /* NULL: waiting */
	bool pull;
	TAILQ_ENTRY(look) entry; /* while waiting */
};

static void start_next(struct looks *);

static void
on_letter(void *arg, const struct envelope *e,
    const struct rmq_message *message)
{
	struct look *look = arg;

	if (look->cbs != NULL)
		look->cbs->letter(look->arg, e, message);
}

static void
on_seen(void *arg)
{
	struct look *look = arg;

	if (look->cbs != NULL)
		look->cbs->seen(look->arg);
}

static void
on_shown(void *arg, const char *why)
{
	struct look *look = arg;
	const struct look_cbs *cbs = look->cbs;

	look->cbs = NULL;
	if (cbs != NULL)
		cbs->shown(look->arg, why);
}

static void
on_ended(void *arg)
{
	struct look *look = arg;
	struct looks *looks = look->looks;

	survey_free(look->survey);
	free(look);
	looks->current = NULL;
	start_next(looks);
	looks->changed(looks->arg);
}

static void
start_next(struct looks *looks)
{
	static const struct survey_cbs cbs = { on_letter, on_seen, on_shown,
		on_ended };
	struct look *look = TAILQ_FIRST(&looks->waiting);

	if (look == NULL || looks->current != NULL || looks->held ||
	    looks->drained || looks->conn == NULL)
		return;
	TAILQ_REMOVE(&looks->waiting, look, entry);
	looks->current = look;
	look->survey = survey_new(&look->options, looks->conn, &cbs, look);
	survey_pull(look->survey, look->pull);
}

void
looks_init(struct looks *looks, void (*changed)(void *), void *arg)
{
	*looks = (struct looks){ .changed = changed, .arg = arg };
	TAILQ_INIT(&looks->waiting);
}

void
looks_clear(struct looks *looks)
{
	struct look *look;

	if (looks->current != NULL) {
		survey_free(looks->current->survey);
		free(looks->current);
		looks->current = NULL;
	}
	while ((look = TAILQ_FIRST(&looks->waiting)) != NULL) {
		TAILQ_REMOVE(&looks->waiting, look, entry);
		free(look);
	}
}

void
looks_link(struct looks *looks, struct rmq_conn *conn)
{
	looks->conn = conn;
	if (conn == NULL && looks->current != NULL)
		survey_detach(looks->current->survey);
	start_next(looks);
}

void
looks_hold(struct looks *looks, bool on)
{
	looks->held = on;
	start_next(looks);
}

void
looks_drain(struct looks *looks)
{
	looks->drained = true;
	if (looks->current != NULL)
		survey_drain(looks->current->survey, "this daemon stops");
}

bool
looks_are_busy(const struct looks *looks)
{
	return looks->current != NULL;
}

bool
looks_are_wanted(const struct looks *looks)
{
	return looks->current != NULL || !TAILQ_EMPTY(&looks->waiting);
}

struct look *
look_new(struct looks *looks, const struct survey_options *options,
    const struct look_cbs *cbs, void *arg)
{
	struct look *look = xcalloc(1, sizeof(*look));

	look->looks = looks;
	look->options = *options;
	look->cbs = cbs;
	look->arg = arg;
	look->pull = true;
	TAILQ_INSERT_TAIL(&looks->waiting, look, entry);
	start_next(looks);
	if (looks->current == look)
		looks->changed(looks->arg);
	return look;
}

void
look_cancel(struct look *look)
{
	struct looks *looks = look->looks;

	look->cbs = NULL;
	if (look->survey != NULL) {
		survey_stop(look->survey, "cancelled");
		return;
	}
	TAILQ_REMOVE(&looks->waiting, look, entry);
	free(look);
	looks->changed(looks->arg);
}

void
look_pull(struct look *look, bool on)
{
	look->pull = on;
	if (look->survey != NULL)
		survey_pull(look->survey, on);
}

uint64_t
look_total(const struct look *look)
{
	return look->survey != NULL ? survey_total(look->survey) : 0;
}

uint64_t
look_seen(const struct look *look)
{
	return look->survey != NULL ? survey_seen(look->survey) : 0;
}
