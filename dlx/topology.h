/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What must be in the broker: the names of all our objects, and the list of
 * exchanges, queues and bindings that a configuration asks for. Pure; what
 * puts it into a broker or looks for it there is topology_run.h.
 */
#ifndef DLO_DLX_TOPOLOGY_H
#define DLO_DLX_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/conf.h"
#include "dlx/ladder.h"
#include "lib/buf.h"

/* Names that all pipelines share. */
struct topology_names {
	/* Exchanges */
	char *dead;    /* direct; keys: see topology_pipeline_names */
	char *redrive; /* direct; key: the pipeline's name */
	char *events;  /* topic */
	char *control; /* direct; keys: "jobs", "audit" */
	/* Queues */
	char *jobs;
	char *verdicts;
	char *audit; /* a stream */
};

/* Names that belong to one pipeline. */
struct topology_pipeline_names {
	unsigned levels;		/* of its ladder */
	char *level[LADDER_LEVELS_MAX]; /* exchange and queue alike */
	char *foot;			/* the ladder's fanout exchange */
	char *work;			/* queues */
	char *dead;
	char *parked;
	char *archive;
	char *dead_key; /* routing keys; redrive takes dead_key too */
	char *parked_key;
	char *archive_key;
};

/* Fills them in; to be freed with …_clear. */
void topology_names_init(struct topology_names *, const struct conf *);
void topology_names_clear(struct topology_names *);
void topology_pipeline_names_init(struct topology_pipeline_names *,
    const struct conf *, const struct conf_pipeline *);
void topology_pipeline_names_clear(struct topology_pipeline_names *);

enum topology_kind {
	TOPOLOGY_EXCHANGE,
	TOPOLOGY_QUEUE,
	TOPOLOGY_QUEUE_BINDING,	   /* a queue takes from an exchange */
	TOPOLOGY_EXCHANGE_BINDING, /* an exchange takes from an exchange */
};

/* One object; all of them are durable. */
struct topology_item {
	enum topology_kind kind;
	char *name;   /* exchange or queue; of a binding: its destination */
	char *type;   /* "direct", "quorum", …; bindings: NULL */
	char *source; /* bindings: the exchange it takes from */
	char *key;    /* bindings: the routing key or pattern */
	/*
	 * Somebody else's: it has to exist and is never declared. (Work queues
	 * that the configuration does not ask us to declare.)
	 */
	bool foreign;
	/* Named by the user, not by our prefix; rights often differ. */
	bool user_named;
	/* Bindings: where in the list destination and source are. */
	size_t target_index, source_index;
	struct buf args; /* queues: arguments, a table without length word */
};

struct topology {
	/*
	 * In an order that is safe to declare: nothing can take a message
	 * before the place is there to which it hands it on.
	 */
	struct topology_item *items;
	size_t count;
};

/*
 * All that these roles need of the broker, for every pipeline; `roles` is a
 * set of enum conf_role, and CONF_ROLE_TOPOLOGY stands for both daemons.
 */
struct topology *topology_new(const struct conf *, unsigned roles);
/* NULL is fine. */
void topology_free(struct topology *);
/* Whether they ask for the same, in the same order. */
bool topology_differs(const struct topology *, const struct topology *);

bool topology_is_binding(const struct topology_item *);

/* One argument of a queue; its texts have no NUL. */
struct topology_arg {
	const char *name, *text; /* text: NULL when it is no text */
	size_t name_len, text_len;
	int64_t number; /* of a number; of a boolean 0 or 1 */
	bool boolean;
};
/*
 * The argument that begins at byte *at, which moves on; false: no more. They
 * point into the item.
 */
bool topology_arg_next(const struct topology_item *, size_t *at,
    struct topology_arg *);

/* "exchange", "queue", "binding". */
const char *topology_kind_name(enum topology_kind);
/* Appends what it is: `queue orders.dlq`, `binding a -> b (key)`. */
void topology_item_describe(const struct topology_item *, struct buf *);

#endif
