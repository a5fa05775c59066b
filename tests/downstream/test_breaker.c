/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The breaker: scripts of events, then random runs against invariants. */
#include "tests/unit.h"

#include "downstream/breaker.h"
#include "lib/log.h"

static const struct breaker_params defaults = {
	.failures = 5,
	.ratio = 0.5,
	.minimum = 20,
	.window_ms = 10000,
	.open_ms = 5000,
	.open_max_ms = 60000,
	.limit = 64,
};

static int
setup(void **state)
{
	(void)state;
	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	return 0;
}

enum op {
	END,
	START,	     /* n attempts begin */
	GOOD,	     /* n attempts begin and end well, one after another */
	BAD,	     /* likewise, badly */
	NOTHING,     /* likewise, saying nothing */
	END_GOOD,    /* n attempts of those begun first end well */
	END_BAD,     /* likewise, badly */
	END_NOTHING, /* likewise, saying nothing */
	WAIT,	     /* n ms pass */
	STEP,	     /* n times: a second passes, then one ends well */
	DUE,	     /* the time until it is due passes */
	PROBE_BAD,
	PROBE_GOOD,    /* good, but not yet healthy */
	PROBE_HEALTHY, /* good, and healthy */
};

/* What happens, and what the breaker is like afterwards. */
struct step {
	enum op op;
	unsigned n;
	enum breaker_state state;
	unsigned room;
};

struct script {
	const char *name;
	bool probed;
	unsigned limit;
	unsigned failures; /* 0: as in the defaults */
	struct step steps[24];
};

#define CLOSED	  BREAKER_CLOSED
#define HALF_OPEN BREAKER_HALF_OPEN
#define OPEN	  BREAKER_OPEN

static const struct script scripts[] = {
	{ "failures in a row", false, 64, 0,
	    { { BAD, 4, CLOSED, 64 }, { BAD, 1, OPEN, 0 } } },
	{ "a good one breaks the row", false, 64, 0,
	    { { BAD, 4, CLOSED, 64 }, { GOOD, 1, CLOSED, 64 },
		{ BAD, 4, CLOSED, 64 }, { BAD, 1, OPEN, 0 } } },
	{ "what does not count does not break the row", false, 64, 0,
	    { { BAD, 4, CLOSED, 64 }, { NOTHING, 50, CLOSED, 64 },
		{ BAD, 1, OPEN, 0 } } },
	{ "what does not count is no volume", false, 64, 0,
	    { { GOOD, 1, CLOSED, 64 }, { NOTHING, 100, CLOSED, 64 },
		{ BAD, 4, CLOSED, 64 } } },
	{ "ratio of the minimum", false, 64, 0,
	    { { GOOD, 8, CLOSED, 64 }, { BAD, 4, CLOSED, 64 },
		{ GOOD, 1, CLOSED, 64 }, { BAD, 4, CLOSED, 64 },
		{ GOOD, 1, CLOSED, 64 }, { BAD, 1, CLOSED, 64 },
		{ BAD, 1, OPEN, 0 } } },
	{ "below the ratio", false, 64, 0,
	    { { GOOD, 20, CLOSED, 64 }, { BAD, 4, CLOSED, 64 },
		{ GOOD, 4, CLOSED, 64 }, { BAD, 4, CLOSED, 64 },
		{ GOOD, 4, CLOSED, 64 }, { BAD, 4, CLOSED, 64 } } },
	{ "the window forgets", false, 64, 0,
	    { { BAD, 4, CLOSED, 64 }, { GOOD, 1, CLOSED, 64 },
		{ BAD, 4, CLOSED, 64 }, { GOOD, 1, CLOSED, 64 },
		{ WAIT, 10000, CLOSED, 64 }, { GOOD, 11, CLOSED, 64 },
		{ BAD, 4, CLOSED, 64 } } },
	{ "trial message: good", false, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 1 },
		{ START, 1, HALF_OPEN, 0 }, { END_GOOD, 1, CLOSED, 1 } } },
	{ "trial message: bad", false, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 1 },
		{ BAD, 1, OPEN, 0 } } },
	{ "trial message: says nothing, so the next one", false, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 1 },
		{ START, 1, HALF_OPEN, 0 }, { END_NOTHING, 1, HALF_OPEN, 1 },
		{ NOTHING, 3, HALF_OPEN, 1 }, { GOOD, 1, CLOSED, 1 } } },
	{ "trips also when nothing ever succeeded", false, 64, 1000,
	    { { BAD, 19, CLOSED, 64 }, { BAD, 1, OPEN, 0 },
		{ DUE, 0, HALF_OPEN, 1 }, { BAD, 1, OPEN, 0 } } },
	{ "slow start", false, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 1 },
		{ GOOD, 9, CLOSED, 1 }, { WAIT, 999, CLOSED, 1 },
		{ GOOD, 1, CLOSED, 1 }, { WAIT, 1, CLOSED, 1 },
		{ GOOD, 9, CLOSED, 2 }, { START, 2, CLOSED, 0 },
		{ WAIT, 1000, CLOSED, 0 }, { END_GOOD, 1, CLOSED, 3 },
		{ END_GOOD, 1, CLOSED, 4 }, { STEP, 1, CLOSED, 8 },
		{ NOTHING, 5, CLOSED, 8 }, { STEP, 3, CLOSED, 64 },
		/* Not yet recovered, but too few for a cut. */
		{ BAD, 2, CLOSED, 64 }, { STEP, 1, CLOSED, 64 },
		{ BAD, 4, CLOSED, 64 }, { BAD, 1, OPEN, 0 } } },
	{ "slow start to an odd limit", false, 5, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 1 },
		{ GOOD, 1, CLOSED, 1 }, { STEP, 2, CLOSED, 4 },
		{ BAD, 4, CLOSED, 2 }, { BAD, 2, OPEN, 0 },
		{ DUE, 0, HALF_OPEN, 1 }, { GOOD, 1, CLOSED, 1 },
		{ STEP, 3, CLOSED, 5 }, { STEP, 1, CLOSED, 5 },
		{ BAD, 4, CLOSED, 5 } } },
	{ "slow start to one", false, 1, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 1 },
		{ GOOD, 1, CLOSED, 1 }, { STEP, 1, CLOSED, 1 },
		{ BAD, 4, CLOSED, 1 }, { BAD, 1, OPEN, 0 } } },
	{ "slow start finds the level", false, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 1 },
		{ GOOD, 1, CLOSED, 1 }, { STEP, 4, CLOSED, 16 },
		/* Two of many say nothing, the third is one too many. */
		{ START, 16, CLOSED, 0 }, { END_BAD, 2, CLOSED, 2 },
		{ END_BAD, 1, CLOSED, 0 },
		/* Those that began before are known to be too many. */
		{ END_BAD, 10, CLOSED, 5 }, { END_GOOD, 3, CLOSED, 8 },
		{ STEP, 3, CLOSED, 11 }, { BAD, 3, CLOSED, 5 },
		/* Nothing goes well with less: it is down. */
		{ BAD, 2, CLOSED, 5 }, { BAD, 1, OPEN, 0 } } },
	{ "a few of many are no reason to slow down", false, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 1 },
		{ GOOD, 1, CLOSED, 1 }, { STEP, 3, CLOSED, 8 },
		{ GOOD, 40, CLOSED, 8 }, { BAD, 4, CLOSED, 8 },
		/* But one to go on by one at a time. */
		{ STEP, 2, CLOSED, 10 } } },
	{ "a row in slow start: with less first", false, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 1 },
		{ GOOD, 1, CLOSED, 1 }, { STEP, 3, CLOSED, 8 },
		{ GOOD, 90, CLOSED, 8 }, { BAD, 4, CLOSED, 8 },
		{ BAD, 1, CLOSED, 4 }, { GOOD, 1, CLOSED, 4 },
		{ BAD, 3, CLOSED, 2 }, { BAD, 2, CLOSED, 2 },
		{ BAD, 1, OPEN, 0 } } },
	{ "what fails alone as well fails not of the load", false, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 1 },
		{ GOOD, 3, CLOSED, 1 }, { BAD, 2, CLOSED, 1 },
		{ STEP, 1, CLOSED, 2 }, { GOOD, 5, CLOSED, 2 },
		{ BAD, 3, CLOSED, 2 }, { STEP, 1, CLOSED, 3 } } },
	{ "late results say nothing new", false, 64, 0,
	    { { START, 20, CLOSED, 44 }, { END_BAD, 5, OPEN, 0 },
		{ END_BAD, 3, OPEN, 0 }, { END_GOOD, 2, OPEN, 0 },
		{ DUE, 0, HALF_OPEN, 1 }, { END_GOOD, 2, HALF_OPEN, 1 },
		{ END_BAD, 2, HALF_OPEN, 1 }, { GOOD, 1, CLOSED, 1 },
		{ END_BAD, 2, CLOSED, 1 }, { END_GOOD, 2, CLOSED, 1 },
		{ END_NOTHING, 2, CLOSED, 1 } } },
	{ "probe: a bad one", true, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 0 },
		{ PROBE_BAD, 0, OPEN, 0 } } },
	{ "probe: healthy in the end", true, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 0 },
		{ PROBE_GOOD, 0, HALF_OPEN, 0 },
		{ PROBE_GOOD, 0, HALF_OPEN, 0 },
		{ PROBE_HEALTHY, 0, CLOSED, 1 }, { STEP, 1, CLOSED, 2 } } },
	{ "probe: healthy, but the first message says otherwise", true, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 0 },
		{ PROBE_HEALTHY, 0, CLOSED, 1 }, { BAD, 1, OPEN, 0 } } },
	{ "probe: decides only when half-open", true, 64, 0,
	    { { PROBE_BAD, 0, CLOSED, 64 }, { BAD, 5, OPEN, 0 },
		{ PROBE_HEALTHY, 0, OPEN, 0 } } },
	{ "probe: not where a message decides", false, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 1 },
		{ PROBE_HEALTHY, 0, HALF_OPEN, 1 },
		{ PROBE_BAD, 0, HALF_OPEN, 1 } } },
	{ "the row begins anew", false, 64, 0,
	    { { BAD, 5, OPEN, 0 }, { DUE, 0, HALF_OPEN, 1 },
		{ GOOD, 1, CLOSED, 1 }, { STEP, 7, CLOSED, 64 },
		{ BAD, 4, CLOSED, 64 }, { GOOD, 1, CLOSED, 64 },
		{ BAD, 4, CLOSED, 64 } } },
};

struct run {
	struct breaker b;
	int64_t now_ms;
	uint64_t tickets[256]; /* of attempts under way, a ring */
	size_t head, tail;
};

static void
run_start(struct run *r)
{
	r->tickets[r->tail++ % 256] = breaker_start(&r->b);
}

static void
run_end(struct run *r, enum breaker_result result)
{
	assert_true(r->head < r->tail);
	breaker_finish(&r->b, r->tickets[r->head++ % 256], result, r->now_ms);
}

/* An attempt that begins and ends at once, beside those under way. */
static void
run_whole(struct run *r, enum breaker_result result)
{
	breaker_finish(&r->b, breaker_start(&r->b), result, r->now_ms);
}

static void
run_step(struct run *r, enum op op)
{
	switch (op) {
	case START:
		run_start(r);
		break;
	case GOOD:
	case BAD:
	case NOTHING:
		run_whole(r, (enum breaker_result)(op - GOOD));
		break;
	case END_GOOD:
	case END_BAD:
	case END_NOTHING:
		run_end(r, (enum breaker_result)(op - END_GOOD));
		break;
	case WAIT:
		r->now_ms++;
		breaker_tick(&r->b, r->now_ms);
		break;
	case STEP:
		r->now_ms += BREAKER_STEP_MS;
		run_whole(r, BREAKER_GOOD);
		break;
	case DUE:
		r->now_ms = breaker_due_ms(&r->b);
		breaker_tick(&r->b, r->now_ms - 1);
		assert_int_equal(breaker_state(&r->b), OPEN);
		breaker_tick(&r->b, r->now_ms);
		break;
	case PROBE_BAD:
	case PROBE_GOOD:
	case PROBE_HEALTHY:
		breaker_probe(&r->b, op != PROBE_BAD, op == PROBE_HEALTHY,
		    r->now_ms);
		break;
	case END:
		break;
	}
}

static void
follows_scripts(void **state)
{
	struct breaker_params params = defaults;
	const struct step *step;
	struct run r;
	unsigned n;
	size_t i;

	(void)state;
	for (i = 0; i < array_len(scripts); i++) {
		memset(&r, 0, sizeof(r));
		params.limit = scripts[i].limit;
		params.probed = scripts[i].probed;
		params.failures = scripts[i].failures > 0 ? scripts[i].failures
							  : defaults.failures;
		breaker_init(&r.b, "d", &params, i);
		for (step = scripts[i].steps; step->op != END; step++) {
			n = step->n;
			if (step->op == DUE || step->op >= PROBE_BAD)
				n = 1;
			while (n-- > 0)
				run_step(&r, step->op);
			if (breaker_state(&r.b) == step->state &&
			    breaker_room(&r.b) == step->room)
				continue;
			fail_msg("%s, step %zu: %s, room %u", scripts[i].name,
			    (size_t)(step - scripts[i].steps),
			    breaker_state_name(breaker_state(&r.b)),
			    breaker_room(&r.b));
		}
	}
}

/* Each opening lasts twice as long, up to the most; then from the start. */
static void
opens_for_longer(void **state)
{
	static const int64_t expected_ms[] = { 5000, 10000, 20000, 40000, 60000,
		60000, 60000 };
	struct breaker b;
	int64_t now_ms = 1000, open_ms;
	size_t i, k;

	(void)state;
	breaker_init(&b, "d", &defaults, 42);
	for (i = 0; i < 5; i++)
		breaker_finish(&b, breaker_start(&b), BREAKER_BAD, now_ms);
	for (i = 0; i < array_len(expected_ms); i++) {
		open_ms = breaker_open_ms(&b, now_ms);
		assert_in_range(open_ms, expected_ms[i] * 8 / 10,
		    expected_ms[i]);
		assert_int_equal(breaker_due_ms(&b), now_ms + open_ms);
		now_ms += open_ms;
		breaker_tick(&b, now_ms);
		assert_int_equal(breaker_due_ms(&b), -1);
		assert_int_equal(breaker_open_ms(&b, now_ms), 0);
		breaker_finish(&b, breaker_start(&b), BREAKER_BAD, now_ms);
	}
	now_ms = breaker_due_ms(&b);
	breaker_tick(&b, now_ms);
	for (k = 0; k < 8; k++) {
		breaker_finish(&b, breaker_start(&b), BREAKER_GOOD, now_ms);
		now_ms += BREAKER_STEP_MS;
	}
	assert_int_equal(breaker_room(&b), 64);
	for (i = 0; i < 5; i++)
		breaker_finish(&b, breaker_start(&b), BREAKER_BAD, now_ms);
	assert_in_range(breaker_open_ms(&b, now_ms), 4000, 5000);
}

static void
jitters_by_its_seed(void **state)
{
	struct breaker a, b, c;
	int i;

	(void)state;
	breaker_init(&a, "d", &defaults, 1);
	breaker_init(&b, "d", &defaults, 2);
	breaker_init(&c, "d", &defaults, 1);
	for (i = 0; i < 5; i++) {
		breaker_finish(&a, breaker_start(&a), BREAKER_BAD, 0);
		breaker_finish(&b, breaker_start(&b), BREAKER_BAD, 0);
		breaker_finish(&c, breaker_start(&c), BREAKER_BAD, 0);
	}
	assert_true(breaker_due_ms(&a) != breaker_due_ms(&b));
	assert_int_equal(breaker_due_ms(&a), breaker_due_ms(&c));
}

/*
 * Random runs, beside a simple model: every counted result with its time
 * since the breaker last opened.
 */
#define RESULTS_MAX 4000

struct model {
	uint64_t random;
	struct {
		int64_t at_ms;
		bool good;
	} results[RESULTS_MAX];
	size_t count;
	unsigned row, openings, allowed;
	struct breaker_slow slow;
};

static unsigned
pick(struct model *m, unsigned below)
{
	m->random = m->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(m->random >> 33) % below;
}

/*
 * A closed breaker got a bad result: was it right to open, or not to? What
 * counts is the current slice of the window's time and the 15 before it.
 */
static void
model_check_bad(const struct model *m, const struct breaker *b, int64_t now_ms)
{
	const struct breaker_params *p = &b->params;
	int64_t slice_ms = p->window_ms / BREAKER_SLOTS;
	unsigned bad = 0, all = 0;
	bool row;
	size_t i;

	for (i = 0; i < m->count; i++) {
		if (m->results[i].at_ms / slice_ms + BREAKER_SLOTS <=
		    now_ms / slice_ms)
			continue;
		all++;
		bad += !m->results[i].good;
	}
	if (!m->slow.on)
		row = m->row >= p->failures;
	else if (!m->slow.proven)
		row = true;
	else if (m->slow.vain)
		row = m->row >= p->failures || m->row >= 3;
	else
		row = m->row >= p->failures &&
		    (m->allowed == 1 || m->slow.good == 0);
	assert_int_equal(breaker_state(b) == BREAKER_OPEN,
	    row || (all >= p->minimum && bad >= p->ratio * all));
}

/* Slow start, closed. */
static void
model_slow(struct model *m, const struct breaker_params *p, bool good,
    int64_t now_ms)
{
	struct breaker_slow *slow = &m->slow;
	double share;

	slow->good += good;
	slow->bad += !good;
	slow->vain = slow->vain && !good;
	share = (double)slow->bad / (slow->good + slow->bad);
	if (!good && m->allowed > 1) {
		slow->cautious |= slow->bad >= 3 || m->row >= p->failures;
		if (m->row < p->failures &&
		    (slow->bad < 3 || share <= slow->noise + 0.1))
			return;
		m->allowed /= 2;
		m->row = 0;
		slow->vain = true;
	} else if (good && now_ms - slow->began_ms >= 1000) {
		if (m->allowed == p->limit) {
			slow->on = false;
			m->openings = 0;
			return;
		}
		if (m->allowed == 1)
			slow->noise = share;
		m->allowed += slow->cautious ? 1 : m->allowed;
		if (m->allowed > p->limit)
			m->allowed = p->limit;
	} else {
		return;
	}
	slow->good = slow->bad = 0;
	slow->began_ms = now_ms;
}

static void
model_opened(struct model *m, const struct breaker *b, int64_t now_ms)
{
	int64_t most_ms = b->params.open_ms;
	int64_t open_ms = breaker_open_ms(b, now_ms);
	unsigned i;

	for (i = 0; i < m->openings && most_ms < b->params.open_max_ms; i++)
		most_ms *= 2;
	if (most_ms > b->params.open_max_ms)
		most_ms = b->params.open_max_ms;
	assert_in_range(open_ms, most_ms * 8 / 10 - 1, most_ms);
	m->openings++;
	m->count = 0;
	m->row = 0;
}

static void
model_finish(struct model *m, struct breaker *b, uint64_t ticket,
    enum breaker_result result, int64_t now_ms)
{
	enum breaker_state before = breaker_state(b);
	bool late = ticket >> 32 != b->opened;
	bool stale = m->slow.on && ticket != (b->opened << 32 | b->cuts);

	breaker_finish(b, ticket, result, now_ms);
	if (late || result == BREAKER_NOTHING) {
		assert_int_equal(breaker_state(b), before);
		return;
	}
	if (before == BREAKER_HALF_OPEN) {
		assert_int_equal(breaker_state(b),
		    result == BREAKER_GOOD ? BREAKER_CLOSED : BREAKER_OPEN);
		if (breaker_state(b) == BREAKER_OPEN)
			model_opened(m, b, now_ms);
		m->slow = (struct breaker_slow){ .on = true,
			.proven = true,
			.began_ms = now_ms };
		m->allowed = 1;
		return;
	}
	if (stale && result == BREAKER_BAD) {
		assert_int_equal(breaker_state(b), BREAKER_CLOSED);
		return;
	}
	if (m->count == RESULTS_MAX)
		memmove(m->results, m->results + 1,
		    --m->count * sizeof(m->results[0]));
	m->results[m->count].at_ms = now_ms;
	m->results[m->count++].good = result == BREAKER_GOOD;
	m->row = result == BREAKER_GOOD ? 0 : m->row + 1;
	if (result == BREAKER_BAD) {
		model_check_bad(m, b, now_ms);
		if (breaker_state(b) == BREAKER_OPEN) {
			model_opened(m, b, now_ms);
			return;
		}
	}
	assert_int_equal(breaker_state(b), BREAKER_CLOSED);
	if (m->slow.on)
		model_slow(m, &b->params, result == BREAKER_GOOD, now_ms);
}

static void
random_run(uint64_t seed)
{
	struct breaker_params p = defaults;
	static struct model m;
	static uint64_t tickets[4096];
	size_t under_way = 0, i, k, current;
	struct breaker b;
	int64_t now_ms = 0;
	unsigned badness, allowed;

	memset(&m, 0, sizeof(m));
	m.random = seed;
	p.failures = 1 + pick(&m, 12);
	p.ratio = 0.1 + pick(&m, 90) / 100.0;
	p.minimum = 1 + pick(&m, 30);
	p.limit = 1 + pick(&m, 40);
	p.window_ms = 16 * (1 + pick(&m, 300));
	p.open_ms = 10 + pick(&m, 2000);
	p.open_max_ms = p.open_ms * (1 + pick(&m, 9));
	m.allowed = p.limit;
	badness = pick(&m, 100);
	breaker_init(&b, "d", &p, seed);
	for (i = 0; i < 3000; i++) {
		if (pick(&m, 200) == 0)
			badness = pick(&m, 100);
		while (pick(&m, 3) != 0 && breaker_room(&b) > 0 &&
		    under_way < array_len(tickets))
			tickets[under_way++] = breaker_start(&b);
		for (k = current = 0; k < under_way; k++)
			current += tickets[k] >> 32 == b.opened;
		allowed = m.allowed;
		if (breaker_state(&b) != BREAKER_CLOSED)
			allowed = breaker_state(&b) == BREAKER_HALF_OPEN;
		/* After a halving there may be more for a while. */
		assert_int_equal(breaker_room(&b),
		    allowed > current ? allowed - current : 0);
		while (under_way > 0 && pick(&m, 4) != 0) {
			k = pick(&m, (unsigned)under_way);
			model_finish(&m, &b, tickets[k],
			    pick(&m, 20) == 0		  ? BREAKER_NOTHING
				: pick(&m, 100) < badness ? BREAKER_BAD
							  : BREAKER_GOOD,
			    now_ms);
			tickets[k] = tickets[--under_way];
		}
		now_ms += pick(&m, 100) == 0 ? pick(&m, 5000) : pick(&m, 20);
		breaker_tick(&b, now_ms);
		if (breaker_due_ms(&b) >= 0)
			assert_true(breaker_due_ms(&b) > now_ms);
	}
}

static void
keeps_its_promises(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 300; seed++)
		random_run(seed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_scripts),
		cmocka_unit_test(opens_for_longer),
		cmocka_unit_test(jitters_by_its_seed),
		cmocka_unit_test(keeps_its_promises),
	};

	return cmocka_run_group_tests_name("breaker", tests, setup, NULL);
}
