/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* dlo peek P */
#include "ctl/verb_letters.h"

#include <inttypes.h>
#include <stdio.h>

#include "ctl/letters_path.h"
#include "ctl/output.h"
#include "ctl/remote.h"
#include "ctl/remote_show.h"
#include "ctl/report.h"
#include "lib/xalloc.h"

#define LIMIT_DEFAULT 20

/* "label: text", if there is one. */
static void
add_line(struct buf *out, const char *label, const char *text)
{
	if (text == NULL || *text == '\0')
		return;
	buf_printf(out, "    %-10s ", label);
	report_clean(out, text);
	buf_add_u8(out, '\n');
}

static void
add_body(struct buf *out, const json_t *letter)
{
	const char *text = output_member(letter, "body");
	const char *base64 = output_member(letter, "body_base64");

	add_line(out, "body", text);
	add_line(out, "body", base64);
}

static void
add_letter(struct buf *out, const json_t *letter)
{
	char age[OUTPUT_AGE_SPACE], counts[64];

	report_clean(out, output_member(letter, "id"));
	buf_printf(out, "  %s", output_member(letter, "reason"));
	if (output_member(letter, "class") != NULL) {
		buf_add_str(out, "  ");
		report_clean(out, output_member(letter, "class"));
	}
	buf_add_u8(out, '\n');
	add_line(out, "error", output_member(letter, "error"));
	(void)snprintf(counts, sizeof(counts),
	    "%" PRId64 " attempts, %" PRId64 " redrives",
	    output_number(letter, "attempts"),
	    output_number(letter, "redrives"));
	add_line(out, "tried", counts);
	add_line(out, "dead for", output_age(age, letter, "dead_since"));
	add_line(out, "exchange", output_member(letter, "exchange"));
	add_line(out, "key", output_member(letter, "routing_key"));
	add_body(out, letter);
}

static void
show(struct buf *out, const struct verb_call *call, const json_t *answer)
{
	const json_t *letters = json_object_get(answer, "messages");
	const char *why = output_member(answer, "why");
	json_t *letter;
	size_t i;

	(void)call;
	json_array_foreach(letters, i, letter) add_letter(out, letter);
	if (json_array_size(letters) == 0 && why == NULL)
		buf_add_str(out, "No dead letter matches.\n");
	if (why != NULL)
		buf_printf(out, "Not all of them: %s.\n", why);
}

int
verb_peek(const struct verb_call *call)
{
	struct buf path = { 0 };
	char limit[24];

	letters_path(&path, call, "dead");
	(void)snprintf(limit, sizeof(limit), "%" PRId64,
	    call->limit > 0 ? call->limit : LIMIT_DEFAULT);
	remote_add(&path, "limit", limit);
	if (call->body)
		remote_add(&path, "body", "true");
	return remote_show_get(call, &path, show);
}
