/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include <stdio.h>
#include <string.h>

#include "lib/js.h"
#include "redrive/registry_core.h"

/* The progress of a running job is written so often, if there is any. */
#define WRITE_EVERY_MS 3000

void
registry_tell(struct registry *r)
{
	loop_defer(r->env.loop, &r->tell);
}

void
registry_key(char key[BOARD_KEY_SPACE], const struct registry_item *item)
{
	(void)snprintf(key, BOARD_KEY_SPACE, REGISTRY_JOB_PREFIX "%s",
	    item->job.id);
}

struct registry_item *
registry_item_find(const struct registry *r, const char *id)
{
	struct registry_item *item;

	TAILQ_FOREACH(item, &r->items, entry) {
		if (strcmp(item->job.id, id) == 0)
			return item;
	}
	return NULL;
}

struct registry_item *
registry_item_of_key(const struct registry *r, const char *key)
{
	size_t len = strlen(REGISTRY_JOB_PREFIX);

	return strncmp(key, REGISTRY_JOB_PREFIX, len) == 0
	    ? registry_item_find(r, key + len)
	    : NULL;
}

/* The newest first. */
void
registry_item_insert(struct registry *r, struct registry_item *item)
{
	struct registry_item *other;

	r->count++;
	TAILQ_FOREACH(other, &r->items, entry) {
		if (other->job.created_ms <= item->job.created_ms) {
			TAILQ_INSERT_BEFORE(other, item, entry);
			return;
		}
	}
	TAILQ_INSERT_TAIL(&r->items, item, entry);
}

void
registry_item_remove(struct registry *r, struct registry_item *item)
{
	TAILQ_REMOVE(&r->items, item, entry);
	r->count--;
	registry_job_free(item);
}

static void
write_record(struct registry *r, struct registry_item *item)
{
	json_t *data = registry_job_write(item);
	char key[BOARD_KEY_SPACE];

	registry_key(key, item);
	item->written_ms = loop_now_ms(r->env.loop);
	item->unwritten = false;
	board_put(r->board, key, data, item->job.ended_ms);
	json_decref(data);
	(void)board_stamp(r->board, key, &item->job.epoch, &item->job.version);
	registry_tell(r);
}

void
registry_item_put(struct registry *r, struct registry_item *item)
{
	write_record(r, item);
	r->cbs->tell(r->arg, &item->job);
}

/* The audit. */

json_t *
registry_entry_new(struct registry *r, const char *what, const char *who,
    const char *from)
{
	json_t *entry = json_object();

	js_set_time(entry, "at", loop_wall_ms(r->env.loop));
	js_set_text(entry, "what", what);
	js_set_text(entry, "who", who);
	js_set_text(entry, "from", from);
	js_set_text(entry, "by", r->env.instance);
	return entry;
}

/* An entry about a job; `bit`: see registry_job.h. */
void
registry_enter(struct registry *r, struct registry_item *item, const char *what,
    const struct registry_source *source, unsigned bit)
{
	const struct registry_source own = { item->job.who, item->job.from };
	json_t *entry, *job = registry_job_json(&item->job);

	if (source == NULL)
		source = &own;
	entry = registry_entry_new(r, what, source->who, source->from);
	js_set_text(entry, "job", item->job.id);
	js_set_text(entry, "pipeline", item->job.pipeline);
	js_set(entry, "state", job);
	item->entering |= bit;
	r->cbs->enter(r->arg, entry, item->job.id, bit);
}

void
registry_entered(struct registry *r, const char *job, unsigned bit)
{
	struct registry_item *item = registry_item_find(r, job);

	if (item == NULL || (item->audited & bit) != 0)
		return;
	item->entering &= ~bit;
	item->audited |= bit;
	write_record(r, item);
}

/* The life of a job. */

struct registry_item *
registry_item_current(const struct registry *r, const char *pipeline)
{
	struct registry_item *item;

	TAILQ_FOREACH(item, &r->items, entry) {
		if (item->job.state != REGISTRY_ENDED &&
		    strcmp(item->job.pipeline, pipeline) == 0)
			return item;
	}
	return NULL;
}

static void begin_next(struct registry *, const char *pipeline);

static void
end_job(struct registry *r, struct registry_item *item, enum job_end end,
    const char *why)
{
	struct registry_job *job = &item->job;

	report_set_end(&job->report, end, why);
	job->state = REGISTRY_ENDED;
	job->ended_ms = loop_wall_ms(r->env.loop);
	item->begun = false;
	registry_item_put(r, item);
	registry_enter(r, item, "job_ended", NULL, REGISTRY_AUDIT_END);
	begin_next(r, job->pipeline);
}

/* Whether it is held by an operator. */
bool
registry_is_held(const struct registry *r, const struct registry_item *item)
{
	return item->job.state == REGISTRY_PAUSED ||
	    (!registry_redrive_is_on(r) && !item->job.dry_run);
}

static bool
is_another_begun(const struct registry *r, const struct registry_item *item)
{
	const struct registry_item *other;

	TAILQ_FOREACH(other, &r->items, entry) {
		if (other != item && other->begun &&
		    strcmp(other->job.pipeline, item->job.pipeline) == 0)
			return true;
	}
	return false;
}

/* Runs it, if everything is as it must be. */
void
registry_begin(struct registry *r, struct registry_item *item)
{
	struct registry_job *job = &item->job;

	if (!item->owned || item->begun || job->state == REGISTRY_ENDED)
		return;
	if (item->cancelled) {
		end_job(r, item, JOB_CANCELLED, "cancelled");
		return;
	}
	if (conf_pipeline_find(r->env.conf, job->pipeline) == NULL) {
		end_job(r, item, JOB_PARTIAL, "its pipeline is gone");
		return;
	}
	if (registry_is_held(r, item) || is_another_begun(r, item))
		return;
	item->begun = true;
	job->state = REGISTRY_RUNNING;
	job->inherited =
	    *job->by != '\0' && strcmp(job->by, r->env.instance) != 0;
	registry_job_text(&item->by, &job->by, r->env.instance);
	if (job->started_ms == 0)
		job->started_ms = loop_wall_ms(r->env.loop);
	registry_item_put(r, item);
	if (((item->audited | item->entering) & REGISTRY_AUDIT_START) == 0)
		registry_enter(r, item, "job_started", NULL,
		    REGISTRY_AUDIT_START);
	r->cbs->run(r->arg, job);
}

/* Another one may have waited for the end of this one. */
static void
begin_next(struct registry *r, const char *pipeline)
{
	struct registry_item *item;

	TAILQ_FOREACH_REVERSE(item, &r->items, registry_items, entry)
	{
		if (strcmp(item->job.pipeline, pipeline) == 0 && item->owned &&
		    !item->begun && item->job.state != REGISTRY_ENDED) {
			registry_begin(r, item);
			return;
		}
	}
}

/* Adds what this life did to the lives before. */
static void
add_report(struct registry_item *item, const struct job_report *now)
{
	const struct job_report *before = &item->before;
	struct job_report *all = &item->job.report;

	*all = *now;
	memcpy(all->id, item->job.id, sizeof(all->id));
	report_add(all, before);
}

void
registry_ended(struct registry *r, const char *id,
    const struct job_report *report, const json_t *groups)
{
	struct registry_item *item = registry_item_find(r, id);

	if (item == NULL || item->job.state == REGISTRY_ENDED)
		return;
	add_report(item, report);
	json_decref(item->groups);
	item->groups = groups != NULL ? json_deep_copy(groups) : NULL;
	item->job.groups = item->groups;
	end_job(r, item, report->end, report->why);
}

void
registry_let_go(struct registry *r, const char *id,
    const struct job_report *report)
{
	struct registry_item *item = registry_item_find(r, id);

	if (item == NULL || item->job.state == REGISTRY_ENDED)
		return;
	add_report(item, report);
	item->job.report.end = JOB_UNDER_WAY;
	*item->job.report.why = '\0';
	/* It stays begun: nobody here begins it again. */
	registry_item_put(r, item);
}

bool
registry_is_settled(const struct registry *r)
{
	const struct registry_item *item;
	char key[BOARD_KEY_SPACE];

	TAILQ_FOREACH(item, &r->items, entry) {
		registry_key(key, item);
		if (!board_is_settled(r->board, key))
			return false;
	}
	return board_is_settled(r->board, REGISTRY_FEATURE_KEY);
}

static void
look(struct registry *r, struct registry_item *item)
{
	struct job_report report, before = item->job.report;

	if (!r->cbs->look(r->arg, &item->job, &report))
		return;
	add_report(item, &report);
	if (report_moved(&item->job.report) != report_moved(&before) ||
	    item->job.report.judged != before.judged ||
	    item->job.report.seen != before.seen ||
	    strcmp(item->job.report.why, before.why) != 0)
		item->unwritten = true;
	if (item->unwritten &&
	    loop_now_ms(r->env.loop) - item->written_ms >= WRITE_EVERY_MS)
		registry_item_put(r, item);
}

void
registry_tick(struct registry *r)
{
	struct registry_item *item;

	board_tick(r->board, loop_now_ms(r->env.loop),
	    loop_wall_ms(r->env.loop));
	TAILQ_FOREACH(item, &r->items, entry) {
		if (item->begun)
			look(r, item);
	}
}
