/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One look at a queue of dead letters that leaves every letter, and their
 * order, as they were: each is shown, then all of them are given back (scan.h
 * says how). While it lasts nobody else sees what it holds, so it holds for
 * no longer than it must: having shown as many as are wanted it shows no more,
 * but a queue's order is only kept if all are taken before they are given
 * back.
 */
#ifndef DLO_REDRIVE_SURVEY_H
#define DLO_REDRIVE_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

struct conf_filter;
struct envelope;
struct job_env;
struct rmq_conn;
struct rmq_message;
struct survey;

/* All that it points to must outlive the survey. */
struct survey_options {
	const struct job_env *env;
	const char *work_queue; /* the pipeline's */
	const char *queue;	/* what to look at */
	const struct conf_filter *filter;
	uint64_t limit; /* letters to show at most; 0: no limit */
};

/* Called from the loop, never inside a call. */
struct survey_cbs {
	/* A letter that the filter takes; gone on return. */
	void (*letter)(void *arg, const struct envelope *,
	    const struct rmq_message *);
	/* Another letter was looked at, whether it was taken or not. */
	void (*seen)(void *arg);
	/*
	 * No more letters: all there were have been seen, or as many as wanted
	 * (`why` NULL), or it was broken off. What it holds is still to be
	 * given back.
	 */
	void (*shown)(void *arg, const char *why);
	/* Nothing is held any more; free it at leisure. */
	void (*ended)(void *arg);
};

struct survey *survey_new(const struct survey_options *, struct rmq_conn *,
    const struct survey_cbs *, void *arg);
/* Lets go of everything at once; from callbacks only from `ended`. */
void survey_free(struct survey *);
/* The connection is gone. */
void survey_detach(struct survey *);
/* Shows no more and gives back. */
void survey_stop(struct survey *, const char *why);
/* The same; giving back may take no longer than drain_timeout. */
void survey_drain(struct survey *, const char *why);
/* Off: letters stop coming soon, until it is on again. */
void survey_pull(struct survey *, bool on);

/* Letters seen, and how many there are to see, at least. */
uint64_t survey_seen(const struct survey *);
uint64_t survey_total(const struct survey *);

#endif
