/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/exec_env.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "downstream/trace.h"
#include "lib/text.h"
#include "lib/xalloc.h"

/* What begins so is not passed on: ours, and what systemd tells us alone. */
static const char *const ours[] = { "DLO_", "NOTIFY_SOCKET=", "WATCHDOG_",
	"LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=" };

static bool
is_ours(const char *entry)
{
	size_t i;

	for (i = 0; i < array_len(ours); i++)
		if (strncmp(entry, ours[i], strlen(ours[i])) == 0)
			return true;
	return false;
}

static void
add_text(struct buf *out, const char *name, const struct attempt_text *text)
{
	buf_printf(out, "%s=", name);
	text_percent(out, text->ptr, text->len);
	buf_add_u8(out, 0);
}

static void
add_number(struct buf *out, const char *name, int64_t number)
{
	buf_printf(out, "%s=%" PRId64, name, number);
	buf_add_u8(out, 0);
}

static void
add_attempt(struct buf *out, const struct attempt *attempt)
{
	add_text(out, "DLO_ID", &attempt->id);
	add_text(out, "DLO_PIPELINE", &attempt->pipeline);
	add_text(out, "DLO_QUEUE", &attempt->queue);
	add_number(out, "DLO_ATTEMPT", attempt->number);
	add_number(out, "DLO_REDRIVES", attempt->redrives);
	add_text(out, "DLO_EXCHANGE", &attempt->exchange);
	add_text(out, "DLO_ROUTING_KEY", &attempt->routing_key);
	add_text(out, "DLO_MESSAGE_ID", &attempt->message_id);
	add_text(out, "DLO_CORRELATION_ID", &attempt->correlation_id);
	add_text(out, "DLO_CONTENT_TYPE", &attempt->content_type);
	if (trace_parent_valid(&attempt->traceparent))
		add_text(out, "DLO_TRACEPARENT", &attempt->traceparent);
}

static void
list_add(struct exec_env *env, size_t count, char *entry)
{
	if (count == env->space) {
		env->space = env->space == 0 ? 64 : env->space * 2;
		env->list =
		    xrealloc(env->list, env->space * sizeof(*env->list));
	}
	env->list[count] = entry;
}

void
exec_env_fill(struct exec_env *env, const struct attempt *attempt)
{
	size_t count = 0, i;
	char *entry, *end;

	buf_reset(&env->text);
	if (attempt != NULL)
		add_attempt(&env->text, attempt);
	for (i = 0; environ[i] != NULL; i++)
		if (!is_ours(environ[i]))
			list_add(env, count++, environ[i]);
	entry = (char *)buf_peek(&env->text);
	end = entry + env->text.len;
	for (; entry < end; entry += strlen(entry) + 1)
		list_add(env, count++, entry);
	list_add(env, count, NULL);
}

void
exec_env_clear(struct exec_env *env)
{
	buf_clear(&env->text);
	free(env->list);
	memset(env, 0, sizeof(*env));
}
