/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A growable run of bytes: written at its end, read from its start. Zeroed
 * memory is an empty buffer. Pointers into it last until the next write.
 */
#ifndef DLO_LIB_BUF_H
#define DLO_LIB_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "lib/compiler.h"

struct buf {
	uint8_t *mem;
	size_t off;   /* where the unread bytes begin */
	size_t len;   /* unread bytes */
	size_t space; /* size of mem */
};

/* Frees the memory; the buffer is empty and usable again. */
void buf_clear(struct buf *);
/* Forgets the bytes, keeps the memory. */
void buf_reset(struct buf *);
/* The unread bytes; valid until the next write. */
uint8_t *buf_peek(const struct buf *);
/* Drops `len` bytes (at most buf->len) from the start. */
void buf_drop(struct buf *, size_t len);
/* Room for `len` bytes at the end, to be claimed with buf_claim. */
uint8_t *buf_reserve(struct buf *, size_t len);
/* Counts `len` bytes written into reserved room. */
void buf_claim(struct buf *, size_t len);

void buf_add(struct buf *, const void *bytes, size_t len);
void buf_add_u8(struct buf *, uint8_t);
void buf_add_u16(struct buf *, uint16_t); /* integers: big-endian */
void buf_add_u32(struct buf *, uint32_t);
void buf_add_u64(struct buf *, uint64_t);
void buf_add_str(struct buf *, const char *);
void buf_printf(struct buf *, const char *fmt, ...) printf_like(2, 3);
/* The bytes as a NUL-terminated string (the NUL is not counted). */
const char *buf_str(struct buf *);

#endif
