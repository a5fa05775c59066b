/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/api.h"

#include <stdlib.h>
#include <string.h>

#include "lib/js.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/api_guard.h"
#include "redrive/api_parts.h"
#include "redrive/redrive.h"

#define ALL	  "/v1/"
#define PIPELINES "/v1/pipelines"
#define JOBS	  "/v1/jobs"
#define FEATURES  "/v1/features/"
#define AUDIT	  "/v1/audit"

void
api_answer(struct http_request *request, enum api_status status, json_t *body)
{
	struct buf text = { 0 };

	js_write(&text, body);
	buf_add_u8(&text, '\n');
	http_server_respond(request, status, "application/json", &text);
	buf_clear(&text);
	json_decref(body);
}

void
api_refuse(struct http_request *request, const struct api_problem *problem)
{
	json_t *body = json_object();
	struct buf text = { 0 };

	js_set_text(body, "type", "about:blank");
	js_set_text(body, "title", problem->code);
	js_set_int(body, "status", problem->status);
	js_set_text(body, "code", problem->code);
	js_set_text(body, "detail", problem->detail);
	js_set_text(body, "hint", problem->hint);
	js_write(&text, body);
	buf_add_u8(&text, '\n');
	http_server_respond(request, problem->status,
	    "application/problem+json", &text);
	buf_clear(&text);
	json_decref(body);
}

static void
refuse_path(struct http_request *request)
{
	static const struct api_problem problem = { API_NOT_FOUND, "not_found",
		"there is no such thing in this API", NULL };

	api_refuse(request, &problem);
}

/* Whether the request may be answered; if not, it was refused. */
static bool
is_let_in(struct api *api, struct http_request *request)
{
	static const struct api_problem problems[] = {
		[API_GUARD_HOST] = { API_MISDIRECTED, "wrong_host",
		    "this is not the host that was asked for",
		    "ask with the address of redrive.listen" },
		[API_GUARD_ORIGIN] = { API_FORBIDDEN, "wrong_origin",
		    "other sites' pages may not ask", NULL },
		[API_GUARD_NO_TOKEN] = { API_FORBIDDEN, "no_token",
		    "redrive.token is not set: nobody may ask over TCP",
		    "set it, or use a unix socket" },
		[API_GUARD_TOKEN] = { API_UNAUTHORIZED, "wrong_token",
		    "the bearer token is missing or wrong",
		    "it is redrive.token of the configuration" },
	};
	const struct api_guard_request asked = {
		.host = http_server_header(request, "Host"),
		.origin = http_server_header(request, "Origin"),
		.authorization = http_server_header(request, "Authorization"),
	};
	enum api_guard_verdict verdict =
	    api_guard(&api->listen, api->env.conf->redrive.token.text, &asked);

	if (verdict == API_GUARD_OK)
		return true;
	log_warn("api_refused", LOG_STR("why", problems[verdict].code),
	    LOG_STR("path", http_server_path(request)),
	    LOG_STR("from", http_server_peer(request)));
	if (verdict == API_GUARD_TOKEN)
		http_server_add_header(request, "WWW-Authenticate", "Bearer");
	api_refuse(request, &problems[verdict]);
	return false;
}

json_t *
api_body(struct http_request *request)
{
	struct api_problem problem = { API_BAD_REQUEST, "bad_json", NULL,
		NULL };
	json_error_t error;
	const char *bytes;
	json_t *body;
	size_t len;

	bytes = (const char *)http_server_body(request, &len);
	body = json_loadb(len > 0 ? bytes : "", len, JSON_REJECT_DUPLICATES,
	    &error);
	if (body != NULL)
		return body;
	problem.detail = error.text;
	api_refuse(request, &problem);
	return NULL;
}

static enum api_status
status_of(enum registry_refusal refusal)
{
	switch (refusal) {
	case REGISTRY_DONE:
	case REGISTRY_PASSED_ON:
		return API_ACCEPTED;
	case REGISTRY_OFFLINE:
	case REGISTRY_STARTING:
		return API_UNAVAILABLE;
	case REGISTRY_INVALID:
		return API_BAD_REQUEST;
	case REGISTRY_NO_PIPELINE:
	case REGISTRY_NO_JOB:
		return API_NOT_FOUND;
	case REGISTRY_BUSY:
	case REGISTRY_OFF:
	case REGISTRY_TOO_LATE:
		return API_CONFLICT;
	}
	abort();
}

static const char *
hint_of(enum registry_refusal refusal)
{
	switch (refusal) {
	case REGISTRY_BUSY:
		return "wait for it, or end it with `dlo cancel`";
	case REGISTRY_OFF:
		return "turn it on with `dlo feature redrive on`";
	default:
		return NULL;
	}
}

void
api_answer_wish(struct api *api, struct http_request *request,
    enum api_status status, const struct registry_answer *answer)
{
	const struct api_problem problem = { status_of(answer->refusal),
		registry_refusal_name(answer->refusal), answer->text,
		hint_of(answer->refusal) };
	const struct registry_job *job;
	json_t *body;

	if (answer->refusal == REGISTRY_DONE) {
		job = registry_find(api->registry, answer->job);
		api_answer(request, status,
		    job != NULL ? registry_job_json(job) : json_object());
	} else if (answer->refusal == REGISTRY_PASSED_ON) {
		body = json_object();
		js_set_bool(body, "passed_on", true);
		js_set_text(body, "detail", answer->text);
		api_answer(request, API_ACCEPTED, body);
	} else {
		api_refuse(request, &problem);
	}
}

struct registry_source
api_source(const struct http_request *request)
{
	return (struct registry_source){
		.who = http_server_user(request),
		.from = http_server_peer(request),
	};
}

static void
get_pipelines(void *arg, struct http_request *request)
{
	struct api *api = arg;

	if (is_let_in(api, request))
		api_status(api, request);
}

/* /v1/pipelines/P/… */
static void
on_pipeline(struct api *api, struct http_request *request,
    void (*answer)(struct api *, struct http_request *,
	const struct conf_pipeline *, const char *rest))
{
	const char *name = http_server_path(request) + strlen(PIPELINES) + 1;
	const char *slash = strchr(name, '/');
	const struct conf_pipeline *pipeline = NULL;
	struct api_problem problem = { API_NOT_FOUND, "no_pipeline",
		"there is no such pipeline", NULL };

	if (!is_let_in(api, request))
		return;
	for (size_t i = 0; slash != NULL && i < api->env.conf->pipeline_count;
	     i++) {
		const struct conf_pipeline *one = &api->env.conf->pipelines[i];

		if (strlen(one->name) == (size_t)(slash - name) &&
		    memcmp(one->name, name, strlen(one->name)) == 0)
			pipeline = one;
	}
	if (slash == NULL)
		refuse_path(request);
	else if (pipeline == NULL)
		api_refuse(request, &problem);
	else
		answer(api, request, pipeline, slash + 1);
}

static void
get_pipeline(void *arg, struct http_request *request)
{
	on_pipeline(arg, request, api_letters);
}

static void
post_pipeline(void *arg, struct http_request *request)
{
	on_pipeline(arg, request, api_mail);
}

static void
get_jobs(void *arg, struct http_request *request)
{
	struct api *api = arg;
	const struct registry_job *job;
	json_t *body, *jobs;

	if (!is_let_in(api, request))
		return;
	jobs = json_array();
	for (size_t i = 0; (job = registry_at(api->registry, i)) != NULL; i++)
		js_append(jobs, registry_job_json(job));
	body = json_object();
	js_set(body, "jobs", jobs);
	api_answer(request, API_OK, body);
}

/* Whether it would go to a downstream that is down, and nobody insists. */
static bool
is_vain(struct api *api, const json_t *body)
{
	const char *action = json_string_value(json_object_get(body, "action"));
	const char *name = json_string_value(json_object_get(body, "pipeline"));
	const struct conf_pipeline *pipeline =
	    name != NULL ? conf_pipeline_find(api->env.conf, name) : NULL;

	return pipeline != NULL &&
	    (action == NULL || strcmp(action, "redrive") == 0) &&
	    !json_is_true(json_object_get(body, "force")) &&
	    !json_is_true(json_object_get(body, "dry_run")) &&
	    redrive_health(api->env.redrive, pipeline->downstream) ==
	    PROBE_UNHEALTHY;
}

static void
post_job(void *arg, struct http_request *request)
{
	static const struct api_problem vain = { API_CONFLICT, "unhealthy",
		"the downstream is not healthy: nothing is moved",
		"wait until its probe is good, or insist with --force" };
	struct registry_source source = api_source(request);
	struct registry_answer answer = { 0 };
	struct api *api = arg;
	json_t *body;

	if (!is_let_in(api, request))
		return;
	body = api_body(request);
	if (body == NULL)
		return;
	if (is_vain(api, body)) {
		api_refuse(request, &vain);
	} else {
		registry_create(api->registry, body, &source, &answer);
		api_answer_wish(api, request, API_ACCEPTED, &answer);
	}
	json_decref(body);
}

static void
get_job(void *arg, struct http_request *request)
{
	static const struct api_problem none = { API_NOT_FOUND, "no_job",
		"there is no such job, or no longer", NULL };
	struct api *api = arg;
	const struct registry_job *job;

	if (!is_let_in(api, request))
		return;
	job = registry_find(api->registry,
	    http_server_path(request) + strlen(JOBS) + 1);
	if (job == NULL)
		api_refuse(request, &none);
	else
		api_answer(request, API_OK, registry_job_json(job));
}

/* /v1/jobs/ID/pause|resume|cancel */
static void
steer_job(void *arg, struct http_request *request)
{
	static const struct {
		const char *name;
		void (*act)(struct registry *, const char *,
		    const struct registry_source *, struct registry_answer *);
	} acts[] = {
		{ "pause", registry_pause },
		{ "resume", registry_resume },
		{ "cancel", registry_cancel },
	};
	const char *id = http_server_path(request) + strlen(JOBS) + 1;
	const char *slash = strchr(id, '/');
	struct registry_source source = api_source(request);
	struct registry_answer answer = { 0 };
	struct api *api = arg;
	char *job;

	if (!is_let_in(api, request))
		return;
	for (size_t i = 0; slash != NULL && i < array_len(acts); i++) {
		if (strcmp(slash + 1, acts[i].name) != 0)
			continue;
		job = xstrndup(id, (size_t)(slash - id));
		acts[i].act(api->registry, job, &source, &answer);
		free(job);
		api_answer_wish(api, request, API_OK, &answer);
		return;
	}
	refuse_path(request);
}

static void
post_feature(void *arg, struct http_request *request)
{
	static const struct api_problem bad = { API_BAD_REQUEST, "invalid",
		"{\"on\": true} or {\"on\": false} is needed", NULL };
	struct registry_source source = api_source(request);
	struct registry_answer answer = { 0 };
	struct api *api = arg;
	const json_t *on;
	json_t *body;

	if (!is_let_in(api, request))
		return;
	body = api_body(request);
	if (body == NULL)
		return;
	on = json_object_get(body, "on");
	if (json_is_boolean(on)) {
		registry_feature(api->registry,
		    http_server_path(request) + strlen(FEATURES),
		    json_is_true(on), &source, &answer);
		api_answer_wish(api, request, API_OK, &answer);
	} else {
		api_refuse(request, &bad);
	}
	json_decref(body);
}

static void
get_audit(void *arg, struct http_request *request)
{
	if (is_let_in(arg, request))
		api_audit(arg, request);
}

static void
refuse_all(void *arg, struct http_request *request)
{
	static const struct api_problem problem = { API_UNAVAILABLE,
		"not_running", "the daemon cannot start again after a reload",
		"its log says why; it goes on trying" };

	if (is_let_in(arg, request))
		api_refuse(request, &problem);
}

static void
serve(struct api *api)
{
	struct http_server *http = api->env.http;

	api->registry = redrive_registry(api->env.redrive);
	api_status_start(api);
	LIST_INIT(&api->audits);
	LIST_INIT(&api->looks);
	LIST_INIT(&api->mails);
	http_server_handle(http, "GET", PIPELINES, get_pipelines, api);
	http_server_handle(http, "GET", PIPELINES "/", get_pipeline, api);
	http_server_handle(http, "POST", PIPELINES "/", post_pipeline, api);
	http_server_handle(http, "GET", JOBS, get_jobs, api);
	http_server_handle(http, "POST", JOBS, post_job, api);
	http_server_handle(http, "GET", JOBS "/", get_job, api);
	http_server_handle(http, "POST", JOBS "/", steer_job, api);
	http_server_handle(http, "POST", FEATURES, post_feature, api);
	http_server_handle(http, "GET", AUDIT, get_audit, api);
}

struct api *
api_new(const struct api_env *env)
{
	struct api *api = xcalloc(1, sizeof(*api));

	api->env = *env;
	api->listen = *env->listen;
	if (env->redrive != NULL) {
		serve(api);
	} else {
		http_server_handle(env->http, "GET", ALL, refuse_all, api);
		http_server_handle(env->http, "POST", ALL, refuse_all, api);
	}
	return api;
}

void
api_free(struct api *api)
{
	if (api == NULL)
		return;
	if (api->env.redrive != NULL) {
		api_status_stop(api);
		api_audit_stop(api);
		api_letters_stop(api);
		api_mail_stop(api);
	}
	http_server_unhandle(api->env.http, api);
	free(api);
}
