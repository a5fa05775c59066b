/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What dlo-consumer tells on `dlo.events` (docs/events.md), read again: the
 * outcomes of redriven messages and the breakers' states. Believed only of our
 * own users: the broker checks the user id, so that nobody else can speak in
 * their name. Pure.
 */
#ifndef DLO_REDRIVE_NEWS_H
#define DLO_REDRIVE_NEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "amqp/message.h"
#include "downstream/breaker.h"
#include "lib/compiler.h"

#define NEWS_NAME_SPACE	    64	/* of pipelines and downstreams */
#define NEWS_JOB_SPACE	    65	/* ENVELOPE_JOB_MAX and a NUL */
#define NEWS_INSTANCE_SPACE 513 /* as the schema says, and a NUL */
#define NEWS_ID_MAX	    255

struct conf_texts;

enum news_kind {
	NEWS_NOTHING, /* not believed, not understood, or of no interest */
	NEWS_OUTCOME,
	NEWS_BREAKER,
};

struct news {
	enum news_kind kind;
	int64_t at_ms; /* wall clock, to the second; 0: not said */
	/* An outcome's */
	char pipeline[NEWS_NAME_SPACE];
	char job[NEWS_JOB_SPACE];
	uint8_t id[NEWS_ID_MAX];
	size_t id_len;
	bool good;    /* ok */
	bool refused; /* bad, but it does not speak against the downstream */
	/* A breaker's */
	char downstream[NEWS_NAME_SPACE];
	char instance[NEWS_INSTANCE_SPACE];
	enum breaker_state state;
};

/* Why a message was not believed, or NULL; what it says is in `news`. */
const char *news_read(struct news *, const struct rmq_message *,
    const struct conf_texts *trusted) must_use;

#endif
