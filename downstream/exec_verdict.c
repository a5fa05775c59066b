/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/exec_verdict.h"

#include <stdio.h>
#include <string.h>

#include "downstream/builtin.h"
#include "lib/text.h"

#define WHY_SPACE 512

void
exec_tail_add(struct exec_tail *tail, const void *bytes, size_t len)
{
	const char *from = bytes;
	size_t keep = tail->len;

	if (len > EXEC_TAIL_BYTES) {
		from += len - EXEC_TAIL_BYTES;
		len = EXEC_TAIL_BYTES;
	}
	if (keep > EXEC_TAIL_BYTES - len)
		keep = EXEC_TAIL_BYTES - len;
	memmove(tail->bytes, tail->bytes + tail->len - keep, keep);
	memcpy(tail->bytes + keep, from, len);
	tail->len = keep + len;
}

void
exec_tail_tell(const struct exec_tail *tail, struct verdict *v)
{
	size_t end = tail->len, start;

	while (end > 0 && v->error[0] == '\0') {
		for (start = end; start > 0 && tail->bytes[start - 1] != '\n';)
			start--;
		verdict_set_error(v, tail->bytes + start, end - start);
		end = start > 0 ? start - 1 : 0;
	}
}

/* Sets the last line with anything in it as the error, or else `why`. */
static void
set_error(struct verdict *v, const struct exec_tail *tail, const char *why)
{
	exec_tail_tell(tail, v);
	if (v->error[0] == '\0')
		verdict_set_text(v, why);
}

static void
set_signal(struct verdict *v, int signo, const struct exec_tail *tail)
{
	const char *text = sigdescr_np(signo);
	char why[WHY_SPACE];

	verdict_init(v, OUTCOME_RETRY, "exec.signal.%d", signo);
	snprintf(why, sizeof(why), "ended by signal %d (%s)", signo,
	    text != NULL ? text : "?");
	set_error(v, tail, why);
}

static void
set_not_started(struct verdict *v, const char *program, int error)
{
	char why[WHY_SPACE];

	verdict_init(v, OUTCOME_RETRY, "exec.start");
	snprintf(why, sizeof(why), "%s: %s", program, strerror(error));
	verdict_set_text(v, why);
}

static void
set_exit(struct verdict *v, int code, const struct exec_tail *tail)
{
	char class[VERDICT_CLASS_SPACE];

	snprintf(class, sizeof(class), "exec.%d", code);
	verdict_init(v, builtin_outcome(CONF_KIND_EXEC, class), "%s", class);
	if (v->outcome != OUTCOME_OK)
		set_error(v, tail, "");
}

void
exec_verdict_once(struct verdict *v, const char *program,
    const struct child_exit *end, const struct exec_tail *tail)
{
	if (end->how == CHILD_NOT_STARTED) {
		set_not_started(v, program, end->code);
	} else if (end->how == CHILD_SIGNALED) {
		set_signal(v, end->code, tail);
	} else {
		set_exit(v, end->code, tail);
	}
}

void
exec_verdict_stream(struct verdict *v, const char *program,
    const struct child_exit *end, const struct exec_tail *tail)
{
	if (end->how == CHILD_NOT_STARTED) {
		set_not_started(v, program, end->code);
	} else if (end->how == CHILD_SIGNALED) {
		set_signal(v, end->code, tail);
	} else {
		verdict_init(v, OUTCOME_RETRY, "exec.exit.%d", end->code);
		set_error(v, tail, "ended without an answer");
	}
}

void
exec_verdict_timeout(struct verdict *v, int64_t timeout_ms,
    const struct exec_tail *tail)
{
	char why[WHY_SPACE], time[TEXT_DURATION_SPACE];

	verdict_init(v, OUTCOME_RETRY, "exec.timeout");
	snprintf(why, sizeof(why), "not done in %s, killed",
	    text_duration(time, timeout_ms));
	set_error(v, tail, why);
}
