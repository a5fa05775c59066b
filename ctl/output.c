/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/output.h"

#include <stdio.h>
#include <time.h>

#include "lib/cli.h"
#include "lib/js.h"
#include "lib/loop_libevent.h"
#include "lib/text.h"

int
output_text(const struct buf *text)
{
	if (fwrite(buf_peek(text), 1, text->len, stdout) == text->len &&
	    fflush(stdout) == 0)
		return CLI_OK;
	perror("dlo: stdout");
	return CLI_FAILED;
}

int
output_json(const json_t *value)
{
	struct buf text = { 0 };
	int code;

	js_write(&text, value);
	buf_add_u8(&text, '\n');
	code = output_text(&text);
	buf_clear(&text);
	return code;
}

const char *
output_member(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

int64_t
output_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static int64_t
wall_ms(void)
{
	struct loop *loop = loop_libevent_new();
	int64_t now_ms = loop_wall_ms(loop);

	loop_free(loop);
	return now_ms;
}

const char *
output_age(char out[OUTPUT_AGE_SPACE], const json_t *object, const char *key)
{
	const char *text = output_member(object, key);
	struct tm tm = { 0 };
	int64_t age_ms;

	if (text == NULL || strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) == NULL) {
		(void)snprintf(out, OUTPUT_AGE_SPACE, "-");
		return out;
	}
	age_ms = wall_ms() / 1000 * 1000 - (int64_t)timegm(&tm) * 1000;
	return text_duration(out, age_ms > 0 ? age_ms : 0);
}
