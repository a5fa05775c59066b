/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What a plugin's worker says on its stdout, word by word. Pure. */
#ifndef DLO_DOWNSTREAM_PLUGIN_SAID_H
#define DLO_DOWNSTREAM_PLUGIN_SAID_H

#include <stddef.h>
#include <stdint.h>

#include "downstream/plugin_worker.h"
#include "lib/compiler.h"
#include "lib/log.h"

struct plugin_said {
	enum plugin_worker_word word;
	enum log_level level; /* PLUGIN_WORKER_LOG */
	const char *text;     /* that, and PLUGIN_WORKER_FAILED */
	size_t text_len;
};

/*
 * Reads the word at the start of `bytes` (`len` ≥ 1); its text points into
 * them. How many bytes it has; 0: it is not all there; -1: it is no word.
 */
int plugin_said_read(const uint8_t *bytes, size_t len,
    struct plugin_said *out) must_use;

#endif
