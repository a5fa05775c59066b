/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The control API of dlo-redrive on the daemon's HTTP server: JSON in and out,
 * errors as RFC 9457 problems with a `code` for programs and a `hint` for
 * people.
 *
 *	GET  /v1/pipelines
 *	GET  /v1/pipelines/P/dead	?filter={…}&limit=N&body=true
 *					&queue=dead|parked|archive
 *					&lines=true (all of each, in JSON lines)
 *	GET  /v1/pipelines/P/groups	?filter={…}
 *					&lines=true (what is known so far, as
 *					it comes, and all of it at last)
 *	POST /v1/pipelines/P/dead	{"messages": [{"properties", "headers",
 *					"body"}]}: import
 *	POST /v1/pipelines/P/edit	{"id", "message"}: redrives the message,
 *					then archives the original; 202
 *	GET  /v1/jobs
 *	POST /v1/jobs			202
 *	GET  /v1/jobs/ID
 *	POST /v1/jobs/ID/pause|resume|cancel
 *	POST /v1/features/NAME		{"on": true}
 *	GET  /v1/audit			?since=1h (JSON lines)
 *
 * Who may use a unix socket may do everything. On TCP the bearer token says
 * so; without a token in the configuration nobody may do anything there. A
 * Host that is not the address listened on, or an Origin that is another site,
 * is refused: a browser on the same machine must not be made to act.
 */
#ifndef DLO_REDRIVE_API_H
#define DLO_REDRIVE_API_H

#include "config/conf.h"
#include "lib/http_server.h"
#include "lib/loop.h"

struct api;
struct redrive;

/* All that it points to must outlive the API; `listen` is copied. */
struct api_env {
	struct loop *loop;
	struct http_server *http;
	struct redrive *redrive; /* NULL: there is none now, 503 to all */
	const struct conf *conf;
	const struct conf_listen *listen;
};

struct api *api_new(const struct api_env *);
/* Ends what is under way; before the redrive. NULL is fine. */
void api_free(struct api *);

#endif
