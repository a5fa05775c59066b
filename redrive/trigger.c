/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/trigger.h"

#include <stdlib.h>

#include "config/conf.h"
#include "lib/cron.h"

/* How often the wall clock is looked at, if it matters. */
#define LOOK_MS 60000
/* Less than this set back is a correction: what was seen stays seen. */
#define SET_BACK_MS (3 * INT64_C(3600000))

void
trigger_init(struct trigger *t, const struct conf_redrive *conf, int64_t now_ms)
{
	*t = (struct trigger){
		.conf = conf,
		.start_ms = now_ms,
		.seen_ms = now_ms,
		.cool_ms = INT64_MIN,
	};
}

void
trigger_health(struct trigger *t, bool healthy)
{
	if (healthy && !t->healthy) {
		for (size_t i = 0; i < t->conf->when_count; i++) {
			if (t->conf->when[i].kind == CONF_TRIGGER_HEALTHY)
				t->pending |= TRIGGER_HEALTHY;
		}
	}
	t->healthy = healthy;
}

/* How many multiples of `every_ms` have passed at that time. */
static int64_t
multiples(const struct trigger *t, int64_t every_ms, int64_t at_ms)
{
	return (at_ms - t->start_ms) / every_ms;
}

/* The next crontab time after that one; INT64_MAX: there is none. */
static int64_t
next_cron_ms(const struct conf_trigger *when, int64_t wall_ms)
{
	const char *why;
	struct cron cron;

	/* The configuration lets no other text through. */
	if (cron_parse(when->cron, &cron, &why) == -1)
		abort();
	return cron_next_ms(&cron, wall_ms);
}

static void
see_time(struct trigger *t, int64_t now_ms, int64_t wall_ms)
{
	/* Set back by much, the clock was wrong before: begin anew. */
	if (wall_ms < t->seen_wall_ms - SET_BACK_MS)
		t->seen_wall_ms = wall_ms;
	for (size_t i = 0; i < t->conf->when_count; i++) {
		const struct conf_trigger *when = &t->conf->when[i];

		if (when->kind == CONF_TRIGGER_EVERY &&
		    multiples(t, when->every_ms, now_ms) >
			multiples(t, when->every_ms, t->seen_ms))
			t->pending |= TRIGGER_EVERY;
		if (when->kind == CONF_TRIGGER_CRON &&
		    next_cron_ms(when, t->seen_wall_ms) <= wall_ms)
			t->pending |= TRIGGER_CRON;
	}
	t->seen_ms = now_ms;
	if (wall_ms > t->seen_wall_ms)
		t->seen_wall_ms = wall_ms;
}

unsigned
trigger_take(struct trigger *t, int64_t now_ms, int64_t wall_ms)
{
	unsigned reasons;

	if (!t->enabled)
		return 0;
	see_time(t, now_ms, wall_ms);
	if (t->pending == 0 || t->running || !t->healthy || now_ms < t->cool_ms)
		return 0;
	reasons = t->pending;
	t->pending = 0;
	t->running = true;
	return reasons;
}

void
trigger_ended(struct trigger *t, int64_t now_ms)
{
	t->running = false;
	t->cool_ms = now_ms + t->conf->cooldown_ms;
}

void
trigger_put_back(struct trigger *t, unsigned reasons)
{
	t->running = false;
	t->pending |= reasons;
}

void
trigger_enable(struct trigger *t, int64_t now_ms, int64_t wall_ms, bool handled)
{
	t->enabled = true;
	t->seen_ms = now_ms;
	t->seen_wall_ms = wall_ms;
	if (handled)
		t->pending = 0;
}

void
trigger_disable(struct trigger *t)
{
	t->enabled = false;
	t->running = false;
}

/* Monotonic; a minute from now at the latest. */
static int64_t
cron_due_ms(const struct trigger *t, const struct conf_trigger *when,
    int64_t now_ms, int64_t wall_ms)
{
	int64_t next_ms = next_cron_ms(when, t->seen_wall_ms);

	if (next_ms > wall_ms + LOOK_MS)
		return now_ms + LOOK_MS;
	return next_ms > wall_ms ? now_ms + (next_ms - wall_ms) : now_ms;
}

int64_t
trigger_due_ms(const struct trigger *t, int64_t now_ms, int64_t wall_ms)
{
	int64_t due_ms = INT64_MAX, next_ms;

	/* A change will come first: the job's end, or health. */
	if (!t->enabled || t->running || !t->healthy)
		return INT64_MAX;
	if (t->pending != 0)
		return t->cool_ms > now_ms ? t->cool_ms : now_ms;
	for (size_t i = 0; i < t->conf->when_count; i++) {
		const struct conf_trigger *when = &t->conf->when[i];

		if (when->kind == CONF_TRIGGER_HEALTHY)
			continue;
		if (when->kind == CONF_TRIGGER_EVERY)
			next_ms = t->start_ms +
			    (multiples(t, when->every_ms, t->seen_ms) + 1) *
				when->every_ms;
		else
			next_ms = cron_due_ms(t, when, now_ms, wall_ms);
		if (next_ms < due_ms)
			due_ms = next_ms;
	}
	return due_ms > t->cool_ms ? due_ms : t->cool_ms;
}

const char *
trigger_name(unsigned reasons)
{
	static const char *const names[] = { "", "healthy", "every",
		"healthy+every", "cron", "healthy+cron", "every+cron",
		"healthy+every+cron" };

	return names[reasons % array_len(names)];
}
