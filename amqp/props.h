/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Basic properties and header tables, read and written as raw bytes, so that
 * what is not ours is carried on unchanged, type for type. Reading allocates
 * nothing and trusts no length; slices point into the bytes that were read.
 */
#ifndef DLO_AMQP_PROPS_H
#define DLO_AMQP_PROPS_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/message.h"
#include "lib/buf.h"
#include "lib/compiler.h"

#define RMQ_TABLE_MAX_DEPTH 32

/* In wire order: property i has flag bit 15 - i. */
enum rmq_prop {
	RMQ_PROP_CONTENT_TYPE,
	RMQ_PROP_CONTENT_ENCODING,
	RMQ_PROP_HEADERS,	/* value: the table without its length word */
	RMQ_PROP_DELIVERY_MODE, /* one byte */
	RMQ_PROP_PRIORITY,	/* one byte */
	RMQ_PROP_CORRELATION_ID,
	RMQ_PROP_REPLY_TO,
	RMQ_PROP_EXPIRATION,
	RMQ_PROP_MESSAGE_ID,
	RMQ_PROP_TIMESTAMP, /* eight bytes */
	RMQ_PROP_TYPE,
	RMQ_PROP_USER_ID,
	RMQ_PROP_APP_ID,
	RMQ_PROP_CLUSTER_ID,
	RMQ_PROP_COUNT
};

struct rmq_props {
	bool has[RMQ_PROP_COUNT];
	struct rmq_slice value[RMQ_PROP_COUNT]; /* text: without its length */
};

enum rmq_props_verdict {
	RMQ_PROPS_OK,
	/* Top level as for OK; tables below nest past RMQ_TABLE_MAX_DEPTH. */
	RMQ_PROPS_TOO_DEEP,
	/* The headers table does not decode: left out, all others are set. */
	RMQ_PROPS_BAD_HEADERS,
	/* A length or flag lies, or bytes are left over; nothing is set. */
	RMQ_PROPS_BROKEN,
};

/* Reads and checks properties (flags word first) down to every table. */
enum rmq_props_verdict rmq_props_parse(struct rmq_props *,
    struct rmq_slice raw) must_use;
/* Appends flags and properties as parsed or as put together by hand. */
void rmq_props_write(struct buf *, const struct rmq_props *);

/* One header. `raw` is name, type and value as on the wire. */
struct rmq_header {
	struct rmq_slice name;
	char type; /* AMQP field type: 'S', 'l', 'F', … */
	struct rmq_slice value;
	struct rmq_slice raw;
};

/*
 * Takes the next header off `table`: 1 with *header set, 0 at the end, -1 if
 * the bytes lie. Lengths of nested values are checked, nested tables are not
 * entered.
 */
int rmq_table_next(struct rmq_slice *table, struct rmq_header *) must_use;
/* The same for an array ('A'): its elements have an empty name. */
int rmq_array_next(struct rmq_slice *array, struct rmq_header *) must_use;
/*
 * The first header of that name; false when there is none (then *header is
 * of no use).
 */
bool rmq_table_find(struct rmq_slice table, const char *name,
    struct rmq_header *);
/*
 * Any integer type, or a timestamp (seconds), as int64; false for other types
 * and for what does not fit.
 */
bool rmq_header_int(const struct rmq_header *, int64_t *value);
/* A text ('S') as bytes; false for other types. */
bool rmq_header_text(const struct rmq_header *, struct rmq_slice *text);
/* Checks a table (without its length word) like rmq_props_parse. */
enum rmq_props_verdict rmq_table_check(struct rmq_slice table) must_use;

/* Append one header to a table under construction; name ≤ 255 bytes. */
void rmq_table_add_text(struct buf *, const char *name, const void *text,
    size_t len);
void rmq_table_add_int(struct buf *, const char *name, int64_t value);
void rmq_table_add_bool(struct buf *, const char *name, bool value);
void rmq_table_add_bytes(struct buf *, const char *name, const void *bytes,
    size_t len); /* type 'x' */
void rmq_table_add_table(struct buf *, const char *name,
    struct rmq_slice nested); /* type 'F'; without its length word */
/* Where in a stream a message with these properties is; -1: in none. */
int64_t rmq_props_offset(struct rmq_slice raw);

#endif
