/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The log: one line an event on stderr, `ts level event key=value…` or the
 * same as a JSON object. One log a process. Values may be hostile: control
 * characters, quotes and what is not UTF-8 are escaped; events and keys are
 * our own words and are not. A line is one write(2).
 *
 *	log_info("attempt", LOG_STR("pipeline", name), LOG_INT("attempt", n));
 *
 * The fields are not evaluated when the level is off.
 */
#ifndef DLO_LIB_LOG_H
#define DLO_LIB_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/compiler.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

enum log_format {
	LOG_FORMAT_LOGFMT,
	LOG_FORMAT_JSON,
};

enum log_type {
	LOG_TYPE_BYTES,
	LOG_TYPE_INT,
	LOG_TYPE_UINT,
	LOG_TYPE_DBL,
	LOG_TYPE_BOOL,
};

/* Made by the LOG_… macros below; bytes must live until the call returns. */
struct log_field {
	const char *key;
	enum log_type type;
	union {
		struct {
			const void *ptr; /* NULL: the field is left out */
			size_t len;
		} bytes;
		int64_t i;
		uint64_t u;
		double d;
		bool b;
	} value;
};

/* Text (NULL: left out), or `len` bytes of whatever; long ones are cut. */
#define LOG_STR(key, text)	 log_field_text(key, text)
#define LOG_BYTES(key, ptr, len) log_field_bytes(key, ptr, len)
#define LOG_INT(k, n) \
	((struct log_field){ .key = (k), .type = LOG_TYPE_INT, .value.i = (n) })
#define LOG_UINT(k, n) \
	((struct log_field){ .key = (k), \
	    .type = LOG_TYPE_UINT, \
	    .value.u = (n) })
#define LOG_DBL(k, n) \
	((struct log_field){ .key = (k), .type = LOG_TYPE_DBL, .value.d = (n) })
#define LOG_BOOL(k, yes) \
	((struct log_field){ .key = (k), \
	    .type = LOG_TYPE_BOOL, \
	    .value.b = (yes) })

#define log_event(level, event, ...) \
	do { \
		if (log_on(level)) { \
			const struct log_field fields_[] = { __VA_ARGS__ }; \
			log_write(level, event, fields_, array_len(fields_)); \
		} \
	} while (0)
#define log_error(...) log_event(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_event(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_event(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Gets a line without its newline; `line` is gone on return. */
typedef void log_sink(void *arg, const char *line, size_t len);
/* Wall clock: milliseconds since the epoch. */
typedef int64_t log_clock(void *arg);

/* Sets level and format, at any time; before: info, logfmt. */
void log_open(enum log_level, enum log_format);
/* Where lines go instead of stderr; NULL: stderr again. */
void log_set_sink(log_sink *, void *arg);
/* What time it is; NULL: the system's clock again. */
void log_set_clock(log_clock *, void *arg);
/* Whether lines of this level are written. */
bool log_on(enum log_level);
/* Writes a line; call the macros above instead. */
void log_write(enum log_level, const char *event, const struct log_field *,
    size_t count);

/* "error", "warn", "info", "debug"; and back: -1 for anything else. */
const char *log_level_name(enum log_level);
int log_level_parse(const char *name, enum log_level *) must_use;
/* "logfmt", "json"; and back: -1 for anything else. */
const char *log_format_name(enum log_format);
int log_format_parse(const char *name, enum log_format *) must_use;

/* What LOG_STR and LOG_BYTES make. */
struct log_field log_field_text(const char *key, const char *text);
struct log_field log_field_bytes(const char *key, const void *ptr, size_t len);

#endif
