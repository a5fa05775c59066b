/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo export P */
#include "ctl/verb_letters.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/letters_path.h"
#include "ctl/output.h"
#include "ctl/remote.h"

/* What is known of an export under way. */
struct export
{
	bool written; /* all went to stdout */
	json_t *end;  /* the last line; NULL: it has not come */
};

/* Every line is a letter, but the last. */
static bool
on_line(void *arg, const char *line, size_t len)
{
	static const char last[] = "{\"end\":true";
	struct export *export = arg;

	if (len >= sizeof(last) - 1 &&
	    memcmp(line, last, sizeof(last) - 1) == 0) {
		export->end = json_loadb(line, len, 0, NULL);
		return true;
	}
	export->written =
	    fwrite(line, 1, len, stdout) == len && putchar('\n') != EOF;
	return export->written;
}

static int
finish(const struct export *export)
{
	const char *why = output_member(export->end, "why");

	if (!export->written || fflush(stdout) != 0) {
		perror("dlo: stdout");
		return CLI_FAILED;
	}
	if (export->end != NULL && why == NULL) {
		(void)fprintf(stderr, "%" PRId64 " exported\n",
		    output_number(export->end, "count"));
		return CLI_OK;
	}
	(void)fprintf(stderr, "dlo export: not all of them: %s\n",
	    why != NULL ? why : "the answer was cut off");
	return CLI_DRIFT;
}

int
verb_export(const struct verb_call *call)
{
	struct remote *remote = remote_open(call->conf);
	struct export export = { .written = true };
	struct buf path = { 0 };
	int code;

	if (remote == NULL)
		return CLI_CONFIG;
	letters_path(&path, call, "dead");
	remote_add(&path, "lines", "true");
	code = remote_lines(remote, buf_str(&path), on_line, &export);
	if (code == CLI_OK)
		code = finish(&export);
	json_decref(export.end);
	buf_clear(&path);
	remote_close(remote);
	return code;
}
