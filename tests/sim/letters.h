/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What strangers send: properties of every kind that has lost or diverted
 * messages elsewhere (docs/broker-facts.md), and what a copy of such a message
 * must and must not carry. Written on librabbitmq alone, as the model is.
 */
#ifndef DLO_TESTS_LETTERS_H
#define DLO_TESTS_LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/loop.h"

enum letter {
	LETTER_PLAIN,	 /* an id of its own */
	LETTER_SAME_ID,	 /* as all of this kind */
	LETTER_NO_ID,	 /* none */
	LETTER_EMPTY_ID, /* of no bytes */
	LETTER_LONG_ID,	 /* of 255 bytes that are no text */
	LETTER_FOREIGN,	 /* with the user_id of another */
	LETTER_FORGED,	 /* with dlo-* headers of its own making */
	LETTER_DIVERTED, /* with CC and BCC */
	LETTER_DIED,	 /* with an x-death that names our ladder */
	LETTER_EXPIRING, /* with an expiration */
	LETTER_DEEP,	 /* with headers that nest too deep */
	LETTER_BIG,	 /* with headers of 60 KiB */
	LETTER_HUGE,	 /* with headers that leave no room for ours */
	LETTER_COUNT
};

/* Appends the raw properties of one. */
void letter_write(enum letter, uint32_t lineage, struct loop *, struct buf *);
/* Whether it may be dead without an attempt. */
bool letter_may_die_untried(enum letter);
/* Whether it may be dead as malformed. */
bool letter_may_be_malformed(enum letter);

/*
 * What is wrong with a copy that a daemon made; NULL: nothing. Sets *attempt
 * to the attempts that it tells of; -1: to none.
 */
const char *letter_copy_error(const void *props, size_t len, uint32_t lineage,
    int64_t *attempt);
/* Whether a header of ours is a text that begins so. */
bool letter_says(const void *props, size_t len, const char *header,
    const char *text);
/* When a message may be tried again, by its history; 0: it says nothing. */
int64_t letter_due_ms(const void *props, size_t len);

#endif
