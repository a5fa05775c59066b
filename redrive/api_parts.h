/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What the parts of the control API share. */
#ifndef DLO_REDRIVE_API_PARTS_H
#define DLO_REDRIVE_API_PARTS_H

#include <jansson.h>
#include <sys/queue.h>

#include "lib/compiler.h"
#include "redrive/api.h"
#include "redrive/registry.h"

enum api_status {
	API_OK = 200,
	API_ACCEPTED = 202,
	API_BAD_REQUEST = 400,
	API_UNAUTHORIZED = 401,
	API_FORBIDDEN = 403,
	API_NOT_FOUND = 404,
	API_CONFLICT = 409,
	API_MISDIRECTED = 421,
	API_BAD_GATEWAY = 502,
	API_UNAVAILABLE = 503,
};

LIST_HEAD(api_audits, api_audit);
LIST_HEAD(api_looks, api_look);
LIST_HEAD(api_mails, api_mail);
LIST_HEAD(api_glances, api_glance);

struct api {
	struct api_env env;
	struct conf_listen listen;
	struct registry *registry;
	struct api_looks looks;	    /* under way; api_letters.c */
	struct api_mails mails;	    /* under way; api_mail.c */
	struct api_glances glances; /* under way; api_status.c */
	struct loop_timer *glance_timer;
	struct api_audits audits; /* under way; api_audit.c */
};

/* A problem, and the answer to it. */
struct api_problem {
	enum api_status status;
	const char *code;   /* "no_pipeline" */
	const char *detail; /* a sentence */
	const char *hint;   /* what would help; NULL: nothing known */
};

/* Answers with `body` (taken) as JSON. */
void api_answer(struct http_request *, enum api_status, json_t *body);
void api_refuse(struct http_request *, const struct api_problem *);
/* Answers with what became of a wish; the status is for what was done. */
void api_answer_wish(struct api *, struct http_request *, enum api_status,
    const struct registry_answer *);
/* Who asks, as the audit has it; lasts as long as the request. */
struct registry_source api_source(const struct http_request *);
/* The body as JSON; NULL: it was refused. */
json_t *api_body(struct http_request *) must_use;

/* api_status.c. */
void api_status(struct api *, struct http_request *);
void api_status_start(struct api *);
void api_status_stop(struct api *);

/* api_audit.c: what was done; and the end of the answers under way. */
void api_audit(struct api *, struct http_request *);
void api_audit_stop(struct api *);

/* api_letters.c: `rest` follows the pipeline's name. */
void api_letters(struct api *, struct http_request *,
    const struct conf_pipeline *, const char *rest);
/* Ends the looks under way. */
void api_letters_stop(struct api *);

/* api_mail.c: the same for what is posted there. */
void api_mail(struct api *, struct http_request *, const struct conf_pipeline *,
    const char *rest);
/* Forgets the letters under way. */
void api_mail_stop(struct api *);

#endif
