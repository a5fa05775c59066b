/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * dlo import P: what dlo export has written comes back into the dead-letter
 * queue, a batch after the other. All lines are read before any is sent: a
 * file that is broken somewhere imports nothing.
 */
#include "ctl/verb_letters.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/letters_path.h"
#include "ctl/output.h"
#include "ctl/remote.h"
#include "lib/js.h"

#define BATCH_BYTES (1u << 20)

/* The lines of stdin as a list; NULL: one is no JSON, which was said. */
static json_t *
read_lines(void)
{
	json_t *letters = json_array(), *letter;
	json_error_t error;
	char *line = NULL;
	size_t space = 0;
	ssize_t len;

	for (unsigned long n = 1; (len = getline(&line, &space, stdin)) > 0;
	     n++) {
		if (len == 1 && *line == '\n')
			continue;
		letter = json_loadb(line, (size_t)len, 0, &error);
		if (!json_is_object(letter)) {
			(void)fprintf(stderr,
			    "dlo import: line %lu: %s; nothing was imported\n",
			    n, letter == NULL ? error.text : "no object");
			json_decref(letter);
			json_decref(letters);
			free(line);
			return NULL;
		}
		js_append(letters, letter);
	}
	free(line);
	return letters;
}

/* Sends the letters from `from` on that fit a batch; counts them. */
static int
send_batch(struct remote *remote, const char *path, const json_t *letters,
    size_t *from)
{
	json_t *body = json_object(), *batch = json_array(), *answer;
	struct buf size = { 0 };
	int code;

	while (*from < json_array_size(letters) &&
	    (size.len == 0 || size.len < BATCH_BYTES)) {
		json_t *letter = json_array_get(letters, *from);

		js_write(&size, letter);
		js_append(batch, json_incref(letter));
		++*from;
	}
	buf_clear(&size);
	js_set(body, "messages", batch);
	code = remote_post(remote, path, body, &answer);
	json_decref(answer);
	json_decref(body);
	return code;
}

static int
send_all(const struct verb_call *call, struct remote *remote,
    const json_t *letters)
{
	struct buf path = { 0 };
	size_t sent = 0, count = json_array_size(letters);
	int code = CLI_OK;
	json_t *done;

	letters_path(&path, call, "dead");
	while (code == CLI_OK && sent < count) {
		size_t before = sent;

		code = send_batch(remote, buf_str(&path), letters, &sent);
		if (code != CLI_OK)
			(void)fprintf(stderr,
			    "dlo import: the first %zu of %zu are imported, "
			    "and perhaps some more\n",
			    before, count);
	}
	buf_clear(&path);
	if (code != CLI_OK)
		return code;
	if (!call->json) {
		printf("%zu imported\n", count);
		return CLI_OK;
	}
	done = json_pack("{s:I}", "imported", (json_int_t)count);
	code = output_json(done);
	json_decref(done);
	return code;
}

int
verb_import(const struct verb_call *call)
{
	struct remote *remote;
	json_t *letters = read_lines();
	int code = CLI_CONFIG;

	if (letters == NULL)
		return CLI_USAGE;
	remote = remote_open(call->conf);
	if (remote != NULL)
		code = send_all(call, remote, letters);
	json_decref(letters);
	remote_close(remote);
	return code;
}
