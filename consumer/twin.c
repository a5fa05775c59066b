/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/twin.h"

#include <stdbool.h>
#include <string.h>

void
twin_init(struct twin *twin, struct loop *loop)
{
	twin->digest = digest_new();
	twin->salt = loop_random(loop);
}

void
twin_clear(struct twin *twin)
{
	digest_free(twin->digest);
	twin->digest = NULL;
}

static void
add(struct digest *digest, struct rmq_slice slice)
{
	digest_add(digest, slice.ptr, slice.len);
}

/* Ours, and the broker's: x-delivery-count is another each time. */
static bool
is_passing(struct rmq_slice name)
{
	return (name.len >= 2 && memcmp(name.ptr, "x-", 2) == 0) ||
	    (name.len >= 4 && memcmp(name.ptr, "dlo-", 4) == 0);
}

/* All that the publisher said beside the body. */
static void
add_props(struct digest *digest, const struct rmq_props *props)
{
	struct rmq_slice headers = props->value[RMQ_PROP_HEADERS];
	struct rmq_header header;

	for (int i = 0; i < RMQ_PROP_COUNT; i++) {
		/* A redelivery can be the first to have any. */
		if (i == RMQ_PROP_HEADERS)
			continue;
		digest_add(digest, &props->has[i], sizeof(props->has[i]));
		add(digest, props->value[i]);
	}
	while (rmq_table_next(&headers, &header) == 1)
		if (!is_passing(header.name))
			add(digest, header.raw);
}

int
twin_digest(struct twin *twin, const struct envelope *e, struct rmq_slice body,
    uint8_t out[DIGEST_BYTES])
{
	struct digest *digest = twin->digest;
	bool made = e->id.ptr == (const uint8_t *)e->uuid;

	if (e->verdict != RMQ_PROPS_OK)
		return -1;
	digest_start(digest);
	digest_add(digest, &twin->salt, sizeof(twin->salt));
	add(digest, made ? (struct rmq_slice){ NULL, 0 } : e->id);
	digest_add(digest, &e->redrives, sizeof(e->redrives));
	add(digest, e->exchange);
	add(digest, e->routing_key);
	add_props(digest, &e->props);
	add(digest, body);
	return digest_end(digest, out);
}
