/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * dlo-redrive's core on virtual time against the model broker: one pipeline
 * `orders`, its downstream's health in the test's hand, and a client that
 * writes dead letters. Whatever happens, no letter may be acked whose copy is
 * not confirmed: world_check looks.
 */
#ifndef DLO_TESTS_REDRIVE_WORLD_H
#define DLO_TESTS_REDRIVE_WORLD_H

#include "redrive/redrive.h"
#include "tests/sim/model.h"
#include "tests/sim/sim_loop.h"
#include "tests/unit.h"

#define WORLD_ACKS_MAX 4096

/* What a consumer says of a message at once. */
enum world_word {
	WORLD_NOTHING,
	WORLD_OK,
	WORLD_RETRY,
	WORLD_REJECT,
};

struct world {
	struct loop *loop;
	struct model *model;
	struct sim_net *net;
	struct conf *conf;
	struct metrics *metrics;
	struct redrive *redrive, *other;
	bool healthy;	       /* what probes find */
	size_t held_max_bytes; /* as in redrive_env */
	uint16_t scan_prefetch;
	bool ready, ended;
	int exit_code;
	char result[4096]; /* what --once has printed */
	/* When letters left orders.dlq, in order. */
	int64_t acked_us[WORLD_ACKS_MAX];
	size_t acked;
	/* The consumer's verdict on what is redriven; NULL: none consumes. */
	enum world_word (*verdict)(struct world *, uint32_t lineage);
	const char *verdict_user; /* who tells it */
	char job[64];		  /* of what was redriven last */
	uint64_t redriven;	  /* published to dlo.redrive */
	uint64_t refused;	  /* of them by `verdict`, if it counts */
	int64_t redriven_us[WORLD_ACKS_MAX]; /* when */
	struct rmq_link *link;		     /* the client's */
	struct rmq_publisher *publisher;
};

/* A dead letter to write. */
struct world_letter {
	const char *reason;
	const char *job; /* dlo-job; or NULL */
	int64_t redrives;
	int64_t dead_ms; /* wall clock */
	size_t body_bytes;
};

/* In that section: as fast as can be from the start, no verdicts wanted. */
#define WORLD_BLIND "canary: 0, ramp: {start: 1000000}, "

/* `redrive`: the pipeline's redrive section, in YAML's flow style. */
struct world *world_new(uint64_t seed, const char *redrive);
void world_free(struct world *);
/* Starts the core; `once` as for redrive_new. */
void world_start(struct world *, const struct once_options *once);
/* Starts a second daemon beside it, until world_kill. */
void world_start_other(struct world *);
/* Lets go of the core, as kill -9 would. */
void world_kill(struct world *);
/* The same with one of the two. */
void world_kill_one(struct world *, bool other);
/* Writes `count` letters with the lineages from `first` on. */
void world_bury(struct world *, uint32_t first, uint32_t count,
    const struct world_letter *);
/* Tells of the breaker of `shop` in that process. */
void world_breaker(struct world *, const char *instance, const char *state);
/* Runs for that long. */
void world_run(struct world *, int64_t ms);
/* Runs until `done` says so; fails the test if it takes a virtual day. */
void world_until(struct world *, bool (*done)(const struct world *));
bool world_is_ready(const struct world *);
bool world_has_ended(const struct world *);
/* Copies in that queue, of all lineages. */
size_t world_depth(const struct world *, const char *queue);
/* Fails unless these are the lineages in the queue, in that order. */
void world_expect(struct world *, const char *queue, const uint32_t *lineages,
    size_t count);

#endif
