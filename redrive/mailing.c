/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/mailing.h"

#include <stdlib.h>
#include <string.h>

#include "amqp/message.h"
#include "amqp/publisher.h"
#include "config/conf.h"
#include "dlx/envelope.h"
#include "dlx/topology.h"
#include "lib/loop.h"
#include "lib/xalloc.h"
#include "redrive/job_env.h"
#include "redrive/letter_json.h"

/* How a letter that is redriven edited says so, in its id and dlo-job. */
#define EDITED "edit-"
/* Bytes of an id: a short string. */
#define ID_MAX 255

/* One of them on its way. */
struct parcel {
	struct mailing *mailing;
	struct rmq_ticket *ticket; /* NULL: it has its verdict */
	struct buf id;
	struct buf props; /* as they are published */
	struct buf body;
	bool safe;
};

struct mailing {
	struct mailing_options options;
	mailing_cb *cb;
	void *arg;
	struct parcel *parcels;
	size_t count, pending;
	char why[256];
	struct loop_task end;
};

static struct rmq_slice
slice_of(const struct buf *buf)
{
	return (struct rmq_slice){ buf_peek(buf), buf->len };
}

/* The id of an edited copy: another one, which begins with the old one. */
static void
set_edited_id(struct parcel *parcel, struct envelope *e)
{
	char suffix[64];
	int len = snprintf(suffix, sizeof(suffix), "/" EDITED "%llx",
	    (unsigned long long)loop_wall_ms(
		parcel->mailing->options.env->loop));
	size_t keep = ID_MAX - (size_t)len;

	buf_add(&parcel->id, e->id.ptr, e->id.len < keep ? e->id.len : keep);
	buf_add(&parcel->id, suffix, (size_t)len);
	e->id = slice_of(&parcel->id);
}

/* Makes the properties of its copy from what the letter says. */
static int
read_letter(struct parcel *parcel, const json_t *letter, const char **why)
{
	const struct mailing_options *options = &parcel->mailing->options;
	const struct job_env *env = options->env;
	const struct envelope_origin origin = {
		.queue = options->conf->queue,
		.dead = true,
	};
	struct rmq_message message = { 0 };
	struct buf props = { 0 };
	struct envelope e;
	enum envelope_fit fit;

	if (letter_json_read(letter, &props, &parcel->body, why) == -1) {
		buf_clear(&props);
		return -1;
	}
	message.props = slice_of(&props);
	message.body = slice_of(&parcel->body);
	envelope_read(&e, &message, &origin, env->trusted, env->loop);
	if (options->where == MAILING_WORK) {
		set_edited_id(parcel, &e);
		envelope_redriven(&e, EDITED);
	} else {
		buf_add(&parcel->id, e.id.ptr, e.id.len);
		envelope_parked(&e);
	}
	fit = envelope_write(&e, env->user, env->frame_max, &parcel->props);
	envelope_clear(&e);
	buf_clear(&props);
	if (fit != ENVELOPE_FIT_CUT)
		return 0;
	*why = "its headers leave no room for ours";
	return -1;
}

static void
on_end(void *arg)
{
	struct mailing *mailing = arg;
	mailing_cb *cb = mailing->cb;
	void *cb_arg = mailing->arg;
	char why[sizeof(mailing->why)];
	size_t safe = 0;
	bool all;

	while (safe < mailing->count && mailing->parcels[safe].safe)
		safe++;
	all = safe == mailing->count;
	memcpy(why, mailing->why, sizeof(why));
	mailing_free(mailing);
	cb(cb_arg, safe, all ? NULL : why);
}

static void
on_sent(void *arg, const struct rmq_sent_result *result)
{
	struct parcel *parcel = arg;
	struct mailing *mailing = parcel->mailing;

	parcel->ticket = NULL;
	parcel->safe = result->sent == RMQ_SENT_OK;
	if (!parcel->safe && mailing->why[0] == '\0')
		(void)snprintf(mailing->why, sizeof(mailing->why), "%s: %s",
		    rmq_sent_name(result->sent), result->text);
	if (--mailing->pending == 0)
		loop_defer(mailing->options.env->loop, &mailing->end);
}

static void
publish(struct parcel *parcel)
{
	const struct mailing_options *options = &parcel->mailing->options;
	const struct topology_names *names = options->env->names;
	const struct rmq_publish publish = {
		.exchange = options->where == MAILING_DEAD ? names->dead
							   : names->redrive,
		.routing_key = options->names->dead_key,
		.props = slice_of(&parcel->props),
		.body = slice_of(&parcel->body),
		.mandatory = true,
		.correlation = slice_of(&parcel->id),
	};

	parcel->ticket = rmq_publisher_send(options->env->publisher, &publish,
	    on_sent, parcel);
}

struct mailing *
mailing_new(const struct mailing_options *options, mailing_cb *cb, void *arg,
    const char **why, size_t *which)
{
	struct mailing *mailing = xcalloc(1, sizeof(*mailing));

	mailing->options = *options;
	mailing->cb = cb;
	mailing->arg = arg;
	mailing->count = json_array_size(options->letters);
	mailing->parcels =
	    xcalloc(mailing->count + 1, sizeof(*mailing->parcels));
	loop_task_init(&mailing->end, on_end, mailing);
	for (*which = 0; *which < mailing->count; ++*which) {
		struct parcel *parcel = &mailing->parcels[*which];

		parcel->mailing = mailing;
		if (read_letter(parcel,
			json_array_get(options->letters, *which), why) == -1) {
			mailing_free(mailing);
			return NULL;
		}
	}
	mailing->options.letters = NULL;
	mailing->pending = mailing->count;
	for (size_t i = 0; i < mailing->count; i++)
		publish(&mailing->parcels[i]);
	if (mailing->count == 0)
		loop_defer(options->env->loop, &mailing->end);
	return mailing;
}

void
mailing_free(struct mailing *mailing)
{
	if (mailing == NULL)
		return;
	for (size_t i = 0; i < mailing->count; i++) {
		struct parcel *parcel = &mailing->parcels[i];

		if (parcel->ticket != NULL)
			rmq_publisher_forget(mailing->options.env->publisher,
			    parcel->ticket);
		buf_clear(&parcel->id);
		buf_clear(&parcel->props);
		buf_clear(&parcel->body);
	}
	loop_undefer(mailing->options.env->loop, &mailing->end);
	free(mailing->parcels);
	free(mailing);
}
