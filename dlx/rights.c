/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "dlx/rights.h"

#include <stdlib.h>

#include "amqp/props.h"
#include "dlx/envelope.h"
#include "lib/xalloc.h"

/* Neither a pipeline's name nor a ladder's route begins like this. */
#define NOWHERE "-"

enum { CODE_DENIED = 403, CODE_NOT_FOUND = 404, CODE_PRECONDITION = 406 };

struct question {
	struct rights *rights;
	const char *exchange;
	struct rmq_ticket *ticket;
};

struct rights {
	struct rmq_publisher *publisher;
	rights_done_cb *done; /* NULL: has been called */
	void *arg;
	struct buf props;
	size_t count, answered;
	struct question questions[];
};

static void
on_sent(void *arg, const struct rmq_sent_result *sent)
{
	struct question *q = arg;
	struct rights *r = q->rights;
	struct rights_result result = { NULL, 0, NULL };
	rights_done_cb *done;

	q->ticket = NULL;
	r->answered++;
	if (r->done == NULL)
		return;
	if (sent->sent == RMQ_SENT_REFUSED &&
	    (sent->code == CODE_DENIED || sent->code == CODE_NOT_FOUND ||
		sent->code == CODE_PRECONDITION))
		result = (struct rights_result){ q->exchange, sent->code,
			sent->text };
	else if (r->answered < r->count)
		return;
	done = r->done;
	r->done = NULL;
	done(r->arg, &result);
}

static void
ask(struct rights *r, struct question *q, const char *exchange)
{
	const struct rmq_publish publish = {
		.exchange = exchange,
		.routing_key = NOWHERE,
		.props = { buf_peek(&r->props), r->props.len },
		.mandatory = true,
		.correlation = rmq_slice_of(NOWHERE),
	};

	q->rights = r;
	q->exchange = exchange;
	q->ticket = rmq_publisher_send(r->publisher, &publish, on_sent, q);
}

static void
write_props(struct buf *out, const char *user)
{
	struct rmq_props props = { 0 };
	struct buf headers = { 0 };

	rmq_table_add_text(&headers, ENVELOPE_ID_HEADER, NOWHERE, 1);
	props.has[RMQ_PROP_HEADERS] = true;
	props.value[RMQ_PROP_HEADERS] =
	    (struct rmq_slice){ buf_peek(&headers), headers.len };
	props.has[RMQ_PROP_USER_ID] = true;
	props.value[RMQ_PROP_USER_ID] = rmq_slice_of(user);
	rmq_props_write(out, &props);
	buf_clear(&headers);
}

struct rights *
rights_new(struct rmq_publisher *publisher, const char *user,
    const char *const *exchanges, size_t count, rights_done_cb *done, void *arg)
{
	struct rights *r =
	    xcalloc(1, sizeof(*r) + count * sizeof(r->questions[0]));

	r->publisher = publisher;
	r->done = done;
	r->arg = arg;
	r->count = count;
	write_props(&r->props, user);
	for (size_t i = 0; i < count; i++)
		ask(r, &r->questions[i], exchanges[i]);
	return r;
}

void
rights_free(struct rights *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->count; i++)
		if (r->questions[i].ticket != NULL)
			rmq_publisher_forget(r->publisher,
			    r->questions[i].ticket);
	buf_clear(&r->props);
	free(r);
}
