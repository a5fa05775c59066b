/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The entries of `dlo.audit`: JSON objects, each with `prev`, the SHA-256 of
 * the entry before it, as it stands in the stream, in hex. Whoever takes one
 * out, changes one or puts one in breaks the chain there. Pure.
 *
 *	{"v":1,"at":"2026-…Z","what":"job_ended","who":"…","from":"…",
 *	 "job":"…","by":"host:pid", …, "prev":"9f86d0…"}
 *
 * What is not such an entry (a marker, by which the active daemon knows that
 * it has read all: {"v":1,"marker":"…"}) is no link of the chain.
 */
#ifndef DLO_REDRIVE_AUDIT_H
#define DLO_REDRIVE_AUDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/compiler.h"

#define AUDIT_HASH_SPACE 65 /* 64 hex digits and NUL */

/* Where a chain is: the hash of its last entry; "" before the first. */
struct audit_chain {
	char last[AUDIT_HASH_SPACE];
};

/*
 * The text of the next entry, and moves the chain on to it; `entry` gets
 * "v" and "prev". The caller's to free. NULL: the hash cannot be had.
 */
char *audit_add(struct audit_chain *, json_t *entry) must_use;

enum audit_finding {
	AUDIT_LINKED,	  /* follows the one before */
	AUDIT_FIRST,	  /* the first that was read: nothing to compare with */
	AUDIT_NO_ENTRY,	  /* no link of the chain */
	AUDIT_BROKEN,	  /* its `prev` is not the entry before it */
	AUDIT_UNREADABLE, /* not JSON, or the hash cannot be had */
};
/* "linked", "first", "no entry", "broken", "unreadable". */
const char *audit_finding_name(enum audit_finding);

/*
 * Looks at the next message of the stream, in its order, from any offset on.
 * After a broken one it goes on from there: each break is told once.
 */
enum audit_finding audit_verify(struct audit_chain *, const void *message,
    size_t len) must_use;
/*
 * The marker's text, and whether a message is the one with that token (NULL:
 * with any).
 */
char *audit_marker(const char *token) must_use;
bool audit_is_marker(const void *message, size_t len, const char *token);

#endif
