/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What the model's wire side (model_wire.c) and its queues (model.c) share. */
#ifndef DLO_TESTS_MODEL_INTERNAL_H
#define DLO_TESTS_MODEL_INTERNAL_H

#include <sys/queue.h>

#include "lib/build.h"
#ifdef HAVE_RABBITMQ_C_AMQP_H
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif

#include "lib/buf.h"
#include "tests/sim/model.h"

struct model_queue;
struct model_channel;

/* What one publish has become, through every dead-lettering of it. */
struct model_fate {
	unsigned refs;
	unsigned entries; /* places in queues */
	bool confirmed;
};

/* Shared by its entries; freed with the last of them and of the publish. */
struct model_message {
	unsigned refs;
	struct model_fate *fate;
	uint32_t lineage;
	bool is_talk; /* of the daemons: JSON */
	bool is_copy; /* a letter: its body is long enough to have one */
	char exchange[256], key[256];
	struct buf props, body;
	int64_t expiration_ms; /* -1: none */
};

struct model_entry {
	TAILQ_ENTRY(model_entry) link;
	struct model_message *message;
	struct model_queue *queue;
	uint64_t place;
	bool in_line;	/* of what came back; place is that there */
	int64_t due_us; /* expires; INT64_MAX: never */
	bool redelivered;
	unsigned returns;		 /* how often it was requeued */
	struct model_channel *holder;	 /* unacked by; NULL: ready */
	struct model_consumer *consumer; /* NULL: cancelled meanwhile */
	uint64_t tag;
	int64_t taken_us; /* unacked since */
	int64_t alarm_us; /* alarm_us of the model then */
};
TAILQ_HEAD(model_entries, model_entry);

struct model_consumer {
	TAILQ_ENTRY(model_consumer) of_queue;
	TAILQ_ENTRY(model_consumer) of_channel;
	struct model_queue *queue;
	struct model_channel *channel;
	char tag[256];
	unsigned prefetch, unacked;
	uint64_t next_place; /* of a stream */
};
TAILQ_HEAD(model_consumers, model_consumer);

struct model_queue {
	TAILQ_ENTRY(model_queue) link;
	struct model *model;
	char name[256];
	int64_t ttl_ms; /* -1: none */
	int64_t max_length;
	bool has_dlx, at_least_once, reject_publish;
	char dlx[256], dlk[256];
	bool has_dlk;
	bool single_active; /* the first consumer alone is served */
	bool stream;	    /* keeps all; each consumer reads from the last */
	bool deleted;	    /* kept for what is unacked */
	uint64_t next_place, next_in_line;
	struct model_entries ready, stuck;
	size_t ready_count, unacked_count, stuck_count;
	struct model_consumers consumers;
	struct loop_timer *expiry, *unstick;
};
TAILQ_HEAD(model_queues, model_queue);

/* A route that publishing to some exchange with some key found. */
struct model_route {
	struct model_queue *queue[64];
	size_t count;
};

/* `fate`: that of the message it is a dead letter of; NULL: a new one. */
struct model_message *model_message_new(struct model *, const char *exchange,
    const char *key, amqp_bytes_t props, amqp_bytes_t body,
    struct model_fate *fate);
void model_message_drop(struct model_message *);
/* From now on its publisher knows it is safe. */
void model_message_confirm(struct model *, struct model_message *);
/* False: no such exchange. */
bool model_route(struct model *, const struct model_message *,
    struct model_route *);
/* False: refused by a full queue; then it is in none. */
bool model_enqueue(struct model *, const struct model_route *,
    struct model_message *);
struct model_queue *model_queue_find(const struct model *, const char *);
/* Makes or finds it; false: exists with other arguments. */
bool model_queue_declare(struct model *, const char *name,
    const amqp_table_t *args);
bool model_exchange_declare(struct model *, const char *name, const char *type);
bool model_exchange_exists(const struct model *, const char *name);
/* False: source or destination is missing. */
bool model_bind(struct model *, const char *source, const char *destination,
    bool to_queue, const char *key);
/* Gives the queue's ready messages to consumers with room. */
void model_queue_pump(struct model_queue *);
void model_entry_ack(struct model_entry *);
/* Back to its place, or to the line; with its queue gone, it goes too. */
void model_entry_requeue(struct model_entry *);
void model_violation(struct model *, const char *fmt, ...) printf_like(2, 3);

/* model_wire.c */
void model_wire_deliver(struct model_consumer *, struct model_entry *);
struct model_wire *model_wire_new(struct model *);
void model_wire_free(struct model_wire *);
void model_wire_block(struct model_wire *, bool on);
void model_wire_close_a_channel(struct model_wire *);
void model_wire_cancel(struct model_consumer *);
void model_wire_flow(struct model_wire *, bool active);
/* Forgets every connection's state; queues are requeued by the caller. */
void model_wire_drop_all(struct model_wire *);
bool model_wire_is_alone(const struct model_wire *);

struct model {
	struct loop *loop;
	const struct model_hooks *hooks;
	void *arg;
	struct model_trouble trouble;
	struct model_queues queues, deleted;
	struct model_exchange *exchanges;
	struct model_wire *wire;
	unsigned *safe; /* confirmed copies by lineage */
	size_t safe_space;
	size_t talk;		/* entries that are no letters */
	int64_t alarm_us;	/* time in alarm, up to the last one's end */
	int64_t alarm_since_us; /* 0: there is none */
	int64_t hold_max_us;	/* 0: none */
	int64_t return_late_us; /* 0: at once */
	bool hides_counts;
	struct model_load load;
	amqp_pool_t pool;
};

#endif
