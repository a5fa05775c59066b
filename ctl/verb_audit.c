/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo audit */
#include "ctl/verb_jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/job_text.h"
#include "ctl/output.h"
#include "ctl/remote.h"
#include "ctl/report.h"
#include "ctl/table.h"
#include "lib/buf.h"

/* So many are shown at a time: an audit may be long. */
#define ROWS_MAX 1000

static const struct table_column columns[] = {
	{ .title = "AT" },
	{ .title = "WHAT" },
	{ .title = "PIPELINE", .may_cut = true },
	{ .title = "JOB" },
	{ .title = "WHO", .may_cut = true },
	{ .title = "FROM", .may_cut = true },
	{ .title = "MORE", .may_cut = true },
};

/* What is known of an answer under way. */
struct audit {
	const struct verb_call *call;
	struct table table;
	size_t rows;
	bool any;     /* something was shown */
	bool written; /* all went to stdout */
	json_t *end;  /* the last line; NULL: it has not come */
};

/* What there is to say besides: of a job, of a refusal, of the chain. */
static void
add_more(struct table *table, const json_t *entry)
{
	const char *finding = output_member(entry, "finding");
	const char *what = output_member(entry, "what");
	const json_t *job = json_object_get(entry, "state");
	struct buf text = { 0 };

	if (finding != NULL && strcmp(finding, "linked") != 0 &&
	    strcmp(finding, "first") != 0) {
		buf_printf(&text, "CHAIN: %s", finding);
	} else if (job != NULL && what != NULL &&
	    strcmp(what, "job_ended") == 0) {
		job_text_state(&text, job);
		buf_add_str(&text, ", ");
		if (json_is_true(json_object_get(job, "dry_run")))
			buf_add_str(&text, job_text_action(job));
		else
			job_text_did(&text, job);
	} else if (job != NULL) {
		report_clean(&text, job_text_action(job));
	} else if (output_member(entry, "why") != NULL) {
		buf_add_str(&text, output_member(entry, "why"));
	} else if (output_number(entry, "count") > 0) {
		buf_printf(&text, "%" PRId64, output_number(entry, "count"));
	}
	table_add(table, buf_str(&text));
	buf_clear(&text);
}

static void
add_row(struct table *table, const json_t *entry)
{
	table_add(table, output_member(entry, "at"));
	table_add(table, output_member(entry, "what"));
	table_add(table, output_member(entry, "pipeline"));
	table_add(table, output_member(entry, "job"));
	table_add(table, output_member(entry, "who"));
	table_add(table, output_member(entry, "from"));
	add_more(table, entry);
}

static void
write_rows(struct audit *audit)
{
	struct buf out = { 0 };

	if (audit->rows > 0) {
		table_write(&audit->table, &out);
		audit->written = output_text(&out) == CLI_OK;
	}
	table_clear(&audit->table);
	audit->rows = 0;
	buf_clear(&out);
}

/* The entries of a JSON answer, each as it came. */
static bool
write_line(const struct audit *audit, const char *line, size_t len)
{
	return fputs(audit->any ? ",\n" : "{\"audit\":[\n", stdout) != EOF &&
	    fwrite(line, 1, len, stdout) == len;
}

/* Every line is an entry, but the last. */
static bool
on_line(void *arg, const char *line, size_t len)
{
	struct audit *audit = arg;
	json_t *entry = json_loadb(line, len, 0, NULL);

	if (json_is_true(json_object_get(entry, "end"))) {
		audit->end = entry;
		return true;
	}
	if (audit->call->json) {
		audit->written = write_line(audit, line, len);
	} else {
		add_row(&audit->table, entry);
		audit->rows++;
		if (audit->rows == ROWS_MAX)
			write_rows(audit);
	}
	audit->any = true;
	json_decref(entry);
	return audit->written;
}

static bool
write_json_end(const struct audit *audit, bool verified, bool complete)
{
	return printf("%s\n],\"verified\":%s,\"complete\":%s}\n",
		   audit->any ? "" : "{\"audit\":[",
		   verified ? "true" : "false",
		   complete ? "true" : "false") > 0;
}

/* What the chain says is the verb's exit status. */
static int
finish(struct audit *audit)
{
	const char *why = output_member(audit->end, "why");
	bool verified = json_is_true(json_object_get(audit->end, "verified"));
	bool complete = json_is_true(json_object_get(audit->end, "complete"));

	if (audit->call->json && audit->written)
		audit->written = write_json_end(audit, verified, complete);
	else if (audit->written)
		write_rows(audit);
	if (!audit->written || fflush(stdout) != 0) {
		perror("dlo: stdout");
		return CLI_FAILED;
	}
	if (!complete)
		(void)fprintf(stderr, "dlo audit: not all of it: %s\n",
		    why != NULL ? why : "the answer was cut off");
	else if (!verified)
		(void)fprintf(stderr,
		    "dlo audit: an entry was put in, changed or taken out\n");
	else
		(void)fprintf(stderr, "%" PRId64 " entries, one chain\n",
		    output_number(audit->end, "count"));
	return complete && verified ? CLI_OK : CLI_DRIFT;
}

int
verb_audit(const struct verb_call *call)
{
	struct remote *remote = remote_open(call->conf);
	struct audit audit = { .call = call, .written = true };
	struct buf path = { 0 };
	char since[32];
	int code;

	if (remote == NULL)
		return CLI_CONFIG;
	table_init(&audit.table, columns, array_len(columns));
	buf_add_str(&path, "/v1/audit");
	if (call->since_ms > 0) {
		(void)snprintf(since, sizeof(since), "%" PRId64 "ms",
		    call->since_ms);
		buf_add_u8(&path, '?');
		remote_add(&path, "since", since);
	}
	code = remote_lines(remote, buf_str(&path), on_line, &audit);
	if (code == CLI_OK)
		code = finish(&audit);
	table_clear(&audit.table);
	json_decref(audit.end);
	buf_clear(&path);
	remote_close(remote);
	return code;
}
