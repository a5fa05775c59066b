/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The audit over the control API, in JSON lines, as fast as the client takes
 * them: a line for each entry, with its offset and what the chain says of it,
 * and a last one that says whether these were all and whether the chain holds.
 *
 *	{"offset":7,"finding":"linked","at":"…","what":"job_ended",…}
 *	{"end":true,"count":1,"verified":true,"complete":true}
 */
#include "redrive/api_parts.h"

#include <stdlib.h>
#include <string.h>

#include "config/conf_scalar.h"
#include "lib/js.h"
#include "lib/text.h"
#include "lib/xalloc.h"
#include "redrive/audit_read.h"
#include "redrive/redrive.h"

/* So much is gathered before it is sent. */
#define PART_BYTES (64u << 10)

/* One request's reading. */
struct api_audit {
	struct http_request *request;
	struct audit_read *read; /* NULL: it is over */
	LIST_ENTRY(api_audit) entry;
	char since[TEXT_ISO8601_SPACE]; /* "": whatever is kept */
	struct buf lines;		/* not sent yet */
	bool begun;			/* the answer is */
	bool sending;			/* the client has yet to take a part */
	uint64_t count;
	bool broken;
};

static void
audit_free(struct api_audit *audit)
{
	LIST_REMOVE(audit, entry);
	audit_read_free(audit->read);
	buf_clear(&audit->lines);
	free(audit);
}

static void
add_line(struct api_audit *audit, json_t *line)
{
	js_write(&audit->lines, line);
	buf_add_u8(&audit->lines, '\n');
	json_decref(line);
}

static void on_taken(void *);

/* Sends what there is once the client has what was sent; then ends. */
static void
pump(struct api_audit *audit)
{
	bool sent = false;

	if (audit->sending)
		return;
	if (!audit->begun)
		http_server_begin(audit->request, API_OK,
		    "application/x-ndjson");
	audit->begun = true;
	if (audit->lines.len > 0)
		sent = http_server_send(audit->request, &audit->lines, on_taken,
		    audit);
	if (sent) {
		audit->sending = true;
		buf_reset(&audit->lines);
		if (audit->read != NULL)
			audit_read_pull(audit->read, true);
	} else if (audit->lines.len > 0 || audit->read == NULL) {
		/* The client has gone, or has everything. */
		http_server_end(audit->request);
		audit_free(audit);
	}
}

static void
on_taken(void *arg)
{
	struct api_audit *audit = arg;

	audit->sending = false;
	pump(audit);
}

/* Ours stand first, so that no entry can say of itself what we say. */
static json_t *
line_of(int64_t offset, enum audit_finding finding, const json_t *entry)
{
	json_t *line = json_object(), *value;
	const char *key;

	js_set_int(line, "offset", offset);
	js_set_text(line, "finding", audit_finding_name(finding));
	json_object_foreach((json_t *)(uintptr_t)entry, key, value)
	{
		if (strcmp(key, "offset") != 0 && strcmp(key, "finding") != 0)
			js_set(line, key, json_incref(value));
	}
	return line;
}

static void
on_entry(void *arg, int64_t offset, enum audit_finding finding,
    struct rmq_slice text)
{
	struct api_audit *audit = arg;
	json_t *entry = json_loadb((const char *)text.ptr, text.len,
	    JSON_REJECT_DUPLICATES, NULL);
	const char *at = json_string_value(json_object_get(entry, "at"));

	/* Both are as text_iso8601 writes them. */
	if (at == NULL || strcmp(at, audit->since) >= 0) {
		audit->count++;
		audit->broken = audit->broken ||
		    (finding != AUDIT_FIRST && finding != AUDIT_LINKED);
		add_line(audit, line_of(offset, finding, entry));
	}
	json_decref(entry);
	if (audit->lines.len < PART_BYTES)
		return;
	audit_read_pull(audit->read, false);
	pump(audit);
}

/* Why there is nothing at all; NULL: there is an answer. */
static const struct api_problem *
problem_of(enum audit_read_end end)
{
	static const struct api_problem problems[] = {
		[AUDIT_READ_MISSING] = { API_NOT_FOUND, "no_audit",
		    "the audit's stream is not in the broker",
		    "`dlo topology apply` declares it" },
		[AUDIT_READ_FORBIDDEN] = { API_FORBIDDEN, "no_right",
		    "dlo-redrive may not read the audit",
		    "its user needs the right to read it: see dlo(8)" },
		[AUDIT_READ_NO_STREAM] = { API_CONFLICT, "no_stream",
		    "the audit's queue is no stream: it keeps no entries to "
		    "be read again",
		    "delete it, then `dlo topology apply` declares a stream" },
		[AUDIT_READ_LOST] = { API_UNAVAILABLE, "offline",
		    "the broker ended the reading", "try again" },
	};

	return end == AUDIT_READ_WHOLE || end == AUDIT_READ_STALLED
	    ? NULL
	    : &problems[end];
}

static void
on_ended(void *arg, enum audit_read_end end)
{
	const struct api_problem *problem = problem_of(end);
	struct api_audit *audit = arg;
	const char *why = problem != NULL ? problem->detail : NULL;
	json_t *last;

	if (problem != NULL && !audit->begun) {
		api_refuse(audit->request, problem);
		audit_free(audit);
		return;
	}
	audit_read_free(audit->read);
	audit->read = NULL;
	if (end == AUDIT_READ_STALLED)
		why = "its end was not found: the broker takes or gives "
		      "nothing";
	last = json_object();
	js_set_bool(last, "end", true);
	js_set_int(last, "count", (int64_t)audit->count);
	js_set_bool(last, "verified", !audit->broken);
	js_set_bool(last, "complete", why == NULL);
	js_set_text(last, "why", why);
	add_line(audit, last);
	pump(audit);
}

void
api_audit(struct api *api, struct http_request *request)
{
	static const struct audit_read_cbs cbs = { on_entry, on_ended };
	static const struct api_problem bad = { API_BAD_REQUEST, "invalid",
		"since is a duration, such as 90s, 10m, 24h or 7d", NULL };
	static const struct api_problem offline = { API_UNAVAILABLE, "offline",
		"there is no connection to the broker", NULL };
	const struct job_env *env = redrive_job_env(api->env.redrive);
	struct rmq_conn *conn = redrive_conn(api->env.redrive);
	const char *since = http_server_query(request, "since");
	struct api_audit *audit;
	int64_t since_ms = 0;

	if (since != NULL &&
	    (conf_scalar_duration(since, &since_ms) == -1 || since_ms <= 0)) {
		api_refuse(request, &bad);
		return;
	}
	if (conn == NULL) {
		api_refuse(request, &offline);
		return;
	}
	audit = xcalloc(1, sizeof(*audit));
	audit->request = request;
	if (since_ms > 0)
		(void)text_iso8601(audit->since,
		    loop_wall_ms(api->env.loop) - since_ms);
	audit->read = audit_read_new(env, conn, since_ms, &cbs, audit);
	LIST_INSERT_HEAD(&api->audits, audit, entry);
}

void
api_audit_stop(struct api *api)
{
	static const struct api_problem stopping = { API_UNAVAILABLE,
		"stopping", "dlo-redrive is stopping", NULL };
	struct api_audit *audit;

	while ((audit = LIST_FIRST(&api->audits)) != NULL) {
		if (audit->begun)
			http_server_end(audit->request);
		else
			api_refuse(audit->request, &stopping);
		audit_free(audit);
	}
}
