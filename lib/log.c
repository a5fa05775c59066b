/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/log.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/text.h"

/* A value longer than this is cut: a line stays readable. */
#define VALUE_MAX 2048

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const char *const format_names[] = { "logfmt", "json" };

static struct {
	enum log_level level;
	enum log_format format;
	log_sink *sink;
	void *sink_arg;
	log_clock *clock;
	void *clock_arg;
} state = { .level = LOG_LEVEL_INFO };

void
log_open(enum log_level level, enum log_format format)
{
	state.level = level;
	state.format = format;
}

void
log_set_sink(log_sink *sink, void *arg)
{
	state.sink = sink;
	state.sink_arg = arg;
}

void
log_set_clock(log_clock *clock, void *arg)
{
	state.clock = clock;
	state.clock_arg = arg;
}

bool
log_on(enum log_level level)
{
	return level <= state.level;
}

const char *
log_level_name(enum log_level level)
{
	return level_names[level];
}

const char *
log_format_name(enum log_format format)
{
	return format_names[format];
}

int
log_level_parse(const char *name, enum log_level *out)
{
	size_t i;

	for (i = 0; i < array_len(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

int
log_format_parse(const char *name, enum log_format *out)
{
	size_t i;

	for (i = 0; i < array_len(format_names); i++) {
		if (strcmp(name, format_names[i]) == 0) {
			*out = (enum log_format)i;
			return 0;
		}
	}
	return -1;
}

struct log_field
log_field_bytes(const char *key, const void *ptr, size_t len)
{
	return (struct log_field){ .key = key,
		.type = LOG_TYPE_BYTES,
		.value.bytes = { ptr, len } };
}

struct log_field
log_field_text(const char *key, const char *text)
{
	return log_field_bytes(key, text, text == NULL ? 0 : strlen(text));
}

/* Whether logfmt can have it without quotes. */
static bool
is_bare(const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] <= 0x20 || p[i] >= 0x7f || p[i] == '"' ||
		    p[i] == '=' || p[i] == '\\')
			return false;
	}
	return len > 0;
}

static void
add_bytes(struct buf *line, const uint8_t *p, size_t len)
{
	size_t kept = text_utf8_cut(p, len, VALUE_MAX);

	if (state.format == LOG_FORMAT_LOGFMT && kept == len &&
	    is_bare(p, len)) {
		buf_add(line, p, len);
		return;
	}
	buf_add_u8(line, '"');
	text_json(line, p, kept);
	if (kept < len)
		buf_add_str(line, "...");
	buf_add_u8(line, '"');
}

static void
add_value(struct buf *line, const struct log_field *field)
{
	double d = field->value.d;

	switch (field->type) {
	case LOG_TYPE_BYTES:
		add_bytes(line, field->value.bytes.ptr, field->value.bytes.len);
		break;
	case LOG_TYPE_INT:
		buf_printf(line, "%lld", (long long)field->value.i);
		break;
	case LOG_TYPE_UINT:
		buf_printf(line, "%llu", (unsigned long long)field->value.u);
		break;
	case LOG_TYPE_DBL:
		/* JSON has neither infinity nor NaN. */
		if (d - d == 0)
			buf_printf(line, "%.10g", d);
		else
			buf_add_str(line, "null");
		break;
	case LOG_TYPE_BOOL:
		buf_add_str(line, field->value.b ? "true" : "false");
		break;
	}
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	if (state.clock != NULL)
		return state.clock(state.clock_arg);
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* stderr may be a pipe that somebody made non-blocking. */
static void
write_line(const uint8_t *p, size_t len)
{
	struct pollfd pollfd = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t n;

	while (len > 0) {
		n = write(STDERR_FILENO, p, len);
		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			(void)poll(&pollfd, 1, -1); /* then try */
		} else if (errno != EINTR) {
			return; /* there is nobody left to tell */
		}
	}
}

void
log_write(enum log_level level, const char *event,
    const struct log_field *fields, size_t count)
{
	bool json = state.format == LOG_FORMAT_JSON;
	char ts[TEXT_ISO8601_SPACE];
	struct buf line = { 0 };
	int saved = errno;
	size_t i;

	text_iso8601(ts, now_ms());
	buf_printf(&line,
	    json ? "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":\"%s\""
		 : "%s %s %s",
	    ts, level_names[level], event);
	for (i = 0; i < count; i++) {
		if (fields[i].type == LOG_TYPE_BYTES &&
		    fields[i].value.bytes.ptr == NULL)
			continue;
		buf_printf(&line, json ? ",\"%s\":" : " %s=", fields[i].key);
		add_value(&line, &fields[i]);
	}
	if (json)
		buf_add_u8(&line, '}');
	if (state.sink != NULL) {
		state.sink(state.sink_arg, buf_str(&line), line.len);
	} else {
		buf_add_u8(&line, '\n');
		write_line(buf_peek(&line), line.len);
	}
	buf_clear(&line);
	errno = saved;
}
