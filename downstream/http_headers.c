/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/http_headers.h"

#include <string.h>
#include <strings.h>

#include "config/conf.h"
#include "downstream/http_carry.h"
#include "downstream/http_event.h"
#include "downstream/http_line.h"
#include "downstream/trace.h"
#include "lib/log.h"

static void
add_configured(struct http_headers *h, const struct conf_header *item)
{
	if (item->value == NULL)
		return;
	if (item->value[strspn(item->value, " ")] == '\0')
		buf_printf(&h->fixed, "%s;", item->name);
	else
		buf_printf(&h->fixed, "%s: %s", item->name, item->value);
	http_line_end(&h->fixed);
	if (strcasecmp(item->name, "Content-Type") == 0)
		h->has_content_type = true;
	else if (strcasecmp(item->name, "Content-Encoding") == 0)
		h->has_content_encoding = true;
	else if (strcasecmp(item->name, "traceparent") == 0)
		h->has_traceparent = true;
}

void
http_headers_init(struct http_headers *h, const struct conf_http *conf)
{
	size_t i;

	memset(h, 0, sizeof(*h));
	h->event = conf->format == CONF_FORMAT_CLOUDEVENTS;
	/* What libcurl would add by itself. */
	buf_add_str(&h->fixed, "Expect:");
	http_line_end(&h->fixed);
	for (i = 0; i < conf->headers.count; i++)
		add_configured(h, &conf->headers.items[i]);
	for (i = 0; i < conf->forward_headers.count; i++) {
		buf_add_str(&h->forward, conf->forward_headers.items[i]);
		http_line_end(&h->forward);
	}
}

void
http_headers_clear(struct http_headers *h)
{
	buf_clear(&h->fixed);
	buf_clear(&h->forward);
}

static void
add_content(const struct http_headers *h, const struct attempt *attempt,
    struct buf *lines)
{
	if (!h->has_content_type && attempt->content_type.len > 0) {
		http_line_text(lines, "Content-Type", &attempt->content_type);
	} else if (!h->has_content_type) {
		/* Else libcurl says that it is a form. */
		buf_add_str(lines, "Content-Type:");
		http_line_end(lines);
	}
	if (!h->has_content_encoding)
		http_line_text(lines, "Content-Encoding",
		    &attempt->content_encoding);
}

static void
add_trace(const struct http_headers *h, const struct attempt *attempt,
    struct buf *lines)
{
	if (h->has_traceparent || !trace_parent_valid(&attempt->traceparent))
		return;
	http_line_raw(lines, "traceparent", &attempt->traceparent);
	if (trace_state_valid(&attempt->tracestate))
		http_line_raw(lines, "tracestate", &attempt->tracestate);
}

static bool
is_forwarded(const struct http_headers *h, const struct attempt_text *name)
{
	const char *item = (const char *)buf_peek(&h->forward);
	const char *end = item + h->forward.len;
	size_t len;

	for (; item < end; item += len + 1) {
		len = strlen(item);
		if (len == name->len && memcmp(item, name->ptr, len) == 0)
			return true;
	}
	return false;
}

static void
forward(const struct http_carried *header, struct buf *lines)
{
	buf_add(lines, header->name.ptr, header->name.len);
	if (header->value.len > 0) {
		buf_add_str(lines, ": ");
		http_line_value(lines, &header->value);
	} else {
		buf_add_str(lines, ";");
	}
	http_line_end(lines);
}

/* What the request is to tell of; the rest is passed over. */
static void
collect(const struct http_headers *h, const struct attempt *attempt,
    struct http_carry *carry)
{
	struct attempt_text rest = attempt->fields.table;
	struct attempt_field field;

	http_carry_init(carry);
	if (attempt->fields.next == NULL || (h->forward.len == 0 && !h->event))
		return;
	while (attempt->fields.next(&rest, &field))
		if (is_forwarded(h, &field.name) ||
		    (h->event && http_event_is_attribute(&field.name)))
			http_carry_add(carry, &field);
	if (carry->left_out > 0)
		log_info("headers_left_out",
		    LOG_BYTES("pipeline", attempt->pipeline.ptr,
			attempt->pipeline.len),
		    LOG_BYTES("id", attempt->id.ptr, attempt->id.len),
		    LOG_UINT("count", carry->left_out));
}

static void
log_left_out(const struct attempt *attempt, const struct http_carried *header)
{
	log_info("header_left_out",
	    LOG_BYTES("pipeline", attempt->pipeline.ptr, attempt->pipeline.len),
	    LOG_BYTES("id", attempt->id.ptr, attempt->id.len),
	    LOG_BYTES("name", header->name.ptr, header->name.len),
	    LOG_UINT("bytes", header->value.len));
}

/* What the message brings along, as far as there is room. */
static void
add_carried(const struct http_headers *h, const struct attempt *attempt,
    const struct http_carry *carry, bool event, struct buf *lines)
{
	size_t start = lines->len, before, i;
	const struct http_carried *header;

	for (i = 0; i < carry->count; i++) {
		header = &carry->items[i];
		before = lines->len;
		if (header->value.len > HTTP_HEADERS_LINE_MAX) {
			log_left_out(attempt, header);
			continue;
		}
		if (is_forwarded(h, &header->name))
			forward(header, lines);
		if (event)
			http_event_attribute(carry, i, lines);
		if (lines->len - before > HTTP_HEADERS_LINE_MAX ||
		    lines->len - start > HTTP_HEADERS_FORWARD_MAX) {
			lines->len = before;
			log_left_out(attempt, header);
		}
	}
}

void
http_headers_write(const struct http_headers *h, const struct attempt *attempt,
    struct buf *lines)
{
	struct http_carry carry;
	bool event;

	collect(h, attempt, &carry);
	event = h->event && http_event_carried(attempt, &carry);
	buf_add(lines, buf_peek(&h->fixed), h->fixed.len);
	add_content(h, attempt, lines);
	http_line_text(lines, "Idempotency-Key", &attempt->id);
	http_line_text(lines, "Dlo-Id", &attempt->id);
	http_line_text(lines, "Dlo-Pipeline", &attempt->pipeline);
	http_line_number(lines, "Dlo-Attempt", attempt->number);
	http_line_number(lines, "Dlo-Redrives", attempt->redrives);
	http_line_text(lines, "Dlo-Routing-Key", &attempt->routing_key);
	http_line_text(lines, "Dlo-Exchange", &attempt->exchange);
	add_trace(h, attempt, lines);
	if (h->event && !event)
		http_event_make(attempt, lines);
	add_carried(h, attempt, &carry, event, lines);
}
