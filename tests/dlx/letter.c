/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/dlx/letter.h"

#include <string.h>

#include "tests/dlx/dump.h"
#include "tests/unit.h"

const struct envelope_origin letter_work = {
	.queue = "orders",
	.redelivered = true,
};
const struct envelope_origin letter_dead = { .queue = "orders", .dead = true };

static const char *const friends[] = { "guest", LETTER_SELF, LETTER_FRIEND };
static const struct conf_texts trusted = { friends, array_len(friends) };

static int64_t
wall_ms(struct loop *loop)
{
	(void)loop;
	return LETTER_NOW_MS;
}

static uint64_t
next_random(struct loop *loop)
{
	static uint64_t last;

	(void)loop;
	last = last == 1 ? 2 : 1;
	return last;
}

static const struct loop_ops loop_ops = {
	.wall_ms = wall_ms,
	.random = next_random,
};

static void
set_prop(struct rmq_props *props, enum rmq_prop prop, const char *text)
{
	props->has[prop] = text != NULL;
	props->value[prop] = rmq_slice_of(text);
}

static void
write_props(struct letter *letter)
{
	struct rmq_props props = { 0 };

	set_prop(&props, RMQ_PROP_USER_ID, letter->user);
	set_prop(&props, RMQ_PROP_MESSAGE_ID, letter->message_id);
	set_prop(&props, RMQ_PROP_EXPIRATION, letter->expiration);
	if (letter->delivery_mode != 0) {
		props.has[RMQ_PROP_DELIVERY_MODE] = true;
		props.value[RMQ_PROP_DELIVERY_MODE] =
		    (struct rmq_slice){ &letter->delivery_mode, 1 };
	}
	if (letter->headers.len > 0) {
		props.has[RMQ_PROP_HEADERS] = true;
		props.value[RMQ_PROP_HEADERS] =
		    (struct rmq_slice){ buf_peek(&letter->headers),
			    letter->headers.len };
	}
	rmq_props_write(&letter->props, &props);
}

void
letter_read(struct letter *letter, const struct envelope_origin *origin,
    struct envelope *e)
{
	struct loop loop = { .ops = &loop_ops };

	if (letter->props.len == 0)
		write_props(letter);
	letter->message.props.ptr = buf_peek(&letter->props);
	letter->message.props.len = letter->props.len;
	letter->message.exchange =
	    rmq_slice_of(letter->exchange == NULL ? "" : letter->exchange);
	letter->message.routing_key = rmq_slice_of(
	    letter->routing_key == NULL ? "" : letter->routing_key);
	envelope_read(e, &letter->message, origin, &trusted, &loop);
}

enum envelope_fit
letter_copy(const struct envelope *e, uint32_t frame_max, struct letter *copy)
{
	struct rmq_props props;
	struct rmq_slice raw;
	enum envelope_fit fit;
	enum rmq_props_verdict verdict;

	memset(copy, 0, sizeof(*copy));
	copy->exchange = "dlo.x";
	copy->routing_key = "k";
	fit = envelope_write(e, LETTER_SELF, frame_max, &copy->props);
	raw = (struct rmq_slice){ buf_peek(&copy->props), copy->props.len };
	verdict = rmq_props_parse(&props, raw);
	assert_true(verdict == RMQ_PROPS_OK || verdict == RMQ_PROPS_TOO_DEEP);
	/* What must hold of each and every copy. */
	assert_true(raw.len <= (frame_max == 0 ? 131072 : frame_max) - 20);
	assert_slice(props.value[RMQ_PROP_USER_ID], LETTER_SELF);
	assert_slice(props.value[RMQ_PROP_DELIVERY_MODE], "\2");
	assert_false(props.has[RMQ_PROP_EXPIRATION]);
	buf_add(&copy->headers, props.value[RMQ_PROP_HEADERS].ptr,
	    props.value[RMQ_PROP_HEADERS].len);
	return fit;
}

void
letter_clear(struct letter *letter)
{
	buf_clear(&letter->headers);
	buf_clear(&letter->props);
	memset(letter, 0, sizeof(*letter));
}

void
letter_add_raw(struct letter *letter, const char *name, char type,
    const void *value, size_t len)
{
	buf_add_u8(&letter->headers, (uint8_t)strlen(name));
	buf_add_str(&letter->headers, name);
	buf_add_u8(&letter->headers, (uint8_t)type);
	buf_add(&letter->headers, value, len);
}

void
letter_add_text(struct letter *letter, const char *name, const char *text)
{
	rmq_table_add_text(&letter->headers, name, text, strlen(text));
}

void
letter_add_int(struct letter *letter, const char *name, int64_t value)
{
	rmq_table_add_int(&letter->headers, name, value);
}

const char *
letter_headers(const struct letter *letter, struct buf *out)
{
	struct rmq_slice table = { buf_peek(&letter->headers),
		letter->headers.len };

	buf_reset(out);
	dump_table(out, table);
	return buf_str(out);
}
