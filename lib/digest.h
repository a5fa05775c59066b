/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* SHA-256 of a row of pieces. */
#ifndef DLO_LIB_DIGEST_H
#define DLO_LIB_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "lib/compiler.h"

#define DIGEST_BYTES 32

struct digest;

struct digest *digest_new(void) must_use;
/* NULL is fine. */
void digest_free(struct digest *);

/* Begins anew. */
void digest_start(struct digest *);
/*
 * A piece, with its length before it: pieces that are cut otherwise give
 * another digest.
 */
void digest_add(struct digest *, const void *bytes, size_t len);
/* -1: the library refused some step; `out` is then of no use. */
int digest_end(struct digest *, uint8_t out[DIGEST_BYTES]) must_use;
/* Of these bytes alone, as sha256sum has it; -1 as above. */
int digest_once(const void *bytes, size_t len,
    uint8_t out[DIGEST_BYTES]) must_use;

#endif
