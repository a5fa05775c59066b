/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/js.h"
#include "lib/log.h"
#include "lib/text.h"
#include "redrive/registry_core.h"

const char *
registry_refusal_name(enum registry_refusal refusal)
{
	static const char *const names[] = { "done", "passed_on", "offline",
		"starting", "invalid", "no_pipeline", "busy", "off", "no_job",
		"too_late" };

	return names[refusal];
}

static void answer_with(struct registry_answer *, enum registry_refusal,
    const char *job, const char *fmt, ...) printf_like(4, 5);

static void
answer_with(struct registry_answer *answer, enum registry_refusal refusal,
    const char *job, const char *fmt, ...)
{
	va_list ap;

	answer->refusal = refusal;
	(void)snprintf(answer->job, sizeof(answer->job), "%s", job);
	va_start(ap, fmt);
	(void)vsnprintf(answer->text, sizeof(answer->text), fmt, ap);
	va_end(ap);
}

/* What is asked for. */

static bool
is_offered(const struct registry *r, struct registry_answer *answer)
{
	if (registry_is_active(r))
		return true;
	answer_with(answer, REGISTRY_STARTING, "",
	    "the jobs are being read: try again");
	return false;
}

/*
 * Not the active one: publishes the request for it. `wish` is taken. False:
 * this daemon is to deal with it.
 */
static bool
pass_on(struct registry *r, json_t *wish, const struct registry_source *source,
    const char *job, struct registry_answer *answer)
{
	char *text;

	if (board_state(r->board) >= BOARD_READING) {
		json_decref(wish);
		return false;
	}
	js_set_text(wish, "who", source->who);
	js_set_text(wish, "from", source->from);
	text = json_dumps(wish, JSON_COMPACT);
	json_decref(wish);
	if (board_state(r->board) == BOARD_OFF || text == NULL) {
		answer_with(answer, REGISTRY_OFFLINE, "",
		    "no connection to the broker: try again");
	} else {
		r->cbs->publish(r->arg, 0, text, strlen(text));
		answer_with(answer, REGISTRY_PASSED_ON, job,
		    "passed on to the active daemon");
	}
	free(text);
	return true;
}

/* An id for who did not bring one. */
static void
make_request_id(struct registry *r, char out[TEXT_UUID_SPACE])
{
	(void)text_uuid4(out, loop_random(r->env.loop),
	    loop_random(r->env.loop));
}

static bool
may_create(struct registry *r, const struct registry_item *item,
    struct registry_answer *answer)
{
	const struct registry_job *job = &item->job;
	const struct registry_item *other =
	    registry_item_current(r, job->pipeline);

	if (conf_pipeline_find(r->env.conf, job->pipeline) == NULL)
		answer_with(answer, REGISTRY_NO_PIPELINE, "",
		    "there is no pipeline %s", job->pipeline);
	else if (!registry_redrive_is_on(r) && !job->dry_run)
		answer_with(answer, REGISTRY_OFF, "",
		    "redriving is turned off");
	else if (other != NULL)
		answer_with(answer, REGISTRY_BUSY, other->job.id,
		    "already running: job %s", other->job.id);
	else
		return true;
	return false;
}

/* Takes the item. */
static void
create(struct registry *r, struct registry_item *item,
    struct registry_answer *answer)
{
	struct registry_job *job = &item->job;

	if (!may_create(r, item, answer)) {
		registry_job_free(item);
		return;
	}
	job->created_ms = job->snapshot_ms = loop_wall_ms(r->env.loop);
	memcpy(job->report.id, job->id, sizeof(job->id));
	registry_item_insert(r, item);
	registry_item_put(r, item);
	log_info("job_created", LOG_STR("pipeline", job->pipeline),
	    LOG_STR("job", job->id), LOG_STR("trigger", job->trigger),
	    LOG_STR("who", job->who), LOG_STR("from", job->from),
	    LOG_STR("request", job->request));
	answer_with(answer, REGISTRY_DONE, job->id, "%s", "");
}

void
registry_create(struct registry *r, json_t *body,
    const struct registry_source *source, struct registry_answer *answer)
{
	char problem[REGISTRY_TEXT_SPACE], made[TEXT_UUID_SPACE];
	struct registry_item *item;
	json_t *wish;

	if (json_dumpb(body, NULL, 0, JSON_COMPACT) > REGISTRY_REQUEST_BYTES) {
		answer_with(answer, REGISTRY_INVALID, "", "it is too long");
		return;
	}
	item = registry_job_new(body, problem, sizeof(problem));
	if (item == NULL) {
		answer_with(answer, REGISTRY_INVALID, "", "%s", problem);
		return;
	}
	if (*item->request == '\0') {
		make_request_id(r, made);
		registry_job_text(&item->request, &item->job.request, made);
	}
	registry_job_text(&item->who, &item->job.who, source->who);
	registry_job_text(&item->from, &item->job.from, source->from);
	if (registry_job_id(item->job.id, item->request) == -1) {
		answer_with(answer, REGISTRY_INVALID, "", "no id can be made");
		registry_job_free(item);
		return;
	}
	wish = json_copy(body);
	js_set_text(wish, "request", item->request);
	if (pass_on(r, wish, source, item->job.id, answer) ||
	    !is_offered(r, answer)) {
		registry_job_free(item);
	} else if (registry_item_find(r, item->job.id) != NULL) {
		/* The same wish again. */
		answer_with(answer, REGISTRY_DONE, item->job.id, "%s", "");
		registry_job_free(item);
	} else {
		create(r, item, answer);
	}
}

bool
registry_automatic(struct registry *r, const struct conf_pipeline *pipeline,
    const char *trigger)
{
	const struct registry_source source = { "", "trigger" };
	struct registry_answer answer;
	json_t *body;

	/* Others' triggers are their own. */
	if (!registry_is_active(r))
		return false;
	body =
	    json_pack("{s:s, s:s, s:o}", "pipeline", pipeline->name, "trigger",
		trigger, "filter", filter_json_of(&pipeline->redrive.only));
	registry_create(r, body, &source, &answer);
	json_decref(body);
	return answer.refusal == REGISTRY_DONE;
}

enum verb { VERB_PAUSE, VERB_RESUME, VERB_CANCEL, VERB_COUNT };

static const char *const verbs[] = { "pause", "resume", "cancel" };

static void
pause_job(struct registry *r, struct registry_item *item)
{
	if (item->job.state == REGISTRY_PAUSED)
		return;
	item->job.state = REGISTRY_PAUSED;
	registry_item_put(r, item);
	if (item->begun)
		r->cbs->pause(r->arg, &item->job, "an operator wants it");
}

static void
resume_job(struct registry *r, struct registry_item *item)
{
	if (item->job.state != REGISTRY_PAUSED)
		return;
	item->job.state = REGISTRY_RUNNING;
	registry_item_put(r, item);
	if (!item->begun)
		registry_begin(r, item);
	else if (!registry_is_held(r, item))
		r->cbs->resume(r->arg, &item->job);
}

static void
cancel_job(struct registry *r, struct registry_item *item)
{
	if (item->cancelled)
		return;
	item->cancelled = true;
	registry_item_put(r, item);
	if (item->begun)
		r->cbs->cancel(r->arg, &item->job);
	else
		registry_begin(r, item); /* which ends it, once it is ours */
}

static void
operate(struct registry *r, enum verb verb, const char *id,
    const struct registry_source *source, struct registry_answer *answer)
{
	static void (*const acts[])(struct registry *,
	    struct registry_item *) = { pause_job, resume_job, cancel_job };
	static const char *const whats[] = { "job_paused", "job_resumed",
		"job_cancelled" };
	json_t *wish = json_pack("{s:s, s:s}", "job", id, "do", verbs[verb]);
	struct registry_item *item;

	if (wish == NULL) {
		answer_with(answer, REGISTRY_NO_JOB, "", "no such job");
		return;
	}
	if (pass_on(r, wish, source, "", answer) || !is_offered(r, answer))
		return;
	item = registry_item_find(r, id);
	if (item == NULL) {
		answer_with(answer, REGISTRY_NO_JOB, "", "no such job");
		return;
	}
	if (item->job.state == REGISTRY_ENDED) {
		answer_with(answer, REGISTRY_TOO_LATE, item->job.id,
		    "it has ended: %s", report_end_name(item->job.report.end));
		return;
	}
	answer_with(answer, REGISTRY_DONE, item->job.id, "%s", "");
	log_info("job_operated", LOG_STR("pipeline", item->job.pipeline),
	    LOG_STR("job", item->job.id), LOG_STR("verb", verbs[verb]),
	    LOG_STR("who", source->who), LOG_STR("from", source->from));
	registry_enter(r, item, whats[verb], source, 0);
	acts[verb](r, item);
}

void
registry_pause(struct registry *r, const char *job,
    const struct registry_source *source, struct registry_answer *answer)
{
	operate(r, VERB_PAUSE, job, source, answer);
}

void
registry_resume(struct registry *r, const char *job,
    const struct registry_source *source, struct registry_answer *answer)
{
	operate(r, VERB_RESUME, job, source, answer);
}

void
registry_cancel(struct registry *r, const char *job,
    const struct registry_source *source, struct registry_answer *answer)
{
	operate(r, VERB_CANCEL, job, source, answer);
}

/* Redriving is on or off now: pauses, or goes on. */
static void
apply_feature(struct registry *r)
{
	struct registry_item *item;

	TAILQ_FOREACH(item, &r->items, entry) {
		if (!item->begun)
			registry_begin(r, item);
		else if (registry_is_held(r, item))
			r->cbs->pause(r->arg, &item->job,
			    "redriving is turned off");
		else
			r->cbs->resume(r->arg, &item->job);
	}
}

void
registry_note(struct registry *r, const char *what,
    const struct registry_source *source, json_t *more)
{
	json_t *entry = registry_entry_new(r, what, source->who, source->from);

	(void)json_object_update_missing(entry, more);
	json_decref(more);
	r->cbs->enter(r->arg, entry, "", 0);
}

void
registry_feature(struct registry *r, const char *name, bool on,
    const struct registry_source *source, struct registry_answer *answer)
{
	json_t *wish = json_pack("{s:s, s:b}", "feature", name, "on", on);
	json_t *data, *entry;

	if (wish == NULL || strcmp(name, "redrive") != 0) {
		answer_with(answer, REGISTRY_INVALID, "",
		    "only the feature redrive can be turned on and off");
		json_decref(wish);
		return;
	}
	if (pass_on(r, wish, source, "", answer) || !is_offered(r, answer))
		return;
	r->said = true;
	r->redrive_on = on;
	data = json_pack("{s:b}", "on", on);
	board_put(r->board, REGISTRY_FEATURE_KEY, data, 0);
	json_decref(data);
	log_info("feature", LOG_STR("name", name), LOG_BOOL("on", on),
	    LOG_STR("who", source->who), LOG_STR("from", source->from));
	entry = registry_entry_new(r, on ? "feature_on" : "feature_off",
	    source->who, source->from);
	js_set_text(entry, "feature", name);
	r->cbs->enter(r->arg, entry, "", 0);
	apply_feature(r);
	answer_with(answer, REGISTRY_DONE, "", "%s", "");
	registry_tell(r);
}

bool
registry_redrive_is_on(const struct registry *r)
{
	return r->said ? r->redrive_on : r->env.conf->features.redrive;
}

/* Requests by message. */

static enum verb
verb_of(const char *name)
{
	int verb;

	for (verb = 0; verb < VERB_COUNT; verb++) {
		if (name != NULL && strcmp(name, verbs[verb]) == 0)
			break;
	}
	return (enum verb)verb;
}

/* The key of what the request changed, for board_settle; or NULL. */
static const char *
serve(struct registry *r, const struct board_request *request,
    const struct registry_source *source, struct registry_answer *answer,
    char key[BOARD_KEY_SPACE])
{
	json_t *body = request->body;
	const char *job = json_string_value(json_object_get(body, "job"));
	const char *feature =
	    json_string_value(json_object_get(body, "feature"));
	enum verb verb =
	    verb_of(json_string_value(json_object_get(body, "do")));

	if (feature != NULL) {
		registry_feature(r, feature,
		    json_is_true(json_object_get(body, "on")), source, answer);
		return REGISTRY_FEATURE_KEY;
	}
	if (job != NULL && verb < VERB_COUNT) {
		operate(r, verb, job, source, answer);
	} else {
		/* The sender's own id makes it one job, however often. */
		if (json_object_get(body, "request") == NULL)
			js_set_text(body, "request", request->message_id);
		registry_create(r, body, source, answer);
	}
	(void)snprintf(key, BOARD_KEY_SPACE, REGISTRY_JOB_PREFIX "%s",
	    answer->job);
	return key;
}

static void
refuse(struct registry *r, json_t *body, const struct registry_source *source,
    const struct registry_answer *answer)
{
	const char *request =
	    json_string_value(json_object_get(body, "request"));
	const char *pipeline =
	    json_string_value(json_object_get(body, "pipeline"));
	json_t *entry =
	    registry_entry_new(r, "request_refused", source->who, source->from);

	log_warn("request_refused", LOG_STR("who", source->who),
	    LOG_STR("from", source->from), LOG_STR("request", request),
	    LOG_STR("code", registry_refusal_name(answer->refusal)),
	    LOG_STR("why", answer->text));
	js_set_text(entry, "request", request);
	if (pipeline != NULL)
		js_set_clean(entry, "pipeline", pipeline,
		    text_utf8_cut(pipeline, strlen(pipeline), 64));
	js_set_text(entry, "code", registry_refusal_name(answer->refusal));
	js_set_text(entry, "why", answer->text);
	r->cbs->enter(r->arg, entry, "", 0);
}

void
registry_serve(struct registry *r, const struct board_request *request)
{
	const char *who =
	    json_string_value(json_object_get(request->body, "who"));
	const char *from =
	    json_string_value(json_object_get(request->body, "from"));
	struct registry_source source = { request->user, "dlo.control" };
	struct registry_answer answer;
	char space[BOARD_KEY_SPACE];
	const char *key;

	/* Passed on by one of us, who has asked who it was. */
	if (request->trusted && from != NULL) {
		source.who = who;
		source.from = from;
	}
	if (source.who == NULL)
		source.who = "";
	key = serve(r, request, &source, &answer, space);
	if (answer.refusal != REGISTRY_DONE)
		refuse(r, request->body, &source, &answer);
	board_settle(r->board, request->tag, key);
}
