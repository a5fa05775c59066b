/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A job of the registry and its JSON: as its record in `dlo.jobs`, as a
 * request, and as the API shows it. Pure.
 */
#ifndef DLO_REDRIVE_REGISTRY_JOB_H
#define DLO_REDRIVE_REGISTRY_JOB_H

#include <sys/queue.h>

#include "lib/compiler.h"
#include "redrive/filter_json.h"
#include "redrive/registry.h"

/* What has been entered into the audit. */
enum {
	REGISTRY_AUDIT_START = 1,
	REGISTRY_AUDIT_END = 2,
};

/* A job and what the registry knows of it beside. */
struct registry_item {
	TAILQ_ENTRY(registry_item) entry;
	struct registry_job job; /* its texts are this struct's */
	struct filter_json filter;
	json_t *groups;
	char *request, *pipeline, *action, *trigger, *who, *from, *by;
	struct job_report before; /* of its earlier lives */
	bool cancelled;		  /* an operator wants it to end */
	unsigned audited;	  /* REGISTRY_AUDIT_… that are in */
	unsigned entering;	  /* ... and those on their way */
	bool owned;		  /* ours to act on */
	bool begun;		  /* it is being run in this process */
	int64_t written_ms;	  /* monotonic */
	bool unwritten;		  /* the report has changed since */
};

/* What a request may say, and how long it may be as text. */
#define REGISTRY_REQUEST_BYTES (32 * 1024)

/*
 * A new job from the body of a request. NULL: `problem` says what is wrong
 * with it, for people.
 */
struct registry_item *registry_job_new(json_t *body, char *problem,
    size_t space) must_use;
/* From its record; NULL: it is not one of ours. */
struct registry_item *registry_job_read(const json_t *data) must_use;
void registry_job_free(struct registry_item *);
/* What a job's JSON, of either kind, says of how far it is. */
void registry_job_report(const json_t *, struct job_report *);
/* For the record; the caller's to json_decref. */
json_t *registry_job_write(const struct registry_item *) must_use;
/* Replaces a text. */
void registry_job_text(char **own, const char **shown, const char *text);
/*
 * The id of the job that a request with that id makes, whoever makes it, and
 * however often.
 */
int registry_job_id(char out[REPORT_ID_SPACE], const char *request) must_use;

#endif
