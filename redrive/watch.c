/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/watch.h"

#include <stdlib.h>
#include <string.h>

#include "config/conf.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/metrics.h"
#include "lib/xalloc.h"
#include "redrive/news.h"
#include "redrive/ramp.h"

struct watch {
	struct watch_options options;
	char *job;
	struct ledger *ledger;
	struct canary canary;
	struct ramp ramp;
	bool held;
	/* As they were said last. */
	enum canary_state said_state;
	uint32_t said_rate;
};

/* After each event: the ramp goes as long as all may go, changes are said. */
static void
changed(struct watch *w)
{
	int64_t now_ms = loop_now_ms(w->options.loop);

	if (w->canary.state == CANARY_OPEN && !w->held)
		ramp_begin(&w->ramp, now_ms);
	else
		ramp_stop(&w->ramp);
	if (w->canary.state != w->said_state)
		log_info("job_canary", LOG_STR("pipeline", w->options.pipeline),
		    LOG_STR("job", w->job),
		    LOG_STR("from", canary_state_name(w->said_state)),
		    LOG_STR("to", canary_state_name(w->canary.state)),
		    LOG_UINT("good", watch_good(w)),
		    LOG_UINT("failed_again", watch_bad(w)),
		    LOG_UINT("waiting", watch_waiting(w)));
	w->said_state = w->canary.state;
	if (w->ramp.on && w->said_rate != ramp_rate(&w->ramp)) {
		w->said_rate = ramp_rate(&w->ramp);
		log_info("job_rate", LOG_STR("pipeline", w->options.pipeline),
		    LOG_STR("job", w->job), LOG_UINT("rate", w->said_rate),
		    LOG_UINT("good", watch_good(w)),
		    LOG_UINT("failed_again", watch_bad(w)));
	}
}

struct watch *
watch_new(const struct watch_options *options)
{
	const struct conf_redrive *conf = options->conf;
	const struct canary_params canary = {
		.canary = options->canary,
		.timeout_ms = conf->verdict_timeout_ms,
		.abort_above = conf->abort_above,
	};
	const struct ramp_params ramp = {
		.start = conf->ramp.start,
		.limit = options->rate,
		.step_ms = conf->ramp.double_every_ms,
		.bad_share = conf->abort_above / 2,
		.blind = options->canary == 0,
	};
	struct watch *w = xcalloc(1, sizeof(*w));

	w->options = *options;
	w->job = xstrdup(options->job);
	w->ledger = ledger_new(loop_random(options->loop));
	canary_init(&w->canary, &canary, w->ledger, loop_now_ms(options->loop));
	ramp_init(&w->ramp, &ramp, CANARY_STEPS);
	w->said_state = w->canary.state;
	changed(w);
	return w;
}

void
watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	ledger_free(w->ledger);
	free(w->job);
	free(w);
}

enum canary_state
watch_state(const struct watch *w)
{
	return w->canary.state;
}

uint64_t
watch_credit(const struct watch *w)
{
	return canary_credit(&w->canary);
}

uint32_t
watch_rate(const struct watch *w)
{
	return ramp_rate(&w->ramp);
}

void
watch_sent(struct watch *w, struct rmq_slice id)
{
	canary_sent(&w->canary, id, w->ramp.step, loop_now_ms(w->options.loop));
	ramp_sent(&w->ramp);
	changed(w);
}

void
watch_unsent(struct watch *w, struct rmq_slice id)
{
	canary_unsent(&w->canary, id);
	changed(w);
}

void
watch_exhausted(struct watch *w)
{
	canary_exhausted(&w->canary, loop_now_ms(w->options.loop));
	changed(w);
}

void
watch_heard(struct watch *w, const struct news *news)
{
	const struct rmq_slice id = { news->id, news->id_len };
	int64_t now_ms = loop_now_ms(w->options.loop);
	enum ramp_word word = RAMP_BAD;
	uint32_t step;

	if (news->kind != NEWS_OUTCOME || strcmp(news->job, w->job) != 0 ||
	    strcmp(news->pipeline, w->options.pipeline) != 0 ||
	    !canary_heard(&w->canary, id, news->good, &step, now_ms))
		return;
	if (!news->good)
		metrics_inc(w->options.failed_again);
	if (news->good)
		word = RAMP_GOOD;
	else if (news->refused)
		word = RAMP_NEITHER;
	ramp_heard(&w->ramp, step, word, now_ms);
	changed(w);
}

void
watch_dead(struct watch *w, struct rmq_slice id)
{
	if (canary_dead(&w->canary, id, loop_now_ms(w->options.loop)))
		metrics_inc(w->options.failed_again);
	changed(w);
}

void
watch_looked(struct watch *w)
{
	canary_looked(&w->canary, loop_now_ms(w->options.loop));
	changed(w);
}

void
watch_hold(struct watch *w, bool on)
{
	w->held = on;
	canary_hold(&w->canary, on, loop_now_ms(w->options.loop));
	changed(w);
}

void
watch_broke(struct watch *w)
{
	ramp_broke(&w->ramp, loop_now_ms(w->options.loop));
	changed(w);
}

int64_t
watch_due_ms(const struct watch *w)
{
	int64_t canary_ms = canary_due_ms(&w->canary);
	int64_t ramp_ms = ramp_due_ms(&w->ramp);

	return canary_ms < ramp_ms ? canary_ms : ramp_ms;
}

void
watch_tick(struct watch *w)
{
	canary_tick(&w->canary, loop_now_ms(w->options.loop));
	ramp_tick(&w->ramp, loop_now_ms(w->options.loop));
	changed(w);
}

uint64_t
watch_good(const struct watch *w)
{
	return ledger_good(w->ledger);
}

uint64_t
watch_bad(const struct watch *w)
{
	return ledger_bad(w->ledger);
}

uint64_t
watch_waiting(const struct watch *w)
{
	return ledger_waiting(w->ledger);
}
