/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What is common to errors that differ only in their particulars: the text
 * with its numbers, ids and hex digits blanked. Pure.
 */
#ifndef DLO_REDRIVE_FINGERPRINT_H
#define DLO_REDRIVE_FINGERPRINT_H

#include <stddef.h>

#define FINGERPRINT_SPACE 161

/*
 * `order 4711 of 10.0.0.7: no such row b3f0-11c2` becomes
 * `order # of #: no such row #`. A run of particulars is one `#`; text (UTF-8
 * is kept whole) beyond the space is cut.
 */
const char *fingerprint_of(char out[FINGERPRINT_SPACE], const void *text,
    size_t len);

#endif
