/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/events.h"

#include <stdlib.h>

#include "dlx/teller.h"
#include "lib/xalloc.h"

enum events_kind {
	EVENTS_OUTCOME,
	EVENTS_DEAD,
	EVENTS_BREAKER,
	EVENTS_KIND_COUNT
};

static const char *const kind_names[EVENTS_KIND_COUNT] = {
	[EVENTS_OUTCOME] = "outcome",
	[EVENTS_DEAD] = "dead",
	[EVENTS_BREAKER] = "breaker",
};

struct events {
	struct teller *teller;
	struct loop *loop;
};

struct events *
events_new(const struct teller_env *env)
{
	struct teller_env own = *env;
	struct events *ev = xcalloc(1, sizeof(*ev));

	own.app = "dlo-consumer";
	own.kinds = kind_names;
	own.kind_count = EVENTS_KIND_COUNT;
	ev->teller = teller_new(&own);
	ev->loop = env->loop;
	return ev;
}

void
events_free(struct events *ev)
{
	if (ev == NULL)
		return;
	teller_free(ev->teller);
	free(ev);
}

/* Begins one about a message. */
static struct buf *
begin_message(struct events *ev, enum events_kind kind, const char *pipeline,
    const struct envelope *e)
{
	struct buf *out = teller_begin(ev->teller, kind);

	teller_add_str(out, "pipeline", pipeline);
	teller_add_id(out, e->id);
	teller_add_some(out, "job", e->job);
	teller_add_int(out, "redrives", e->redrives);
	return out;
}

void
events_outcome(struct events *ev, const char *pipeline,
    const struct envelope *e, const struct events_attempt *attempt)
{
	const struct verdict *verdict = attempt->verdict;
	struct buf *out;

	if (e->job.len == 0)
		return;
	out = begin_message(ev, EVENTS_OUTCOME, pipeline, e);
	teller_add_int(out, "attempt", e->attempt + 1);
	teller_add_str(out, "outcome", verdict_outcome_name(attempt->outcome));
	teller_add_str(out, "class", verdict->class);
	teller_add_some(out, "error", rmq_slice_of(verdict->error));
	teller_add_int(out, "handler_ms", attempt->handler_ms);
	teller_add_str(out, "next", attempt->next);
	teller_add_int(out, "delay_ms", attempt->delay_ms);
	teller_tell(ev->teller, EVENTS_OUTCOME, pipeline);
}

void
events_dead(struct events *ev, const char *pipeline, const struct envelope *e)
{
	struct buf *out = begin_message(ev, EVENTS_DEAD, pipeline, e);

	teller_add_int(out, "attempt", e->attempt);
	teller_add_str(out, "reason", envelope_reason_name(e->reason));
	teller_add_some(out, "class", e->class);
	teller_add_some(out, "error", e->error);
	teller_tell(ev->teller, EVENTS_DEAD, pipeline);
}

void
events_breaker(struct events *ev, const struct downstream *downstream,
    const enum breaker_state *from)
{
	struct buf *out = teller_begin(ev->teller, EVENTS_BREAKER);
	enum breaker_state state = downstream_state(downstream);

	teller_add_str(out, "downstream", downstream_name(downstream));
	teller_add_str(out, "state", breaker_state_name(state));
	if (from != NULL)
		teller_add_str(out, "previous", breaker_state_name(*from));
	teller_add_int(out, "opened", (int64_t)downstream_opened(downstream));
	if (state == BREAKER_OPEN)
		teller_add_time(out, "until",
		    loop_wall_ms(ev->loop) + downstream_open_ms(downstream));
	teller_tell(ev->teller, EVENTS_BREAKER, downstream_name(downstream));
}
