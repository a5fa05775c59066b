/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A libFuzzer target: any message in a queue that dlo-redrive reads, of a
 * whole daemon on the model broker that has dead letters. The first byte tells
 * which queue, by whom (its own user, a stranger, nobody, or properties that
 * are any bytes too), and whether another daemon takes over after it.
 */
#include <stdlib.h>

#include "amqp/props.h"
#include "config/conf.h"
#include "redrive/registry.h"
#include "tests/redrive/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum {
	BY = 0x03,
	WHERE = 0x0c,
	LETTERS = 0x08, /* from here on the queues have some */
	TAKE_OVER = 0x10,
	IN_A_JOB = 0x20,
};

static const char *const queues[] = { "dlo.jobs", "dlo.verdicts", "orders.dlq",
	"orders.parked" };

static bool
is_active(const struct world *world)
{
	return world->ready &&
	    registry_is_active(redrive_registry(world->redrive));
}

static struct world *
open_world(void)
{
	static const struct world_letter letter = {
		.reason = "attempts_exhausted",
		.dead_ms = SIM_EPOCH_MS - 3600 * 1000,
		.body_bytes = 40,
	};
	struct world *world = world_new(1, "{when: [], canary: 1, rate: 100}");

	world->healthy = true;
	world_start(world, NULL);
	world_until(world, is_active);
	world_bury(world, 1, 3, &letter);
	return world;
}

/* A wish of an operator. */
static void
ask(struct world *world, const char *action)
{
	static const struct registry_source source = { "fuzz", "fuzz" };
	struct registry_answer answer = { 0 };
	json_t *body =
	    json_pack("{s:s, s:s}", "pipeline", "orders", "action", action);

	registry_create(redrive_registry(world->redrive), body, &source,
	    &answer);
	json_decref(body);
}

/* The properties of what comes; any bytes: a length and they. */
static void
make_props(unsigned by, const uint8_t **bytes, size_t *len, struct buf *out)
{
	static const char *const users[] = { "guest", "stranger", NULL };
	struct rmq_props props = { 0 };
	size_t n;

	if (by == array_len(users)) {
		n = *len >= 1 ? **bytes * 4u : 0;
		if (n >= *len)
			n = *len >= 1 ? *len - 1 : 0;
		buf_add(out, *bytes + (*len >= 1), n);
		*bytes += n + (*len >= 1);
		*len -= n + (*len >= 1);
		return;
	}
	if (users[by] != NULL) {
		props.has[RMQ_PROP_USER_ID] = true;
		props.value[RMQ_PROP_USER_ID] = rmq_slice_of(users[by]);
	}
	rmq_props_write(out, &props);
}

/* The broker adds to them what it knows: it takes none that it cannot read. */
static bool
is_readable(const struct buf *props)
{
	struct rmq_props parsed;

	return rmq_props_parse(&parsed,
		   (struct rmq_slice){ buf_peek(props), props->len }) ==
	    RMQ_PROPS_OK;
}

/*
 * What has four bytes and is no JSON is a letter to the model, by their number.
 * It is to be a small one, and none in a queue that has no letters.
 */
static void
make_body(struct buf *out, bool letter, const uint8_t *bytes, size_t len)
{
	if (len >= 4 && bytes[0] != '{') {
		if (letter)
			buf_add_u32(out, bytes[0]);
		bytes += letter ? 4 : len - 3;
		len -= letter ? 4 : len - 3;
	}
	buf_add(out, bytes, len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct buf props = { 0 }, body = { 0 };
	struct world *world;
	uint8_t how;

	if (len == 0)
		return 0;
	how = *bytes++;
	len--;
	make_props(how & BY, &bytes, &len, &props);
	if (!is_readable(&props)) {
		buf_clear(&props);
		return 0;
	}
	world = open_world();
	if ((how & IN_A_JOB) != 0) {
		ask(world, "redrive");
		world_run(world, 500);
	}
	make_body(&body, (how & WHERE) >= LETTERS, bytes, len);
	(void)model_publish_raw(world->model, queues[(how & WHERE) >> 2],
	    buf_peek(&body), body.len, buf_peek(&props), props.len);
	world_run(world, 3000);
	if ((how & IN_A_JOB) == 0)
		ask(world, (how & WHERE) == WHERE ? "unpark" : "park");
	if ((how & TAKE_OVER) != 0) {
		world_start_other(world);
		world_run(world, 1000);
		world_kill_one(world, false);
	}
	world_run(world, 20000);
	buf_clear(&props);
	buf_clear(&body);
	world_free(world);
	return 0;
}
