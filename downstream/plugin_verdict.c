/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/plugin_verdict.h"

#include <stdio.h>
#include <string.h>

#include "lib/text.h"

#define WHY_SPACE 160
/* As long as anybody may want to wait: a hundred years. */
#define DELAY_MAX_MS (INT64_C(36500) * 86400000)

static enum outcome
outcome_of(int32_t outcome)
{
	switch (outcome) {
	case DLO_OK:
		return OUTCOME_OK;
	case DLO_REJECT:
		return OUTCOME_REJECT;
	default:
		return OUTCOME_RETRY;
	}
}

void
plugin_verdict_answer(struct verdict *v, const struct plugin_answer *answer)
{
	static const struct verdict plain_ok = {
		.outcome = OUTCOME_OK,
		.counts = true,
		.delay_ms = -1,
		.class = "plugin.0",
	};
	enum outcome outcome = outcome_of(answer->outcome);

	/* By far the most of them. */
	if (outcome == OUTCOME_OK && answer->class_len == 0) {
		*v = plain_ok;
		return;
	}
	verdict_init(v, outcome, "plugin.%d",
	    outcome == OUTCOME_OK ? 0 : (int)answer->code);
	verdict_set_class(v, answer->class, answer->class_len);
	/* What the policy does for a crash is ours alone to ask for. */
	if (text_dotted_prefix("crash", v->class, strlen(v->class))) {
		char own[VERDICT_CLASS_SPACE];

		memcpy(own, v->class, sizeof(own));
		snprintf(v->class, sizeof(v->class), "plugin.%.*s",
		    (int)(sizeof(own) - sizeof("plugin.")), own);
	}
	if (outcome != OUTCOME_OK)
		verdict_set_error(v, answer->error, answer->error_len);
	if (outcome == OUTCOME_RETRY && answer->delay_ms > 0)
		v->delay_ms = answer->delay_ms < DELAY_MAX_MS ? answer->delay_ms
							      : DELAY_MAX_MS;
}

/* What happened, and the last line of stderr if there is one. */
static void
set_error(struct verdict *v, const char *what, const struct exec_tail *tail)
{
	char text[WHY_SPACE + sizeof(": ") + sizeof(v->error)];

	exec_tail_tell(tail, v);
	if (v->error[0] == '\0') {
		verdict_set_text(v, what);
		return;
	}
	snprintf(text, sizeof(text), "%s: %s", what, v->error);
	verdict_set_text(v, text);
}

void
plugin_verdict_crash(struct verdict *v, const struct child_exit *end,
    const struct exec_tail *tail)
{
	const char *name = sigabbrev_np(end->code);
	const char *text = sigdescr_np(end->code);
	char what[WHY_SPACE];

	if (end->how != CHILD_SIGNALED) {
		verdict_init(v, OUTCOME_RETRY, "crash.exit");
		snprintf(what, sizeof(what), "exit status %d without an answer",
		    end->code);
	} else if (name == NULL) {
		verdict_init(v, OUTCOME_RETRY, "crash.signal.%d", end->code);
		snprintf(what, sizeof(what), "ended by signal %d", end->code);
	} else {
		verdict_init(v, OUTCOME_RETRY, "crash.SIG%s", name);
		snprintf(what, sizeof(what), "ended by signal %d (%s)",
		    end->code, text != NULL ? text : "?");
	}
	v->counts = false;
	set_error(v, what, tail);
}

void
plugin_verdict_nonsense(struct verdict *v, const char *what)
{
	verdict_init(v, OUTCOME_RETRY, "crash.protocol");
	v->counts = false;
	verdict_set_text(v, what);
}

void
plugin_verdict_timeout(struct verdict *v, int64_t timeout_ms,
    const struct exec_tail *tail)
{
	char what[WHY_SPACE], time[TEXT_DURATION_SPACE];

	verdict_init(v, OUTCOME_RETRY, "plugin.timeout");
	snprintf(what, sizeof(what), "not done in %s%s",
	    text_duration(time, timeout_ms), tail != NULL ? ", killed" : "");
	if (tail != NULL)
		set_error(v, what, tail);
	else
		verdict_set_text(v, what);
}
