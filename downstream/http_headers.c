/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/http_headers.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "config/conf.h"
#include "downstream/trace.h"
#include "lib/text.h"

static void
end_line(struct buf *lines)
{
	buf_add_u8(lines, 0);
}

void
http_headers_init(struct http_headers *h, const struct conf_headers *conf)
{
	const struct conf_header *item;
	size_t i;

	memset(h, 0, sizeof(*h));
	/* What libcurl would add by itself. */
	buf_add_str(&h->fixed, "Expect:");
	end_line(&h->fixed);
	for (i = 0; i < conf->count; i++) {
		item = &conf->items[i];
		if (item->value == NULL)
			continue;
		if (item->value[strspn(item->value, " ")] == '\0')
			buf_printf(&h->fixed, "%s;", item->name);
		else
			buf_printf(&h->fixed, "%s: %s", item->name,
			    item->value);
		end_line(&h->fixed);
		if (strcasecmp(item->name, "Content-Type") == 0)
			h->has_content_type = true;
		else if (strcasecmp(item->name, "Content-Encoding") == 0)
			h->has_content_encoding = true;
		else if (strcasecmp(item->name, "traceparent") == 0)
			h->has_traceparent = true;
	}
}

void
http_headers_clear(struct http_headers *h)
{
	buf_clear(&h->fixed);
}

static void
add_spaces(struct buf *lines, size_t count)
{
	while (count-- > 0)
		buf_add_str(lines, "%20");
}

/* A header of bytes from the wire; without bytes there is none. */
static void
add_text(struct buf *lines, const char *name, const struct attempt_text *text)
{
	size_t before = 0, after = 0;

	if (text->len == 0)
		return;
	while (before < text->len && text->ptr[before] == ' ')
		before++;
	while (after < text->len - before &&
	    text->ptr[text->len - after - 1] == ' ')
		after++;
	buf_add_str(lines, name);
	buf_add_str(lines, ": ");
	add_spaces(lines, before);
	text_percent(lines, text->ptr + before, text->len - before - after);
	add_spaces(lines, after);
	end_line(lines);
}

static void
add_number(struct buf *lines, const char *name, int64_t number)
{
	buf_printf(lines, "%s: %" PRId64, name, number);
	end_line(lines);
}

/* A header whose bytes are known to be good ones. */
static void
add_raw(struct buf *lines, const char *name, const struct attempt_text *text)
{
	buf_add_str(lines, name);
	buf_add_str(lines, ": ");
	buf_add(lines, text->ptr, text->len);
	end_line(lines);
}

static void
add_content(const struct http_headers *h, const struct attempt *attempt,
    struct buf *lines)
{
	if (!h->has_content_type && attempt->content_type.len > 0) {
		add_text(lines, "Content-Type", &attempt->content_type);
	} else if (!h->has_content_type) {
		/* Else libcurl says that it is a form. */
		buf_add_str(lines, "Content-Type:");
		end_line(lines);
	}
	if (!h->has_content_encoding)
		add_text(lines, "Content-Encoding", &attempt->content_encoding);
}

static void
add_trace(const struct http_headers *h, const struct attempt *attempt,
    struct buf *lines)
{
	if (h->has_traceparent || !trace_parent_valid(&attempt->traceparent))
		return;
	add_raw(lines, "traceparent", &attempt->traceparent);
	if (trace_state_valid(&attempt->tracestate))
		add_raw(lines, "tracestate", &attempt->tracestate);
}

void
http_headers_write(const struct http_headers *h, const struct attempt *attempt,
    struct buf *lines)
{
	buf_add(lines, buf_peek(&h->fixed), h->fixed.len);
	add_content(h, attempt, lines);
	add_text(lines, "Idempotency-Key", &attempt->id);
	add_text(lines, "Dlo-Id", &attempt->id);
	add_text(lines, "Dlo-Pipeline", &attempt->pipeline);
	add_number(lines, "Dlo-Attempt", attempt->number);
	add_number(lines, "Dlo-Redrives", attempt->redrives);
	add_text(lines, "Dlo-Routing-Key", &attempt->routing_key);
	add_text(lines, "Dlo-Exchange", &attempt->exchange);
	add_trace(h, attempt, lines);
}
