/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What operators put into queues over the control API: letters that were
 * exported before, and one that was edited. The edited copy goes to the work
 * queue first, then a job takes the original to the archive: what goes wrong
 * between leaves both, and loses neither.
 */
#include "redrive/api_parts.h"

#include <stdlib.h>
#include <string.h>

#include "lib/js.h"
#include "lib/xalloc.h"
#include "redrive/lane.h"
#include "redrive/mailing.h"
#include "redrive/redrive.h"

/* One request's letters on their way. */
struct api_mail {
	struct api *api;
	struct http_request *request;
	struct mailing *mailing;
	const struct conf_pipeline *pipeline;
	json_t *id; /* of the original of an edited one; NULL: an import */
	LIST_ENTRY(api_mail) entry;
};

static void
mail_free(struct api_mail *mail)
{
	LIST_REMOVE(mail, entry);
	json_decref(mail->id);
	free(mail);
}

/* Enters into the audit what was put where. */
static void
note(struct api_mail *mail, const char *what, size_t count)
{
	struct registry_source source = api_source(mail->request);
	json_t *more = json_object();

	js_set_text(more, "pipeline", mail->pipeline->name);
	js_set_int(more, "count", (int64_t)count);
	if (mail->id != NULL)
		js_set(more, "id", json_incref(mail->id));
	registry_note(mail->api->registry, what, &source, more);
}

static void
refuse(struct http_request *request, enum api_status status, const char *code,
    const char *detail)
{
	const struct api_problem problem = { status, code, detail, NULL };

	api_refuse(request, &problem);
}

/* The edited copy is safe: its original goes to the archive. */
static void
archive_original(struct api_mail *mail)
{
	struct registry_source source = api_source(mail->request);
	struct registry_answer answer = { 0 };
	json_t *body = json_object(), *filter = json_object();

	js_set(filter, "id", json_incref(mail->id));
	js_set_text(body, "pipeline", mail->pipeline->name);
	js_set_text(body, "action", "delete");
	js_set(body, "filter", filter);
	js_set_int(body, "max", 1);
	registry_create(mail->api->registry, body, &source, &answer);
	json_decref(body);
	if (answer.refusal == REGISTRY_DONE)
		api_answer_wish(mail->api, mail->request, API_ACCEPTED,
		    &answer);
	else
		api_refuse(mail->request,
		    &(const struct api_problem){ API_CONFLICT, "not_archived",
			"the edited copy is redriven, the original stays dead",
			"take it away with `dlo delete`: a second edit would "
			"redrive a second copy" });
}

static void
on_done(void *arg, size_t count, const char *why)
{
	struct api_mail *mail = arg;
	json_t *body;

	if (count > 0)
		note(mail, mail->id != NULL ? "edited" : "imported", count);
	if (why != NULL) {
		refuse(mail->request, API_BAD_GATEWAY, "not_published", why);
	} else if (mail->id != NULL) {
		archive_original(mail);
	} else {
		body = json_object();
		js_set_int(body, "imported", (int64_t)count);
		api_answer(mail->request, API_OK, body);
	}
	mail_free(mail);
}

/* Publishes the letters (borrowed), or says why not. */
static void
send(struct api *api, struct http_request *request,
    const struct conf_pipeline *pipeline, const json_t *letters, json_t *id)
{
	const struct lane *lane = redrive_lane(api->env.redrive, pipeline);
	const struct mailing_options options = {
		.env = redrive_job_env(api->env.redrive),
		.conf = pipeline,
		.names = lane_names(lane),
		.where = id != NULL ? MAILING_WORK : MAILING_DEAD,
		.letters = letters,
	};
	struct api_mail *mail = xcalloc(1, sizeof(*mail));
	const char *why = NULL;
	struct buf text = { 0 };
	size_t which;

	LIST_INSERT_HEAD(&api->mails, mail, entry);
	mail->api = api;
	mail->request = request;
	mail->pipeline = pipeline;
	mail->id = json_incref(id);
	mail->mailing = mailing_new(&options, on_done, mail, &why, &which);
	if (mail->mailing != NULL)
		return;
	buf_printf(&text, "message %zu: %s", which + 1, why);
	refuse(request, API_BAD_REQUEST, "invalid", buf_str(&text));
	buf_clear(&text);
	mail_free(mail);
}

static void
import(struct api *api, struct http_request *request,
    const struct conf_pipeline *pipeline, const json_t *body)
{
	const json_t *letters = json_object_get(body, "messages");

	if (json_is_array(letters))
		send(api, request, pipeline, letters, NULL);
	else
		refuse(request, API_BAD_REQUEST, "invalid",
		    "messages: a list is needed");
}

static void
edit(struct api *api, struct http_request *request,
    const struct conf_pipeline *pipeline, const json_t *body)
{
	json_t *id = json_object_get(body, "id");
	json_t *message = json_object_get(body, "message");
	json_t *letters;

	if (!json_is_string(id) || !json_is_object(message)) {
		refuse(request, API_BAD_REQUEST, "invalid",
		    "id and message are needed");
		return;
	}
	/* Before the copy goes: the original could not follow it. */
	if (registry_current(api->registry, pipeline->name) != NULL ||
	    !registry_redrive_is_on(api->registry)) {
		refuse(request, API_CONFLICT, "busy",
		    "a job runs on this pipeline, or redriving is turned off: "
		    "nothing is moved");
		return;
	}
	letters = json_array();
	js_append(letters, json_incref(message));
	send(api, request, pipeline, letters, id);
	json_decref(letters);
}

void
api_mail(struct api *api, struct http_request *request,
    const struct conf_pipeline *pipeline, const char *rest)
{
	bool is_edit = strcmp(rest, "edit") == 0;
	json_t *body;

	if (!is_edit && strcmp(rest, "dead") != 0) {
		refuse(request, API_NOT_FOUND, "not_found",
		    "there is no such thing in this API");
		return;
	}
	if (!registry_is_active(api->registry)) {
		refuse(request, API_UNAVAILABLE, "standby",
		    "this daemon is not the active one");
		return;
	}
	body = api_body(request);
	if (body == NULL)
		return;
	if (is_edit)
		edit(api, request, pipeline, body);
	else
		import(api, request, pipeline, body);
	json_decref(body);
}

void
api_mail_stop(struct api *api)
{
	struct api_mail *mail;

	while ((mail = LIST_FIRST(&api->mails)) != NULL) {
		mailing_free(mail->mailing);
		refuse(mail->request, API_UNAVAILABLE, "stopping",
		    "dlo-redrive is stopping; what was sent may have arrived");
		mail_free(mail);
	}
}
