/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/trigger.h"

#include "config/conf.h"

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

static void
see_time(struct trigger *t, int64_t now_ms)
{
	for (size_t i = 0; i < t->conf->when_count; i++) {
		const struct conf_trigger *when = &t->conf->when[i];

		if (when->kind == CONF_TRIGGER_EVERY &&
		    multiples(t, when->every_ms, now_ms) >
			multiples(t, when->every_ms, t->seen_ms))
			t->pending |= TRIGGER_EVERY;
	}
	t->seen_ms = now_ms;
}

unsigned
trigger_take(struct trigger *t, int64_t now_ms)
{
	unsigned reasons;

	if (!t->enabled)
		return 0;
	see_time(t, now_ms);
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
trigger_enable(struct trigger *t, int64_t now_ms, bool handled)
{
	t->enabled = true;
	t->seen_ms = now_ms;
	if (handled)
		t->pending = 0;
}

void
trigger_disable(struct trigger *t)
{
	t->enabled = false;
	t->running = false;
}

int64_t
trigger_due_ms(const struct trigger *t, int64_t now_ms)
{
	int64_t due_ms = INT64_MAX, next_ms;

	/* A change will come first: the job's end, or health. */
	if (!t->enabled || t->running || !t->healthy)
		return INT64_MAX;
	if (t->pending != 0)
		return t->cool_ms > now_ms ? t->cool_ms : now_ms;
	for (size_t i = 0; i < t->conf->when_count; i++) {
		const struct conf_trigger *when = &t->conf->when[i];

		if (when->kind != CONF_TRIGGER_EVERY)
			continue;
		next_ms = t->start_ms +
		    (multiples(t, when->every_ms, t->seen_ms) + 1) *
			when->every_ms;
		if (next_ms < due_ms)
			due_ms = next_ms;
	}
	return due_ms > t->cool_ms ? due_ms : t->cool_ms;
}

const char *
trigger_name(unsigned reasons)
{
	switch (reasons & (TRIGGER_HEALTHY | TRIGGER_EVERY)) {
	case TRIGGER_HEALTHY:
		return "healthy";
	case TRIGGER_EVERY:
		return "every";
	case TRIGGER_HEALTHY | TRIGGER_EVERY:
		return "healthy+every";
	default:
		return "";
	}
}
