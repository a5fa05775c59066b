/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * dlo edit P --id ID: one dead letter in an editor, as JSON (in text where
 * that goes). The edited copy is redriven under an id of its own, then the
 * original goes to the archive.
 */
#include "ctl/verb_letters.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/job_text.h"
#include "ctl/letters_path.h"
#include "ctl/remote.h"
#include "ctl/remote_show.h"
#include "lib/js.h"
#include "lib/xalloc.h"

/* The letter, as the only line of an export. */
static bool
on_line(void *arg, const char *line, size_t len)
{
	json_t **letter = arg;
	json_t *value = json_loadb(line, len, 0, NULL);

	if (*letter == NULL && json_object_get(value, "end") == NULL)
		*letter = json_incref(value);
	json_decref(value);
	return true;
}

/* Runs the editor; -1: it did not end well, which was said. */
static int
run_editor(const char *path)
{
	const char *editor = getenv("VISUAL");
	char *command;
	int status;

	if (editor == NULL || *editor == '\0')
		editor = getenv("EDITOR");
	if (editor == NULL || *editor == '\0')
		editor = "vi";
	/* An editor may have options of its own, as everywhere. */
	command = xasprintf("%s %s", editor, path);
	status = system(command);
	free(command);
	if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	(void)fprintf(stderr,
	    "dlo edit: the editor failed; nothing was changed\n");
	return -1;
}

static int
write_file(int fd, const json_t *letter)
{
	char *text = json_dumps(letter, JSON_INDENT(2));
	FILE *file = fdopen(fd, "w");
	bool written;

	if (text == NULL || file == NULL)
		abort();
	written = fputs(text, file) != EOF && fputc('\n', file) != EOF;
	written = fclose(file) == 0 && written;
	free(text);
	return written ? 0 : -1;
}

/* Of the file that the editor gets, for mkstemps; the caller frees it. */
static char *
path_pattern(void)
{
	const char *folder = getenv("TMPDIR");

	return xasprintf("%s/dlo-edit-XXXXXX.json",
	    folder != NULL && *folder != '\0' ? folder : "/tmp");
}

/*
 * What the operator makes of it, which is also in `path` then; NULL: nothing,
 * which was said; a file with a mistake stays.
 */
static json_t *
edit(const json_t *letter, char *path)
{
	json_t *edited = NULL;
	json_error_t error;
	int fd;

	fd = mkstemps(path, strlen(".json"));
	if (fd == -1 || write_file(fd, letter) == -1) {
		(void)fprintf(stderr, "dlo edit: %s: %s\n", path,
		    strerror(errno));
	} else if (run_editor(path) == 0) {
		edited = json_load_file(path, 0, &error);
		if (edited == NULL) {
			(void)fprintf(stderr,
			    "dlo edit: %s: line %d: %s; nothing was changed\n",
			    path, error.line, error.text);
			return NULL;
		}
	}
	if (edited == NULL && fd != -1)
		(void)unlink(path);
	return edited;
}

/* Only what makes the message; the rest is for reading. */
static json_t *
message_of(const json_t *letter)
{
	static const char *const keys[] = { "properties", "properties_base64",
		"headers", "body", "body_base64" };
	json_t *message = json_object();

	for (size_t i = 0; i < array_len(keys); i++) {
		json_t *value = json_object_get(letter, keys[i]);

		if (value != NULL)
			js_set(message, keys[i], json_incref(value));
	}
	return message;
}

static void
show(struct buf *out, const struct verb_call *call, const json_t *job)
{
	(void)call;
	buf_add_str(out, "redriven; the original goes to the archive (");
	job_text_brief(out, job);
	buf_add_str(out, ")\n");
}

static int
post(const struct verb_call *call, const char *id, json_t *message)
{
	json_t *body = json_object();
	struct buf path = { 0 };
	int code;

	js_set_text(body, "id", id);
	js_set(body, "message", json_incref(message));
	letters_path(&path, call, "edit");
	code = remote_show_post(call, &path, body, show);
	json_decref(body);
	return code;
}

static int
edit_one(const struct verb_call *call, struct remote *remote, const char *id)
{
	json_t *letter = NULL, *before, *after = NULL, *edited;
	struct buf path = { 0 };
	char *file;
	int code;

	letters_path(&path, call, "dead");
	remote_add(&path, "lines", "true");
	remote_add(&path, "limit", "1");
	code = remote_lines(remote, buf_str(&path), on_line, &letter);
	buf_clear(&path);
	if (code != CLI_OK)
		return code;
	if (letter == NULL) {
		(void)fprintf(stderr, "dlo edit: no dead letter has id %s\n",
		    id);
		return CLI_FAILED;
	}
	before = message_of(letter);
	file = path_pattern();
	edited = edit(before, file);
	after = edited != NULL ? message_of(edited) : NULL;
	if (after == NULL) {
		code = CLI_FAILED;
	} else if (json_equal(before, after)) {
		(void)fprintf(stderr,
		    "dlo edit: nothing was edited, nothing is moved\n");
	} else {
		code = post(call, id, after);
		if (code != CLI_OK)
			(void)fprintf(stderr, "dlo edit: your edit is in %s\n",
			    file);
	}
	if (after != NULL && code == CLI_OK)
		(void)unlink(file);
	free(file);
	json_decref(letter);
	json_decref(before);
	json_decref(edited);
	json_decref(after);
	return code;
}

int
verb_edit(const struct verb_call *call)
{
	const json_t *ids = json_object_get(call->filter, "id");
	struct remote *remote;
	int code;

	if (json_array_size(ids) != 1 || json_object_size(call->filter) != 1) {
		(void)fprintf(stderr,
		    "dlo edit: --id ID is needed, and nothing else\n");
		return CLI_USAGE;
	}
	remote = remote_open(call->conf);
	if (remote == NULL)
		return CLI_CONFIG;
	code =
	    edit_one(call, remote, json_string_value(json_array_get(ids, 0)));
	remote_close(remote);
	return code;
}
