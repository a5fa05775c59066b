/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Stands in for amqp/channel.h where only declarations and bindings matter:
 * a list of objects with traits, answered in order, a channel closed by each
 * "no". One at a time; the test owns the loop.
 */
#ifndef DLO_TESTS_DLX_FAKE_BROKER_H
#define DLO_TESTS_DLX_FAKE_BROKER_H

#include <stdbool.h>
#include <stddef.h>

#include "amqp/channel.h"
#include "lib/loop.h"

enum fake_trait {
	FAKE_EXISTS = 1,
	FAKE_DIFFERENT = 2,    /* 406 inequivalent */
	FAKE_NO_CONFIGURE = 4, /* 403 on declare */
	FAKE_HIDDEN = 8,       /* 403 on passive declare too */
	FAKE_NODE_DOWN = 16,   /* 404, but not "no queue" */
	FAKE_EXCLUSIVE = 32,   /* 405 */
	FAKE_INVALID = 64,     /* 406, but not inequivalent */
	FAKE_NO_BIND = 128,    /* 403 on bindings to it */
};

struct fake_broker {
	struct loop *loop;
	bool open;	     /* the connection */
	bool silent;	     /* answers nothing */
	bool no_channels;    /* has none left */
	int lose_after;	     /* answers, then the connection goes; -1: never */
	unsigned everything; /* traits of all objects */
	struct {
		const char *name; /* prefix, if it ends in '*' */
		unsigned traits;
	} some[4]; /* traits of some objects, besides */
	/* What was made: "queue NAME", "exchange NAME", "binding …". */
	char *made[256];
	size_t made_count;
	size_t channels, declares, passives, bindings; /* requests seen */
};

/* The connection to pass around; `fake` must outlive it. */
struct rmq_conn *fake_broker_conn(struct fake_broker *fake);
bool fake_broker_has_made(const struct fake_broker *, const char *what);
/* Frees what it holds. */
void fake_broker_clear(struct fake_broker *);

#endif
