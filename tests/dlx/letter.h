/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Messages for the envelope's tests: put together by hand, read as if they
 * had been delivered at LETTER_NOW_MS, copied as if the copy had come back.
 */
#ifndef DLO_TESTS_DLX_LETTER_H
#define DLO_TESTS_DLX_LETTER_H

#include "dlx/envelope.h"

#define LETTER_NOW_MS INT64_C(1700000000000)
#define LETTER_UUID   "00000000-0000-4001-8000-000000000002"
#define LETTER_SELF   "dlo"	 /* our user; trusted */
#define LETTER_FRIEND "shop-ops" /* trusted too */

/* Zeroed is a message without properties; text members: NULL is none. */
struct letter {
	const char *user;
	const char *message_id;
	const char *expiration;
	const char *exchange;
	const char *routing_key;
	uint8_t delivery_mode; /* 0: none */
	struct buf headers;
	struct buf props; /* whole, raw; used as it is when not empty */
	struct rmq_message message;
};

/* Where the tests read: the work queue "orders", or its dead letters. */
extern const struct envelope_origin letter_work, letter_dead;

/* Reads the letter, which must stay as it is until letter_clear. */
void letter_read(struct letter *, const struct envelope_origin *,
    struct envelope *);
/* Writes the envelope as a copy of ours, into `copy`. */
enum envelope_fit letter_copy(const struct envelope *, uint32_t frame_max,
    struct letter *copy);
void letter_clear(struct letter *);

/* A header of any type: `value` is what follows the type letter. */
void letter_add_raw(struct letter *, const char *name, char type,
    const void *value, size_t len);
void letter_add_text(struct letter *, const char *name, const char *text);
void letter_add_int(struct letter *, const char *name, int64_t value);

/* The letter's headers as text (dump_table); belongs to `out`. */
const char *letter_headers(const struct letter *, struct buf *out);

#define assert_slice(slice, text) \
	do { \
		struct rmq_slice slice_ = (slice); \
		assert_int_equal(slice_.len, strlen(text)); \
		assert_memory_equal(slice_.ptr, text, strlen(text)); \
	} while (0)

#endif
