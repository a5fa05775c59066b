/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/ramp.h"

static uint32_t
lesser(uint32_t a, uint64_t b)
{
	return a < b ? a : (uint32_t)b;
}

static uint32_t
at_least_one(uint32_t n)
{
	return n > 0 ? n : 1;
}

static void
next_step(struct ramp *ramp, int64_t now_ms)
{
	ramp->step++;
	ramp->sent = ramp->good = ramp->bad = ramp->heard = 0;
	ramp->due_ms = now_ms + ramp->params.step_ms;
}

void
ramp_init(struct ramp *ramp, const struct ramp_params *params, uint32_t step)
{
	*ramp = (struct ramp){
		.params = *params,
		.rate = lesser(params->start, params->limit),
		.cap = params->limit,
		.step = step,
	};
}

void
ramp_begin(struct ramp *ramp, int64_t now_ms)
{
	if (ramp->on)
		return;
	ramp->on = true;
	ramp->rate = lesser(ramp->params.start, ramp->cap);
	next_step(ramp, now_ms);
}

void
ramp_stop(struct ramp *ramp)
{
	ramp->on = false;
}

uint32_t
ramp_rate(const struct ramp *ramp)
{
	return ramp->rate;
}

void
ramp_sent(struct ramp *ramp)
{
	ramp->sent++;
}

static void
halve(struct ramp *ramp, int64_t now_ms)
{
	ramp->cap = at_least_one((uint32_t)((uint64_t)ramp->rate * 3 / 4));
	ramp->rate = at_least_one(ramp->rate / 2);
	ramp->calm = 0;
	ramp->raise_8 = 1;
	next_step(ramp, now_ms);
}

void
ramp_heard(struct ramp *ramp, uint32_t step, enum ramp_word word,
    int64_t now_ms)
{
	ramp->heard++;
	if (step != ramp->step || word == RAMP_NEITHER)
		return;
	if (word == RAMP_GOOD)
		ramp->good++;
	else
		ramp->bad++;
	if (ramp->on && ramp->bad >= RAMP_BAD_LEAST &&
	    (double)ramp->bad >
		ramp->params.bad_share * (double)(ramp->good + ramp->bad))
		halve(ramp, now_ms);
}

void
ramp_broke(struct ramp *ramp, int64_t now_ms)
{
	if (ramp->on)
		halve(ramp, now_ms);
}

int64_t
ramp_due_ms(const struct ramp *ramp)
{
	return ramp->on ? ramp->due_ms : INT64_MAX;
}

static void
grow(struct ramp *ramp)
{
	if (ramp->rate < ramp->cap) {
		ramp->rate = lesser(ramp->cap, 2 * (uint64_t)ramp->rate);
	} else if (ramp->cap < ramp->params.limit &&
	    ++ramp->calm >= RAMP_CALM_STEPS) {
		ramp->calm = 0;
		ramp->cap = lesser(ramp->params.limit,
		    ramp->cap + (uint64_t)ramp->cap * ramp->raise_8 / 8 + 1);
		if (ramp->raise_8 < 8)
			ramp->raise_8 *= 2;
	}
}

void
ramp_tick(struct ramp *ramp, int64_t now_ms)
{
	if (!ramp->on || now_ms < ramp->due_ms)
		return;
	/* A step that proved nothing is taken again. */
	if (ramp->sent == 0 || (!ramp->params.blind && ramp->heard == 0)) {
		ramp->due_ms = now_ms + ramp->params.step_ms;
		return;
	}
	grow(ramp);
	next_step(ramp, now_ms);
}

int64_t
ramp_duration_ms(const struct ramp_params *params, uint64_t count)
{
	uint64_t rate = lesser(params->start, params->limit), in_step;
	int64_t ms = 0;

	while (rate < params->limit) {
		in_step = rate * (uint64_t)params->step_ms / 1000;
		if (count <= in_step)
			break;
		count -= in_step;
		ms += params->step_ms;
		rate = lesser(params->limit, 2 * rate);
	}
	/* In two parts, and below what no queue holds: nothing overflows. */
	if (count > INT64_MAX / 2000)
		count = INT64_MAX / 2000;
	return ms + (int64_t)(count / rate * 1000) +
	    (int64_t)(count % rate * 1000 / rate);
}
