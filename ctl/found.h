/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What is in the broker's virtual host, as the management API tells it: its
 * answers read into plain structs, sorted for look-ups. Pure. Texts and JSON
 * objects belong to the struct found; all of them come from outside.
 */
#ifndef DLO_CTL_FOUND_H
#define DLO_CTL_FOUND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/compiler.h"

struct found_exchange {
	const char *name, *type;
	bool durable, internal, auto_delete;
	const char *policy; /* ""; none */
	const json_t *arguments;
};

struct found_queue {
	const char *name, *type; /* "quorum", "classic", "stream" */
	bool durable, exclusive, auto_delete;
	const json_t *arguments;
	/*
	 * A queue tells of its policies and depth now and then only; false:
	 * not yet, or the broker keeps no statistics.
	 */
	bool told, counted;
	const char *policy, *operator_policy; /* ""; none */
	const json_t *policies; /* both, as they work; NULL: none */
	int64_t stuck;		/* messages neither ready nor unacked */
};

struct found_binding {
	const char *source, *destination, *key;
	const char *properties_key; /* names it in a URL */
	bool to_queue;
};

struct found_policy {
	const char *name;
	int64_t priority;
	const json_t *definition;
};

/* The answers that it is made of. */
enum found_part {
	FOUND_OVERVIEW,
	FOUND_EXCHANGES,
	FOUND_QUEUES,
	FOUND_BINDINGS,
	FOUND_POLICIES,
	FOUND_PARTS
};
/* Where to ask: "exchanges?columns=…"; OVERVIEW is the only one for all. */
const char *found_part_path(enum found_part);
const char *found_part_columns(enum found_part);

/* Zeroed memory is empty. */
struct found {
	unsigned major, minor; /* of the broker's version; 0: unknown */
	struct found_exchange *exchanges;
	struct found_queue *queues;
	struct found_binding *bindings;
	struct found_policy *policies;
	size_t exchange_count, queue_count, binding_count, policy_count;
	size_t unreadable[FOUND_PARTS]; /* rows left out: a text has a NUL */
	json_t *answers[FOUND_PARTS];
	json_t *details; /* answers about one object each; NULL: none */
};

/*
 * Takes an answer over, in place of an older one. -1: it is none that a broker
 * would give; then nothing of it is kept.
 */
int found_take(struct found *, enum found_part, json_t *answer) must_use;
/*
 * The same for one about the arguments of an exchange or queue that is there,
 * until a new list of them is taken.
 */
int found_take_arguments(struct found *, enum found_part, const char *name,
    json_t *answer) must_use;
void found_clear(struct found *);

/* By name; NULL: it is not there. */
const struct found_exchange *found_exchange(const struct found *, const char *);
const struct found_queue *found_queue(const struct found *, const char *);
const struct found_policy *found_policy(const struct found *, const char *);
bool found_has_binding(const struct found *, const char *source,
    const char *destination, const char *key, bool to_queue);

/* Whether some messages are neither ready nor unacked. */
bool found_has_stuck(const struct found *);
/*
 * With a later look at the queues: only what is stuck in both is, the rest was
 * on its way.
 */
void found_settle(struct found *, const struct found *later);

/* For bindings that were put together by hand: what look-ups need. */
void found_sort_bindings(struct found *);

/* Whether the broker is older than that; false when nobody knows. */
bool found_is_before(const struct found *, unsigned major, unsigned minor);

/* A number or text of an object (NULL is fine); false or NULL: not there. */
bool found_number(const json_t *object, const char *key, int64_t *out);
const char *found_text(const json_t *object, const char *key);

#endif
