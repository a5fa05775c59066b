/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A message on its way into a plugin: one run of bytes that holds all of it,
 * with a NUL behind each text, so that what the plugin sees can point into
 * it. Numbers are as this machine has them: both ends are the same program.
 */
#ifndef DLO_DOWNSTREAM_PLUGIN_FRAME_H
#define DLO_DOWNSTREAM_PLUGIN_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "downstream/attempt.h"
#include "include/dlo/handler.h"
#include "lib/buf.h"
#include "lib/compiler.h"

enum plugin_frame_kind {
	PLUGIN_FRAME_SETUP = 1, /* see plugin_worker.h */
	PLUGIN_FRAME_MESSAGE,
	PLUGIN_FRAME_CANCEL, /* nothing but its head */
};

/* What every frame begins with. */
struct plugin_frame {
	uint64_t bytes; /* of the whole frame, this head counted */
	uint64_t call;
	uint32_t kind;
	uint32_t reserved;
};

/* The headers of a message in its frame. */
struct plugin_headers {
	const uint8_t *bytes;
	size_t len;
};

/* Appends an attempt as a frame. */
void plugin_frame_message(struct buf *, uint64_t call, const struct attempt *);
/* Appends a frame of that kind around `len` bytes. */
void plugin_frame_add(struct buf *, enum plugin_frame_kind, uint64_t call,
    const void *bytes, size_t len);

/*
 * The message in a frame of `len` bytes; both results point into it. -1: it
 * is no such frame.
 */
int plugin_frame_read(const uint8_t *frame, size_t len,
    struct dlo_message *message, struct plugin_headers *headers) must_use;
/*
 * The header at *offset, which is moved on to the next one; false: there is
 * none. All of `header` but size and next is set.
 */
bool plugin_frame_header(const struct plugin_headers *, uint64_t *offset,
    struct dlo_header *header);

#endif
