/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Walks the list of a topology on one channel after another. Requests are
 * sent ahead of their answers, which come in the same order; the first "no"
 * closes the channel, so everything sent behind it was not carried out and is
 * sent again on the next channel. All requests may be repeated.
 *
 * What to ask about an item follows from what was learnt so far: declare it;
 * if that is forbidden, look whether it exists. After one such "forbidden" the
 * other items of its sort (ours, or named by the user) are looked for first,
 * so that a user without configure rights does not fill the broker's log.
 *
 * The channel is this file's until `closed`; the connection may vanish in
 * between (then `closed` comes too) but never inside a call from here. `done`
 * is called from a task at the end of a loop turn, as the last act.
 */
#include "dlx/topology_run.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/channel.h"
#include "lib/log.h"
#include "lib/xalloc.h"

#define NO_TEXT_SPACE sizeof(((struct rmq_close *)NULL)->text)
/* Requests sent ahead. */
#define WINDOW 64
/* The broker may wait for a quorum before it answers; not longer. */
#define SILENCE_MS 30000

/*
 * OPENING -> ASKING, ENDED
 * ASKING  -> REFUSED, ENDED
 * REFUSED -> OPENING, ENDED
 * ENDED   (for good)
 */
enum run_state { RUN_OPENING, RUN_ASKING, RUN_REFUSED, RUN_ENDED };

enum question {
	ASK_NOTHING, /* decided without the broker */
	ASK_DECLARE,
	ASK_PASSIVE, /* is it there? */
	ASK_BIND,
};

/* What is known of an item. */
enum knowledge {
	ITEM_OPEN,    /* nothing yet */
	ITEM_DENIED,  /* we may not declare it; is it there? */
	ITEM_ABSENT,  /* it is not there; may we declare it? */
	ITEM_ALIKE,   /* there, as we would declare it */
	ITEM_THERE,   /* there, not compared */
	ITEM_UNSEEN,  /* binding: not looked for */
	ITEM_PROBLEM, /* there perhaps: see the problem */
	ITEM_GONE,    /* surely not there: see the problem */
	ITEM_MOOT,    /* binding of something that is not there */
};

struct topology_run {
	struct loop *loop;
	struct rmq_conn *conn;
	struct rmq_channel *channel; /* NULL: none */
	const struct topology *topology;
	enum topology_mode mode;
	topology_done_cb *done;
	void *arg;
	enum run_state state;
	struct loop_task end;
	struct loop_timer *silence;
	enum knowledge *known;	   /* of each item */
	enum question *question;   /* last asked about it */
	size_t answered;	   /* items before this one are decided */
	size_t asked;		   /* items before this one were asked about */
	bool may_not_configure[2]; /* ours; named by the user */
	uint16_t no_code;	   /* REFUSED: what the broker said */
	char no_text[NO_TEXT_SPACE];
	char denied_text[NO_TEXT_SPACE]; /* of the item that is DENIED */
	struct topology_result result;
};

static const char *
run_state_name(enum run_state state)
{
	switch (state) {
	case RUN_OPENING:
		return "opening";
	case RUN_ASKING:
		return "asking";
	case RUN_REFUSED:
		return "refused";
	case RUN_ENDED:
		return "ended";
	}
	return "?";
}

static void
run_enter(struct topology_run *run, enum run_state to)
{
	static const unsigned legal[] = {
		[RUN_OPENING] = 1u << RUN_ASKING | 1u << RUN_ENDED,
		[RUN_ASKING] = 1u << RUN_REFUSED | 1u << RUN_ENDED,
		[RUN_REFUSED] = 1u << RUN_OPENING | 1u << RUN_ENDED,
		[RUN_ENDED] = 0,
	};

	log_debug("topology_run", LOG_STR("from", run_state_name(run->state)),
	    LOG_STR("to", run_state_name(to)));
	if ((legal[run->state] & 1u << to) == 0)
		abort();
	run->state = to;
}

static const struct topology_item *
item_at(const struct topology_run *run, size_t i)
{
	return &run->topology->items[i];
}

static void
run_end(struct topology_run *run, bool finished)
{
	run_enter(run, RUN_ENDED);
	loop_timer_stop(run->loop, run->silence);
	if (run->channel != NULL)
		rmq_channel_abandon(run->channel);
	run->channel = NULL;
	run->result.finished = finished;
	loop_defer(run->loop, &run->end);
}

/* Counts what was found and tells the owner; the owner may free the run. */
static void
run_report(void *arg)
{
	struct topology_run *run = arg;
	struct topology_result *result = &run->result;
	size_t i;

	result->usable = result->finished;
	for (i = 0; i < result->problem_count; i++) {
		if (result->problems[i].fault != TOPOLOGY_UNKNOWN)
			result->usable = false;
	}
	for (i = 0; i < run->topology->count; i++) {
		if (run->known[i] == ITEM_ALIKE)
			result->alike++;
		else if (run->known[i] == ITEM_THERE ||
		    run->known[i] == ITEM_UNSEEN)
			result->unseen++;
	}
	run->done(run->arg, result);
}

static void
run_problem(struct topology_run *run, size_t i, enum topology_fault fault)
{
	struct topology_result *result = &run->result;
	struct topology_problem *problem;

	result->problems = xrealloc(result->problems,
	    (result->problem_count + 1) * sizeof(*problem));
	problem = &result->problems[result->problem_count++];
	problem->item = item_at(run, i);
	problem->fault = fault;
	problem->code = run->no_code;
	problem->text = xstrdup(run->no_text);
	run->known[i] = fault == TOPOLOGY_MISSING || fault == TOPOLOGY_DENIED
	    ? ITEM_GONE
	    : ITEM_PROBLEM;
}

/* Whether binding `i` has both its ends, as far as is known. */
static bool
has_ends(const struct topology_run *run, size_t i)
{
	const struct topology_item *item = item_at(run, i);

	return run->known[item->target_index] != ITEM_GONE &&
	    run->known[item->source_index] != ITEM_GONE;
}

/* What to ask about exchange or queue `i` next. */
static enum question
node_question(const struct topology_run *run, size_t i)
{
	const struct topology_item *item = item_at(run, i);

	if (run->mode == TOPOLOGY_CHECK || item->foreign)
		return ASK_PASSIVE;
	if (run->known[i] == ITEM_ABSENT)
		return ASK_DECLARE;
	return run->may_not_configure[item->user_named] ? ASK_PASSIVE
							: ASK_DECLARE;
}

/*
 * What to ask about binding `i`. Its ends come first in the list, but their
 * answers may still be on their way: then hope for the best.
 */
static enum question
binding_question(const struct topology_run *run, size_t i)
{
	size_t source = item_at(run, i)->source_index;

	if (run->mode == TOPOLOGY_CHECK || !has_ends(run, i))
		return ASK_NOTHING;
	/* Who may not declare the exchange may hardly bind to it. */
	if (run->known[source] == ITEM_THERE ||
	    (run->known[source] < ITEM_ALIKE &&
		run->question[source] == ASK_PASSIVE))
		return ASK_NOTHING;
	return ASK_BIND;
}

static void run_answer(void *arg, const struct rmq_reply *);

static void
send_bind(struct topology_run *run, const struct topology_item *item)
{
	struct rmq_slice none = { NULL, 0 };

	if (item->kind == TOPOLOGY_QUEUE_BINDING)
		rmq_queue_bind(run->channel, item->name, item->source,
		    item->key, none, run_answer, run);
	else
		rmq_exchange_bind(run->channel, item->name, item->source,
		    item->key, none, run_answer, run);
}

static void
send_declare(struct topology_run *run, const struct topology_item *item,
    unsigned flags)
{
	struct rmq_slice args = { buf_peek(&item->args), item->args.len };

	if (item->kind == TOPOLOGY_QUEUE)
		rmq_queue_declare(run->channel, item->name, flags, args,
		    run_answer, run);
	else
		rmq_exchange_declare(run->channel, item->name, item->type,
		    flags, args, run_answer, run);
}

/* Asks about the next item. */
static void
run_ask(struct topology_run *run)
{
	size_t i = run->asked++;
	const struct topology_item *item = item_at(run, i);

	run->question[i] = topology_is_binding(item) ? binding_question(run, i)
						     : node_question(run, i);
	switch (run->question[i]) {
	case ASK_NOTHING:
		break;
	case ASK_DECLARE:
		send_declare(run, item, RMQ_DURABLE);
		break;
	case ASK_PASSIVE:
		send_declare(run, item, RMQ_DURABLE | RMQ_PASSIVE);
		break;
	case ASK_BIND:
		send_bind(run, item);
		break;
	}
}

/* Asks ahead, passes over what is not asked about, ends when all is done. */
static void
run_go_on(struct topology_run *run)
{
	size_t i, count = run->topology->count;

	do {
		while (
		    run->asked < count && run->asked - run->answered < WINDOW)
			run_ask(run);
		while (run->answered < run->asked &&
		    run->question[run->answered] == ASK_NOTHING) {
			i = run->answered++;
			run->known[i] =
			    has_ends(run, i) ? ITEM_UNSEEN : ITEM_MOOT;
		}
	} while (run->answered == run->asked && run->asked < count);
	if (run->answered == count)
		run_end(run, true);
	else
		loop_timer_start(run->loop, run->silence, SILENCE_MS);
}

/* The broker agreed to what was asked about the first open item. */
static void
run_yes(struct topology_run *run)
{
	size_t i = run->answered++;

	run->known[i] = ITEM_ALIKE;
	if (run->question[i] == ASK_PASSIVE && !item_at(run, i)->foreign)
		run->known[i] = ITEM_THERE;
	run_go_on(run);
}

/* Answers come in order; behind the first "no" all are "no". */
static void
run_answer(void *arg, const struct rmq_reply *reply)
{
	struct topology_run *run = arg;

	if (run->state != RUN_ASKING)
		return;
	if (reply->ok) {
		run_yes(run);
		return;
	}
	run->no_code = reply->error->code;
	memcpy(run->no_text, reply->error->text, sizeof(run->no_text));
	run_enter(run, RUN_REFUSED);
}

/* The "no" to a declaration of item `i`. */
static void
refused_declare(struct topology_run *run, size_t i)
{
	switch (run->no_code) {
	case 403:
		run->may_not_configure[item_at(run, i)->user_named] = true;
		if (run->known[i] == ITEM_ABSENT)
			run_problem(run, i, TOPOLOGY_DENIED);
		else
			run->known[i] = ITEM_DENIED;
		memcpy(run->denied_text, run->no_text, NO_TEXT_SPACE);
		return;
	case 404: /* declared before, but its node is down */
		run_problem(run, i, TOPOLOGY_UNKNOWN);
		return;
	case 405: /* exclusive to another connection */
		run_problem(run, i, TOPOLOGY_DIFFERENT);
		return;
	default:
		run_problem(run, i,
		    strstr(run->no_text, "inequivalent") != NULL
			? TOPOLOGY_DIFFERENT
			: TOPOLOGY_REFUSED);
	}
}

/* A 404 is also the word for "its node is down". */
static bool
says_missing(const struct topology_run *run)
{
	return run->no_code == 404 &&
	    (strstr(run->no_text, "no queue") != NULL ||
		strstr(run->no_text, "no exchange") != NULL);
}

/* The "no" to the question whether item `i` is there. */
static void
refused_passive(struct topology_run *run, size_t i)
{
	bool ours = run->mode == TOPOLOGY_DECLARE && !item_at(run, i)->foreign;

	if (run->no_code == 405) {
		run_problem(run, i, TOPOLOGY_DIFFERENT);
		return;
	}
	if (!says_missing(run)) {
		run_problem(run, i, TOPOLOGY_UNKNOWN);
		return;
	}
	if (!ours) {
		run_problem(run, i, TOPOLOGY_MISSING);
	} else if (run->known[i] == ITEM_DENIED) {
		/* That it is not there says less than why it stays so. */
		run->no_code = 403;
		memcpy(run->no_text, run->denied_text, NO_TEXT_SPACE);
		run_problem(run, i, TOPOLOGY_DENIED);
	} else {
		run->known[i] = ITEM_ABSENT;
	}
}

static void
refused_bind(struct topology_run *run, size_t i)
{
	switch (run->no_code) {
	case 403:
		run_problem(run, i, TOPOLOGY_UNKNOWN);
		return;
	case 404:
		run_problem(run, i,
		    says_missing(run) ? TOPOLOGY_MISSING : TOPOLOGY_UNKNOWN);
		return;
	default:
		run_problem(run, i, TOPOLOGY_REFUSED);
	}
}

/* What the broker's "no" means; what was asked behind it is asked again. */
static void
run_no(struct topology_run *run)
{
	size_t i = run->answered;

	switch (run->question[i]) {
	case ASK_DECLARE:
		refused_declare(run, i);
		break;
	case ASK_PASSIVE:
		refused_passive(run, i);
		break;
	default:
		refused_bind(run, i);
	}
	if (run->known[i] >= ITEM_ALIKE)
		run->answered++;
	run->asked = run->answered;
}

static void
run_opened(void *arg)
{
	struct topology_run *run = arg;

	run_enter(run, RUN_ASKING);
	run_go_on(run);
}

static void run_closed(void *arg, const struct rmq_close *);

static void
run_open(struct topology_run *run)
{
	static const struct rmq_channel_cbs cbs = {
		.opened = run_opened,
		.closed = run_closed,
	};

	run->channel = rmq_channel_open(run->conn, &cbs, run);
	if (run->channel == NULL)
		run_end(run, false);
	else
		loop_timer_start(run->loop, run->silence, SILENCE_MS);
}

static void
run_closed(void *arg, const struct rmq_close *why)
{
	struct topology_run *run = arg;

	run->channel = NULL;
	if (run->state != RUN_REFUSED || !rmq_conn_is_open(run->conn)) {
		log_debug("topology_lost",
		    LOG_STR("fault", rmq_fault_name(why->fault)),
		    LOG_STR("text", why->text));
		run_end(run, false);
		return;
	}
	run_no(run);
	run_enter(run, RUN_OPENING);
	run_open(run);
}

static void
run_silent(void *arg)
{
	struct topology_run *run = arg;

	log_warn("topology_silent", LOG_INT("waited_ms", SILENCE_MS));
	run_end(run, false);
}

struct topology_run *
topology_run_new(struct loop *loop, struct rmq_conn *conn,
    const struct topology *topology, enum topology_mode mode,
    topology_done_cb *done, void *arg)
{
	struct topology_run *run = xcalloc(1, sizeof(*run));

	run->loop = loop;
	run->conn = conn;
	run->topology = topology;
	run->mode = mode;
	run->done = done;
	run->arg = arg;
	run->known = xcalloc(topology->count, sizeof(*run->known));
	run->question = xcalloc(topology->count, sizeof(*run->question));
	run->silence = loop_timer_new(loop, run_silent, run);
	loop_task_init(&run->end, run_report, run);
	run_open(run);
	return run;
}

void
topology_run_free(struct topology_run *run)
{
	size_t i;

	if (run == NULL)
		return;
	if (run->channel != NULL)
		rmq_channel_abandon(run->channel);
	loop_undefer(run->loop, &run->end);
	loop_timer_free(run->loop, run->silence);
	for (i = 0; i < run->result.problem_count; i++)
		free(run->result.problems[i].text);
	free(run->result.problems);
	free(run->known);
	free(run->question);
	free(run);
}

const char *
topology_fault_name(enum topology_fault fault)
{
	switch (fault) {
	case TOPOLOGY_MISSING:
		return "missing";
	case TOPOLOGY_DIFFERENT:
		return "different";
	case TOPOLOGY_DENIED:
		return "denied";
	case TOPOLOGY_REFUSED:
		return "refused";
	case TOPOLOGY_UNKNOWN:
		return "unknown";
	}
	return "?";
}
