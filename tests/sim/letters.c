/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/sim/letters.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/build.h"
#ifdef HAVE_RABBITMQ_C_AMQP_H
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif

#include "lib/compiler.h"
#include "lib/xalloc.h"
#include "tests/sim/sim_loop.h"

#define HEADERS_MAX 8
#define DEPTH	    40
#define BIG_BYTES   (60 * 1024)
/* What a frame of 131072 bytes holds, but for some two hundred. */
#define HUGE_BYTES 130850

/* A foreign header on each of them; its value is the lineage. */
#define KEEP "keep"

struct draft {
	amqp_basic_properties_t props;
	amqp_table_entry_t headers[HEADERS_MAX];
	amqp_table_entry_t nested[DEPTH];
	amqp_table_entry_t death[3];
	amqp_field_value_t items[2];
	char text[64];
	uint8_t *bytes;
};

static amqp_table_entry_t *
add(struct draft *d, const char *name, uint8_t kind)
{
	amqp_table_entry_t *entry = &d->headers[d->props.headers.num_entries++];

	assert(d->props.headers.num_entries <= HEADERS_MAX);
	entry->key = amqp_cstring_bytes(name);
	entry->value.kind = kind;
	return entry;
}

static void
add_int(struct draft *d, const char *name, int64_t value)
{
	add(d, name, AMQP_FIELD_KIND_I64)->value.value.i64 = value;
}

static void
add_text(struct draft *d, const char *name, const char *text)
{
	add(d, name, AMQP_FIELD_KIND_UTF8)->value.value.bytes =
	    amqp_cstring_bytes(text);
}

static void
add_array(struct draft *d, const char *name)
{
	amqp_array_t array = { 1, d->items };

	add(d, name, AMQP_FIELD_KIND_ARRAY)->value.value.array = array;
}

static void
set_id(struct draft *d, amqp_bytes_t id)
{
	d->props._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
	d->props.message_id = id;
}

static void
forge(struct draft *d)
{
	add_text(d, "dlo-id", "forged");
	add_int(d, "dlo-attempt", 1000);
	add_int(d, "dlo-deadline", 1);
	add_int(d, "dlo-first-failed-at", 1);
	add_int(d, "dlo-redrives", 1000);
	add_text(d, "dlo-queue", "elsewhere");
}

/* To the work queue's own name, and to the dead letters' key. */
static void
divert(struct draft *d)
{
	d->items[0].kind = AMQP_FIELD_KIND_UTF8;
	d->items[0].value.bytes = amqp_cstring_bytes("orders");
	add_array(d, "CC");
	add_array(d, "BCC");
}

static void
bury(struct draft *d)
{
	static const char *const pairs[][2] = { { "reason", "expired" },
		{ "queue", "dlo.retry.orders.3" }, { "exchange", "x" } };

	for (size_t i = 0; i < array_len(pairs); i++) {
		d->death[i].key = amqp_cstring_bytes(pairs[i][0]);
		d->death[i].value.kind = AMQP_FIELD_KIND_UTF8;
		d->death[i].value.value.bytes = amqp_cstring_bytes(pairs[i][1]);
	}
	d->items[0].kind = AMQP_FIELD_KIND_TABLE;
	d->items[0].value.table.num_entries = array_len(pairs);
	d->items[0].value.table.entries = d->death;
	add_array(d, "x-death");
}

static void
nest(struct draft *d)
{
	for (size_t i = 0; i < DEPTH; i++) {
		d->nested[i].key = amqp_cstring_bytes("n");
		d->nested[i].value.kind = AMQP_FIELD_KIND_TABLE;
		d->nested[i].value.value.table.num_entries = i + 1 < DEPTH;
		d->nested[i].value.value.table.entries =
		    i + 1 < DEPTH ? &d->nested[i + 1] : NULL;
	}
	add(d, "deep", AMQP_FIELD_KIND_TABLE)->value.value.table =
	    d->nested[0].value.value.table;
}

static void
pad(struct draft *d, size_t len)
{
	amqp_bytes_t bytes = { len, NULL };

	bytes.bytes = d->bytes = xcalloc(1, len);
	add(d, "pad", AMQP_FIELD_KIND_BYTES)->value.value.bytes = bytes;
}

static void
fill(struct draft *d, enum letter letter, struct loop *loop)
{
	static uint8_t no_text[255];
	const amqp_bytes_t long_id = { sizeof(no_text), no_text };

	switch (letter) {
	case LETTER_SAME_ID:
		set_id(d, amqp_cstring_bytes("same"));
		break;
	case LETTER_NO_ID:
		d->props._flags &= ~(amqp_flags_t)AMQP_BASIC_MESSAGE_ID_FLAG;
		break;
	case LETTER_EMPTY_ID:
		set_id(d, amqp_empty_bytes);
		break;
	case LETTER_LONG_ID:
		memset(no_text, 0xff, sizeof(no_text));
		set_id(d, long_id);
		break;
	case LETTER_FOREIGN:
		d->props._flags |= AMQP_BASIC_USER_ID_FLAG;
		d->props.user_id = amqp_cstring_bytes("shop");
		break;
	case LETTER_FORGED:
		forge(d);
		break;
	case LETTER_DIVERTED:
		divert(d);
		break;
	case LETTER_DIED:
		bury(d);
		break;
	case LETTER_EXPIRING:
		snprintf(d->text, sizeof(d->text), "%u",
		    1000 + (unsigned)sim_below(loop, 60000));
		d->props._flags |= AMQP_BASIC_EXPIRATION_FLAG;
		d->props.expiration = amqp_cstring_bytes(d->text);
		break;
	case LETTER_DEEP:
		nest(d);
		break;
	case LETTER_BIG:
		pad(d, BIG_BYTES);
		break;
	case LETTER_HUGE:
		pad(d, HUGE_BYTES);
		break;
	case LETTER_PLAIN:
	case LETTER_COUNT:
		break;
	}
}

void
letter_write(enum letter letter, uint32_t lineage, struct loop *loop,
    struct buf *out)
{
	struct draft d = { 0 };
	char id[32];
	amqp_bytes_t wire;
	int len;

	d.props._flags =
	    AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG;
	d.props.delivery_mode = 2;
	d.props.headers.entries = d.headers;
	snprintf(id, sizeof(id), "order-%u", lineage);
	set_id(&d, amqp_cstring_bytes(id));
	add_int(&d, KEEP, lineage);
	fill(&d, letter, loop);
	wire.len = d.bytes == NULL ? 4096 : 2 * HUGE_BYTES;
	wire.bytes = buf_reserve(out, wire.len);
	len = amqp_encode_properties(AMQP_BASIC_CLASS, &d.props, wire);
	assert(len > 0);
	buf_claim(out, (size_t)len);
	free(d.bytes);
}

bool
letter_may_die_untried(enum letter letter)
{
	return letter == LETTER_DEEP || letter == LETTER_EXPIRING;
}

bool
letter_may_be_malformed(enum letter letter)
{
	return letter == LETTER_DEEP || letter == LETTER_HUGE;
}

/* Copies. */

static bool
is_named(const amqp_table_entry_t *entry, const char *name)
{
	return entry->key.len == strlen(name) &&
	    memcmp(entry->key.bytes, name, entry->key.len) == 0;
}

static const amqp_table_entry_t *
find(const amqp_basic_properties_t *props, const char *name, int *count)
{
	const amqp_table_entry_t *found = NULL;

	*count = 0;
	if ((props->_flags & AMQP_BASIC_HEADERS_FLAG) == 0)
		return NULL;
	for (int i = 0; i < props->headers.num_entries; i++) {
		if (!is_named(&props->headers.entries[i], name))
			continue;
		found = &props->headers.entries[i];
		++*count;
	}
	return found;
}

static int64_t
int_of(const amqp_basic_properties_t *props, const char *name, int64_t none)
{
	int count;
	const amqp_table_entry_t *entry = find(props, name, &count);

	return entry != NULL && entry->value.kind == AMQP_FIELD_KIND_I64
	    ? entry->value.value.i64
	    : none;
}

/* The history's last entry is "time;class;handler-ms;delay-ms". */
static int64_t
due_ms(const amqp_basic_properties_t *props)
{
	char text[128], *last;
	const amqp_table_entry_t *entry;
	size_t len;
	int count;

	entry = find(props, "dlo-history", &count);
	if (entry == NULL || entry->value.kind != AMQP_FIELD_KIND_UTF8)
		return 0;
	len = entry->value.value.bytes.len;
	last = entry->value.value.bytes.bytes;
	if (len >= sizeof(text)) {
		last += len - (sizeof(text) - 1);
		len = sizeof(text) - 1;
	}
	memcpy(text, last, len);
	text[len] = '\0';
	last = strrchr(text, ' ');
	last = last == NULL ? text : last + 1;
	if (strrchr(last, ';') == NULL)
		return 0;
	return strtoll(last, NULL, 10) +
	    strtoll(strrchr(last, ';') + 1, NULL, 10);
}

static const char *
copy_error(const amqp_basic_properties_t *props, uint32_t lineage)
{
	static const char *const banned[] = { "x-death", "CC", "BCC", "x-delay",
		"x-delivery-count" };
	const amqp_table_entry_t *entry;
	int count;

	if ((props->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG) == 0 ||
	    props->delivery_mode != 2)
		return "it is not persistent";
	if ((props->_flags & AMQP_BASIC_EXPIRATION_FLAG) != 0)
		return "it expires";
	if ((props->_flags & AMQP_BASIC_USER_ID_FLAG) == 0)
		return "it has no user_id";
	for (size_t i = 0; i < array_len(banned); i++)
		if (find(props, banned[i], &count) != NULL)
			return banned[i];
	(void)find(props, "dlo-id", &count);
	if (count != 1)
		return "it has not one dlo-id";
	entry = find(props, KEEP, &count);
	if (count != 1 || entry->value.kind != AMQP_FIELD_KIND_I64 ||
	    entry->value.value.i64 != (int64_t)lineage)
		return "a foreign header was not kept";
	return NULL;
}

/* Decodes; *pool is to be emptied. NULL: it does not decode. */
static amqp_basic_properties_t *
decode(amqp_pool_t *pool, const void *props, size_t len)
{
	amqp_basic_properties_t *decoded;
	amqp_bytes_t raw = { len, amqp_pool_alloc(pool, len) };

	memcpy(raw.bytes, props, len);
	if (amqp_decode_properties(AMQP_BASIC_CLASS, pool, raw,
		(void **)&decoded) < 0)
		return NULL;
	return decoded;
}

const char *
letter_copy_error(const void *props, size_t len, uint32_t lineage,
    int64_t *attempt)
{
	const char *error = "its properties do not decode";
	amqp_basic_properties_t *decoded;
	amqp_pool_t pool;

	init_amqp_pool(&pool, 4096);
	*attempt = -1;
	decoded = decode(&pool, props, len);
	if (decoded != NULL) {
		error = copy_error(decoded, lineage);
		*attempt = int_of(decoded, "dlo-attempt", -1);
	}
	empty_amqp_pool(&pool);
	return error;
}

bool
letter_says(const void *props, size_t len, const char *header, const char *text)
{
	const amqp_table_entry_t *entry = NULL;
	amqp_basic_properties_t *decoded;
	amqp_pool_t pool;
	bool is;
	int count;

	init_amqp_pool(&pool, 4096);
	decoded = decode(&pool, props, len);
	if (decoded != NULL)
		entry = find(decoded, header, &count);
	is = entry != NULL && entry->value.kind == AMQP_FIELD_KIND_UTF8 &&
	    entry->value.value.bytes.len >= strlen(text) &&
	    memcmp(entry->value.value.bytes.bytes, text, strlen(text)) == 0;
	empty_amqp_pool(&pool);
	return is;
}

int64_t
letter_due_ms(const void *props, size_t len)
{
	amqp_basic_properties_t *decoded;
	amqp_pool_t pool;
	int64_t ms = 0;

	init_amqp_pool(&pool, 4096);
	decoded = decode(&pool, props, len);
	if (decoded != NULL)
		ms = due_ms(decoded);
	empty_amqp_pool(&pool);
	return ms;
}
