/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/registry_job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/digest.h"
#include "lib/js.h"
#include "lib/text.h"
#include "lib/xalloc.h"

/* Longest text of a job, but for its filter. */
#define TEXT_MAX 255

/* What was done with letters, in the order of enum action. */
static const char *const moved_keys[ACTION_COUNT] = { "redriven", "deleted",
	"restored", "parked", "unparked" };

const char *
registry_state_name(enum registry_state state)
{
	static const char *const names[] = { "queued", "running", "paused",
		"ended" };

	return names[state];
}

void
registry_job_text(char **own, const char **shown, const char *text)
{
	char *copy =
	    xstrndup(text, text_utf8_cut(text, strlen(text), TEXT_MAX));

	free(*own);
	*own = copy;
	*shown = copy;
}

static struct registry_item *
item_new(void)
{
	struct registry_item *item = xcalloc(1, sizeof(*item));
	struct registry_job *job = &item->job;

	job->canary = -1;
	registry_job_text(&item->request, &job->request, "");
	registry_job_text(&item->pipeline, &job->pipeline, "");
	registry_job_text(&item->action, &job->action, "redrive");
	registry_job_text(&item->trigger, &job->trigger, "operator");
	registry_job_text(&item->who, &job->who, "");
	registry_job_text(&item->from, &job->from, "");
	registry_job_text(&item->by, &job->by, "");
	job->filter = &item->filter.filter;
	return item;
}

void
registry_job_free(struct registry_item *item)
{
	filter_json_clear(&item->filter);
	json_decref(item->groups);
	free(item->request);
	free(item->pipeline);
	free(item->action);
	free(item->trigger);
	free(item->who);
	free(item->from);
	free(item->by);
	free(item);
}

int
registry_job_id(char out[REPORT_ID_SPACE], const char *request)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	uint8_t sum[DIGEST_BYTES];

	if (digest_once(request, strlen(request), sum) == -1)
		return -1;
	for (size_t i = 0; i < REPORT_ID_SPACE - 1; i++)
		out[i] = digits[sum[i] & 31];
	out[REPORT_ID_SPACE - 1] = '\0';
	return 0;
}

/* Reading. */

struct problem {
	char *text;
	size_t space;
};

static int
wrong(struct problem *p, const char *key, const char *what)
{
	(void)snprintf(p->text, p->space, "%s: %s", key, what);
	return -1;
}

static int
read_number(struct problem *p, const char *key, const json_t *value,
    int64_t min, int64_t max, int64_t *out)
{
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value) || n < min || n > max)
		return wrong(p, key, "a whole number in its range is needed");
	*out = n;
	return 0;
}

static int
read_bool(struct problem *p, const char *key, const json_t *value, bool *out)
{
	if (!json_is_boolean(value))
		return wrong(p, key, "true or false is needed");
	*out = json_is_true(value);
	return 0;
}

static int
read_text(struct problem *p, const char *key, const json_t *value, char **own,
    const char **shown)
{
	size_t len = json_string_length(value);

	if (len == 0 || len > TEXT_MAX)
		return wrong(p, key, "a text of 1 to 255 bytes is needed");
	registry_job_text(own, shown, json_string_value(value));
	return 0;
}

static int
read_action(struct problem *p, const char *key, const json_t *value,
    struct registry_item *item)
{
	enum action action;

	if (!json_is_string(value) ||
	    action_parse(json_string_value(value), &action) == -1)
		return wrong(p, key,
		    "must be redrive, delete, restore, park or unpark");
	registry_job_text(&item->action, &item->job.action,
	    action_name(action));
	return 0;
}

/* What both a request and a record say. */
static int
read_wish(struct problem *p, struct registry_item *item, const char *key,
    json_t *value)
{
	struct registry_job *job = &item->job;
	int64_t n = 0;
	int code;

	if (strcmp(key, "pipeline") == 0)
		return read_text(p, key, value, &item->pipeline,
		    &job->pipeline);
	if (strcmp(key, "action") == 0)
		return read_action(p, key, value, item);
	if (strcmp(key, "request") == 0)
		return read_text(p, key, value, &item->request, &job->request);
	if (strcmp(key, "trigger") == 0)
		return read_text(p, key, value, &item->trigger, &job->trigger);
	if (strcmp(key, "filter") == 0) {
		filter_json_clear(&item->filter);
		return filter_json_read(&item->filter, value, p->text,
		    p->space);
	}
	if (strcmp(key, "dry_run") == 0)
		return read_bool(p, key, value, &job->dry_run);
	if (strcmp(key, "force") == 0)
		return read_bool(p, key, value, &job->force);
	if (strcmp(key, "rate") == 0) {
		code = read_number(p, key, value, 0, INT32_MAX, &n);
		job->rate = (uint32_t)n;
		return code;
	}
	if (strcmp(key, "max") == 0) {
		code = read_number(p, key, value, 0, INT64_MAX, &n);
		job->max = (uint64_t)n;
		return code;
	}
	if (strcmp(key, "canary") == 0)
		return read_number(p, key, value, -1, INT32_MAX, &job->canary);
	return wrong(p, key, "no such key");
}

struct registry_item *
registry_job_new(json_t *body, char *problem, size_t space)
{
	struct problem p = { problem, space };
	struct registry_item *item = item_new();
	json_t *value;
	const char *key;
	int code = 0;

	json_object_foreach(body, key, value)
	{
		/* Who and where from: see registry.c. */
		if (strcmp(key, "who") == 0 || strcmp(key, "from") == 0)
			continue;
		code = read_wish(&p, item, key, value);
		if (code == -1)
			break;
	}
	if (code == 0 && *item->pipeline == '\0')
		code = wrong(&p, "pipeline", "needed");
	if (code == 0)
		return item;
	registry_job_free(item);
	return NULL;
}

static int64_t
count_in(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? n : 0;
}

static const char *
text_in(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

void
registry_job_report(const json_t *data, struct job_report *r)
{
	static const enum job_end ends[] = { JOB_COMPLETE, JOB_PARTIAL,
		JOB_CANCELLED, JOB_ABORTED };
	const json_t *left = json_object_get(data, "left");

	for (size_t i = 0; i < array_len(ends); i++) {
		if (strcmp(text_in(data, "end"), report_end_name(ends[i])) == 0)
			r->end = ends[i];
	}
	(void)snprintf(r->why, sizeof(r->why), "%s", text_in(data, "why"));
	r->code = (unsigned)count_in(data, "code");
	r->passes = (unsigned)count_in(data, "passes");
	for (int i = 0; i < ACTION_COUNT; i++)
		r->moved[i] = (uint64_t)count_in(data, moved_keys[i]);
	r->failed_again = (uint64_t)count_in(data, "failed_again");
	r->judged = (uint64_t)count_in(data, "judged");
	r->expected_ms = count_in(data, "expected_ms");
	r->unknown = (uint64_t)count_in(data, "unknown");
	r->twice = (uint64_t)count_in(data, "twice");
	r->seen = (uint64_t)count_in(data, "seen");
	r->refused = (uint64_t)count_in(data, "refused");
	r->elapsed_ms = count_in(data, "elapsed_ms");
	r->progress = json_number_value(json_object_get(data, "progress"));
	for (int i = 0; i < JUDGE_COUNT; i++)
		r->verdicts[i] = (uint64_t)count_in(left,
		    judge_verdict_name((enum judge_verdict)i));
}

static int
read_times(struct registry_job *job, const json_t *data)
{
	const char *state = text_in(data, "state");
	int i;

	for (i = REGISTRY_QUEUED; i <= REGISTRY_ENDED; i++) {
		if (strcmp(state,
			registry_state_name((enum registry_state)i)) == 0)
			break;
	}
	job->state = (enum registry_state)i;
	job->created_ms = count_in(data, "created_ms");
	job->started_ms = count_in(data, "started_ms");
	job->ended_ms = count_in(data, "ended_ms");
	job->snapshot_ms = count_in(data, "snapshot_ms");
	return i <= REGISTRY_ENDED && job->created_ms > 0 &&
		job->snapshot_ms > 0
	    ? 0
	    : -1;
}

struct registry_item *
registry_job_read(const json_t *data)
{
	static const char *const wishes[] = { "pipeline", "action", "trigger",
		"request", "filter", "rate", "max", "canary", "dry_run",
		"force" };
	char problem[REGISTRY_TEXT_SPACE];
	struct problem p = { problem, sizeof(problem) };
	struct registry_item *item = item_new();
	struct registry_job *job = &item->job;
	int code = read_times(job, data);

	for (size_t i = 0; code == 0 && i < array_len(wishes); i++) {
		json_t *value = json_object_get(data, wishes[i]);

		if (value != NULL)
			code = read_wish(&p, item, wishes[i], value);
	}
	if (code == -1 || strlen(text_in(data, "id")) != sizeof(job->id) - 1 ||
	    *item->pipeline == '\0') {
		registry_job_free(item);
		return NULL;
	}
	memcpy(job->id, text_in(data, "id"), sizeof(job->id));
	registry_job_text(&item->who, &job->who, text_in(data, "who"));
	registry_job_text(&item->from, &job->from, text_in(data, "from"));
	registry_job_text(&item->by, &job->by, text_in(data, "by"));
	item->cancelled = json_is_true(json_object_get(data, "cancelled"));
	item->audited = (unsigned)count_in(data, "audited");
	item->groups = json_incref(json_object_get(data, "groups"));
	job->groups = item->groups;
	registry_job_report(data, &job->report);
	memcpy(job->report.id, job->id, sizeof(job->id));
	item->before = job->report;
	return item;
}

/* Writing. */

static void
write_wish(json_t *out, const struct registry_job *job, json_t *filter)
{
	js_set_text(out, "id", job->id);
	if (*job->request != '\0')
		js_set_text(out, "request", job->request);
	js_set_text(out, "pipeline", job->pipeline);
	js_set_text(out, "action", job->action);
	if (filter != NULL)
		js_set(out, "filter", json_incref(filter));
	else
		js_set(out, "filter", filter_json_of(job->filter));
	js_set_int(out, "rate", job->rate);
	js_set_int(out, "max", job->max);
	js_set_int(out, "canary", job->canary);
	js_set_bool(out, "dry_run", job->dry_run);
	js_set_bool(out, "force", job->force);
	js_set_text(out, "trigger", job->trigger);
	js_set_text(out, "who", job->who);
	js_set_text(out, "from", job->from);
	js_set_text(out, "by", job->by);
	js_set_text(out, "state", registry_state_name(job->state));
}

static void
write_report(json_t *out, const struct job_report *r)
{
	json_t *left = json_object();

	if (r->end != JOB_UNDER_WAY)
		js_set_text(out, "end", report_end_name(r->end));
	js_set_text(out, "why", r->why);
	if (r->code != 0)
		js_set_int(out, "code", r->code);
	js_set_int(out, "passes", r->passes);
	for (int i = 0; i < ACTION_COUNT; i++)
		js_set_int(out, moved_keys[i], r->moved[i]);
	js_set_int(out, "failed_again", r->failed_again);
	js_set_int(out, "judged", r->judged);
	js_set_int(out, "unknown", r->unknown);
	js_set_int(out, "twice", r->twice);
	js_set_int(out, "seen", r->seen);
	js_set_int(out, "refused", r->refused);
	js_set(out, "progress", json_real(r->progress));
	js_set_int(out, "elapsed_ms", r->elapsed_ms);
	if (r->expected_ms != 0)
		js_set_int(out, "expected_ms", r->expected_ms);
	/* What the last pass saw, by what was thought of it. */
	for (int i = 0; i < JUDGE_COUNT; i++)
		js_set_int(left, judge_verdict_name((enum judge_verdict)i),
		    r->verdicts[i]);
	js_set(out, "left", left);
}

json_t *
registry_job_write(const struct registry_item *item)
{
	const struct registry_job *job = &item->job;
	json_t *out = json_object();

	write_wish(out, job, item->filter.json);
	js_set_int(out, "created_ms", job->created_ms);
	js_set_int(out, "started_ms", job->started_ms);
	js_set_int(out, "ended_ms", job->ended_ms);
	js_set_int(out, "snapshot_ms", job->snapshot_ms);
	if (item->cancelled)
		js_set(out, "cancelled", json_true());
	js_set_int(out, "audited", item->audited);
	write_report(out, &job->report);
	if (item->groups != NULL)
		js_set(out, "groups", json_incref(item->groups));
	return out;
}

json_t *
registry_job_json(const struct registry_job *job)
{
	json_t *out = json_object();

	write_wish(out, job, NULL);
	js_set_time(out, "created_at", job->created_ms);
	js_set_time(out, "started_at", job->started_ms);
	js_set_time(out, "ended_at", job->ended_ms);
	js_set_time(out, "snapshot_at", job->snapshot_ms);
	write_report(out, &job->report);
	if (job->groups != NULL)
		js_set(out, "groups", json_deep_copy(job->groups));
	return out;
}
