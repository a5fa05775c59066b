/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The messages of `dlo.jobs` as bytes: JSON objects with the version of their
 * format.
 *
 *	{"v":1,"kind":"hello","writer":W}
 *	{"v":1,"kind":"marker","writer":W}
 *	{"v":1,"kind":"state","key":K,"epoch":E,"version":V,"writer":W,
 *	 "ended_at":MS,"data":{…}}
 *
 * An object without a kind is a request. Pure.
 */
#ifndef DLO_REDRIVE_BOARD_WIRE_H
#define DLO_REDRIVE_BOARD_WIRE_H

#include "lib/compiler.h"
#include "redrive/board.h"

#define BOARD_WIRE_VERSION 1

enum board_wire_kind {
	BOARD_WIRE_JUNK,  /* see `why` */
	BOARD_WIRE_NEWER, /* a trusted user's, of a format that we do not know
			   */
	BOARD_WIRE_HELLO,
	BOARD_WIRE_MARKER,
	BOARD_WIRE_STATE,
	BOARD_WIRE_REQUEST,
};

/* Which copy of a record. */
struct board_stamp {
	uint64_t epoch, version;
	char writer[BOARD_WRITER_SPACE];
};

/* A message, taken apart. */
struct board_wire {
	enum board_wire_kind kind;
	const char *why; /* of junk, for the log */
	json_t *body;	 /* all of it; NULL for junk */
	/* Of a state; of hello and marker the writer only. */
	struct board_stamp stamp;
	char key[BOARD_KEY_SPACE];
	int64_t ended_ms;
	json_t *data; /* belongs to `body` */
};

/* Reads a delivery; to be cleared in any case. */
void board_wire_read(struct board_wire *, const struct board_delivery *);
void board_wire_clear(struct board_wire *);
/* The higher of two copies is the one that counts: as strcmp. */
int board_stamp_compare(const struct board_stamp *, const struct board_stamp *);
/* The text of a hello or marker, and of a state; the caller's to free. */
char *board_wire_sign(const char *kind, const char *writer) must_use;
char *board_wire_state(const char *key, const struct board_stamp *,
    int64_t ended_ms, json_t *data) must_use;

#endif
