/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One attempt: the message as handlers see it. The consumer fills it in from
 * the delivery and its envelope; all texts are bytes from the wire, believed
 * by nobody, and outlive the attempt (until its verdict or its cancel).
 */
#ifndef DLO_DOWNSTREAM_ATTEMPT_H
#define DLO_DOWNSTREAM_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "downstream/verdict.h"

/* Bytes that belong to somebody else, without a NUL; len 0: not there. */
struct attempt_text {
	const char *ptr;
	size_t len;
};

enum attempt_field_type {
	ATTEMPT_FIELD_TEXT,
	ATTEMPT_FIELD_BYTES,
	ATTEMPT_FIELD_INT,
	ATTEMPT_FIELD_TIME, /* seconds since the epoch */
	ATTEMPT_FIELD_FLOAT,
	ATTEMPT_FIELD_DOUBLE,
	ATTEMPT_FIELD_BOOL,
};

/* One header of the message, with its type; names may come twice. */
struct attempt_field {
	struct attempt_text name;
	enum attempt_field_type type;
	union {
		struct attempt_text text; /* bytes too */
		int64_t number;		  /* a time too */
		double real;		  /* of a float: the same number */
		bool truth;
	} value;
};

/*
 * All of the message's own headers (none of ours) that are text, bytes,
 * numbers, times or booleans: `next` takes one off a copy of `table`, false:
 * no more.
 */
struct attempt_fields {
	struct attempt_text table;
	bool (*next)(struct attempt_text *rest, struct attempt_field *);
};

struct attempt {
	struct attempt_text pipeline;
	struct attempt_text queue;
	struct attempt_text id; /* dlo-id: never empty */
	int64_t number;		/* this attempt, from 1 */
	/*
	 * What handled it last may have died of it: a handler with worker
	 * processes gives it one that has nothing else to do and lose.
	 */
	bool alone;
	int64_t redrives;
	struct attempt_text exchange; /* both as first received */
	struct attempt_text routing_key;
	struct attempt_text content_type;
	struct attempt_text content_encoding;
	struct attempt_text message_id;
	struct attempt_text correlation_id;
	struct attempt_text type;
	int64_t timestamp_s; /* the property, seconds; 0: not there */
	struct attempt_text traceparent; /* headers of that name, unchecked */
	struct attempt_text tracestate;
	struct attempt_fields fields; /* `next` NULL: none */
	const void *body;	      /* may be NULL when body_bytes is 0 */
	size_t body_bytes;
};

#endif
