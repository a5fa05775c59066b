/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include "amqp/props.h"
#include "dlx/topology.h"
#include "lib/buf.h"
#include "lib/compiler.h"
#include "tests/dlx/dump.h"

static const struct conf_pipeline orders = {
	.name = "orders",
	.queue = "shop.orders",
	.retry = { .cap_ms = 200 },
	.dead_letter = {
		.queue = "shop.orders.dlq",
		.parked = "shop.orders.parked",
		.archive = "shop.orders.archive",
		.archive_ttl_ms = 604800000,
	},
};

static const struct conf_rule slow_rule = {
	.class = "http.429",
	.cap_ms = 400,
};

static const struct conf_pipeline mails = {
	.name = "mails",
	.queue = "mails",
	.declare = true,
	.declare_type = CONF_QUEUE_QUORUM,
	.retry = { .cap_ms = 100, .rules = &slow_rule, .rule_count = 1 },
	.dead_letter = {
		.queue = "mails.dlq",
		.parked = "mails.parked",
		.archive = "mails.archive",
		.archive_ttl_ms = 3600000,
	},
};

static const struct conf_pipeline faxes = {
	.name = "faxes",
	.queue = "faxes",
	.declare = true,
	.declare_type = CONF_QUEUE_CLASSIC,
	.retry = { .cap_ms = 100 },
	.dead_letter = {
		.queue = "faxes.dlq",
		.parked = "faxes.parked",
		.archive = "faxes.archive",
		.archive_ttl_ms = 3600000,
	},
};

#define QUORUM	"x-queue-type=quorum"
#define CLASSIC "x-queue-type=classic"
#define KEEP	" x-overflow=reject-publish x-delivery-limit=2147483647"
#define SAFE \
	" x-dead-letter-strategy=at-least-once" \
	" x-overflow=reject-publish"

#define ORDERS_LADDER \
	"exchange dlo.retry.orders fanout\n" \
	"binding dlo.retry.orders -> shop.orders ()\n" \
	"queue dlo.retry.orders.0 " QUORUM " x-message-ttl=100" \
	" x-dead-letter-exchange=dlo.retry.orders" SAFE "\n" \
	"exchange dlo.retry.orders.0 topic\n" \
	"binding dlo.retry.orders.0 -> dlo.retry.orders (0.#)\n" \
	"binding dlo.retry.orders.0 -> dlo.retry.orders.0 (1.#)\n" \
	"queue dlo.retry.orders.1 " QUORUM " x-message-ttl=200" \
	" x-dead-letter-exchange=dlo.retry.orders.0" SAFE "\n" \
	"exchange dlo.retry.orders.1 topic\n" \
	"binding dlo.retry.orders.1 -> dlo.retry.orders.0 (*.0.#)\n" \
	"binding dlo.retry.orders.1 -> dlo.retry.orders.1 (*.1.#)\n"

#define MAILS_WORK \
	"queue mails " QUORUM " x-dead-letter-exchange=dlo.dead" \
	" x-dead-letter-routing-key=mails" SAFE \
	" x-delivery-limit=2147483647 named\n"

#define DEAD(queue, key) \
	"queue " queue " " QUORUM KEEP " named\n" \
	"binding dlo.dead -> " queue " (" key ")\n"

#define ARCHIVE(queue, key, ttl) \
	"queue " queue " " QUORUM KEEP " x-message-ttl=" ttl " named\n" \
	"binding dlo.dead -> " queue " (" key ")\n"

#define CONTROL(type, keep) \
	"queue dlo.jobs " type " x-single-active-consumer=true" keep "\n" \
	"queue dlo.audit x-queue-type=stream x-max-age=90D" \
	" x-max-length-bytes=1000000000\n" \
	"exchange dlo.control direct\n" \
	"binding dlo.control -> dlo.jobs (jobs)\n" \
	"binding dlo.control -> dlo.audit (audit)\n" \
	"queue dlo.verdicts " type " x-message-ttl=600000" \
	" x-max-length=100000 x-overflow=drop-head\n" \
	"binding dlo.events -> dlo.verdicts (outcome.*)\n" \
	"binding dlo.events -> dlo.verdicts (breaker.*)\n"

static const char one_for_consumer[] =
    "exchange dlo.events topic\n"
    "exchange dlo.dead direct\n" DEAD("shop.orders.dlq",
	"orders") "queue shop.orders foreign named\n" ORDERS_LADDER;

static const char one_for_redrive[] =
    "exchange dlo.events topic\n"
    "exchange dlo.dead direct\n"
    "exchange dlo.redrive direct\n" DEAD("shop.orders.dlq", "orders")
	DEAD("shop.orders.parked", "orders.parked")
	    ARCHIVE("shop.orders.archive", "orders.archive",
		"604800000") "queue shop.orders foreign named\n"
			     "binding dlo.redrive -> shop.orders "
			     "(orders)\n" CONTROL(QUORUM, KEEP);

static const char two_for_all[] =
    "exchange dlo.events topic\n"
    "exchange dlo.dead direct\n"
    "exchange dlo.redrive direct\n" DEAD("shop.orders.dlq", "orders")
	DEAD("shop.orders.parked", "orders.parked")
	    ARCHIVE("shop.orders.archive", "orders.archive",
		"604800000") "queue shop.orders foreign named\n" ORDERS_LADDER
			     "binding dlo.redrive -> shop.orders "
			     "(orders)\n" DEAD("mails.dlq", "mails")
				 DEAD("mails.parked", "mails.parked")
				     ARCHIVE("mails.archive", "mails.archive",
					 "3600000") MAILS_WORK
    "exchange dlo.retry.mails fanout\n"
    "binding dlo.retry.mails -> mails ()\n"
    "queue dlo.retry.mails.0 " QUORUM " x-message-ttl=100"
    " x-dead-letter-exchange=dlo.retry.mails" SAFE "\n"
    "exchange dlo.retry.mails.0 topic\n"
    "binding dlo.retry.mails.0 -> dlo.retry.mails (0.#)\n"
    "binding dlo.retry.mails.0 -> dlo.retry.mails.0 (1.#)\n"
    "queue dlo.retry.mails.1 " QUORUM " x-message-ttl=200"
    " x-dead-letter-exchange=dlo.retry.mails.0" SAFE "\n"
    "exchange dlo.retry.mails.1 topic\n"
    "binding dlo.retry.mails.1 -> dlo.retry.mails.0 (*.0.#)\n"
    "binding dlo.retry.mails.1 -> dlo.retry.mails.1 (*.1.#)\n"
    "queue dlo.retry.mails.2 " QUORUM " x-message-ttl=400"
    " x-dead-letter-exchange=dlo.retry.mails.1" SAFE "\n"
    "exchange dlo.retry.mails.2 topic\n"
    "binding dlo.retry.mails.2 -> dlo.retry.mails.1 (*.*.0.#)\n"
    "binding dlo.retry.mails.2 -> dlo.retry.mails.2 (*.*.1.#)\n"
    "binding dlo.redrive -> mails (mails)\n" CONTROL(QUORUM, KEEP);

/* No argument that only a quorum queue knows. */
static const char classic_for_all[] =
    "exchange dlo.events topic\n"
    "exchange dlo.dead direct\n"
    "exchange dlo.redrive direct\n"
    "queue faxes.dlq " CLASSIC " named\n"
    "binding dlo.dead -> faxes.dlq (faxes)\n"
    "queue faxes.parked " CLASSIC " named\n"
    "binding dlo.dead -> faxes.parked (faxes.parked)\n"
    "queue faxes.archive " CLASSIC " x-message-ttl=3600000 named\n"
    "binding dlo.dead -> faxes.archive (faxes.archive)\n"
    "queue faxes " CLASSIC " x-dead-letter-exchange=dlo.dead"
    " x-dead-letter-routing-key=faxes named\n"
    "exchange dlo.retry.faxes fanout\n"
    "binding dlo.retry.faxes -> faxes ()\n"
    "queue dlo.retry.faxes.0 " CLASSIC " x-message-ttl=100"
    " x-dead-letter-exchange=dlo.retry.faxes\n"
    "exchange dlo.retry.faxes.0 topic\n"
    "binding dlo.retry.faxes.0 -> dlo.retry.faxes (0.#)\n"
    "binding dlo.retry.faxes.0 -> dlo.retry.faxes.0 (1.#)\n"
    "binding dlo.redrive -> faxes (faxes)\n" CONTROL(CLASSIC, "");

static void
dump_item(struct buf *out, const struct topology_item *item)
{
	struct rmq_slice args = { buf_peek(&item->args), item->args.len };

	topology_item_describe(item, out);
	if (item->kind == TOPOLOGY_EXCHANGE)
		buf_printf(out, " %s", item->type);
	dump_table(out, args);
	if (item->foreign)
		buf_add_str(out, " foreign");
	if (item->user_named)
		buf_add_str(out, " named");
	buf_add_str(out, "\n");
}

static void
lists_what_each_role_needs(void **state)
{
	const struct conf_pipeline both[] = { orders, mails };
	const struct {
		const struct conf_pipeline *pipelines;
		size_t count;
		enum conf_queue_type type;
		unsigned roles;
		const char *expected;
	} cases[] = {
		{ &orders, 1, CONF_QUEUE_QUORUM, CONF_ROLE_CONSUMER,
		    one_for_consumer },
		{ &orders, 1, CONF_QUEUE_QUORUM, CONF_ROLE_REDRIVE,
		    one_for_redrive },
		{ both, 2, CONF_QUEUE_QUORUM,
		    CONF_ROLE_CONSUMER | CONF_ROLE_REDRIVE, two_for_all },
		{ both, 2, CONF_QUEUE_QUORUM, CONF_ROLE_TOPOLOGY, two_for_all },
		{ &faxes, 1, CONF_QUEUE_CLASSIC, CONF_ROLE_TOPOLOGY,
		    classic_for_all },
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		const struct conf conf = {
			.topology = { .prefix = "dlo",
			    .queue_type = cases[i].type },
			.pipelines = cases[i].pipelines,
			.pipeline_count = cases[i].count,
		};
		struct topology *topology = topology_new(&conf, cases[i].roles);
		struct buf text = { 0 };

		for (j = 0; j < topology->count; j++)
			dump_item(&text, &topology->items[j]);
		assert_string_equal(buf_str(&text), cases[i].expected);
		buf_clear(&text);
		topology_free(topology);
	}
}

static bool
has_one_consumer(const struct conf_pipeline *pipeline)
{
	const struct conf conf = {
		.topology = { .prefix = "dlo" },
		.pipelines = pipeline,
		.pipeline_count = 1,
	};
	struct topology *topology = topology_new(&conf, CONF_ROLE_CONSUMER);
	struct rmq_header header;
	bool found = false;
	size_t i;

	for (i = 0; i < topology->count; i++) {
		const struct topology_item *item = &topology->items[i];
		struct rmq_slice args = { buf_peek(&item->args),
			item->args.len };

		if (item->kind == TOPOLOGY_QUEUE &&
		    strcmp(item->name, pipeline->queue) == 0)
			found = rmq_table_find(args, "x-single-active-consumer",
			    &header);
	}
	topology_free(topology);
	return found;
}

static void
an_ordered_work_queue_has_one_consumer(void **state)
{
	static const enum conf_order ordered[] = { CONF_ORDER_STRICT,
		CONF_ORDER_HEADER, CONF_ORDER_ROUTING_KEY };
	struct conf_pipeline pipelines[] = { mails, faxes, orders };

	(void)state;
	for (size_t i = 0; i < array_len(pipelines); i++) {
		assert_false(has_one_consumer(&pipelines[i]));
		for (size_t j = 0; j < array_len(ordered); j++) {
			pipelines[i].order = ordered[j];
			/* If it is ours to declare. */
			assert_int_equal(has_one_consumer(&pipelines[i]),
			    pipelines[i].declare);
		}
	}
}

/* Nothing is bound, or dead-letters, to what comes later in the list. */
static void
declares_targets_before_sources(void **state)
{
	const struct conf_pipeline both[] = { orders, mails };
	const struct conf conf = {
		.topology = { .prefix = "dlo" },
		.pipelines = both,
		.pipeline_count = 2,
	};
	struct topology *topology = topology_new(&conf, CONF_ROLE_TOPOLOGY);
	struct rmq_header header;
	size_t i, j, checked = 0;

	(void)state;
	for (i = 0; i < topology->count; i++) {
		struct topology_item *item = &topology->items[i];
		struct rmq_slice args = { buf_peek(&item->args),
			item->args.len };

		if (topology_is_binding(item)) {
			struct topology_item *target =
			    &topology->items[item->target_index];
			struct topology_item *source =
			    &topology->items[item->source_index];

			assert_true(item->target_index < i);
			assert_true(item->source_index < i);
			assert_string_equal(target->name, item->name);
			assert_int_equal(target->kind,
			    item->kind == TOPOLOGY_QUEUE_BINDING
				? TOPOLOGY_QUEUE
				: TOPOLOGY_EXCHANGE);
			assert_string_equal(source->name, item->source);
			assert_int_equal(source->kind, TOPOLOGY_EXCHANGE);
			continue;
		}
		if (!rmq_table_find(args, "x-dead-letter-exchange", &header))
			continue;
		for (j = 0; j < i; j++) {
			if (topology->items[j].kind == TOPOLOGY_EXCHANGE &&
			    strlen(topology->items[j].name) ==
				header.value.len &&
			    memcmp(topology->items[j].name, header.value.ptr,
				header.value.len) == 0)
				break;
		}
		assert_true(j < i);
		checked++;
	}
	assert_int_equal(checked, 2 + 3 + 1);
	topology_free(topology);
}

static void
names_everything_by_the_prefix(void **state)
{
	const struct conf conf = { .topology = { .prefix = "acme" } };
	struct topology_names names;
	struct topology_pipeline_names p;

	(void)state;
	topology_names_init(&names, &conf);
	assert_string_equal(names.dead, "acme.dead");
	assert_string_equal(names.redrive, "acme.redrive");
	assert_string_equal(names.events, "acme.events");
	assert_string_equal(names.control, "acme.control");
	assert_string_equal(names.jobs, "acme.jobs");
	assert_string_equal(names.verdicts, "acme.verdicts");
	assert_string_equal(names.audit, "acme.audit");
	topology_names_clear(&names);

	topology_pipeline_names_init(&p, &conf, &orders);
	assert_int_equal(p.levels, 2);
	assert_string_equal(p.foot, "acme.retry.orders");
	assert_string_equal(p.level[1], "acme.retry.orders.1");
	assert_null(p.level[2]);
	assert_string_equal(p.work, "shop.orders");
	assert_string_equal(p.dead, "shop.orders.dlq");
	assert_string_equal(p.parked, "shop.orders.parked");
	assert_string_equal(p.archive, "shop.orders.archive");
	assert_string_equal(p.dead_key, "orders");
	assert_string_equal(p.parked_key, "orders.parked");
	assert_string_equal(p.archive_key, "orders.archive");
	topology_pipeline_names_clear(&p);
	assert_null(p.foot);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_what_each_role_needs),
		cmocka_unit_test(an_ordered_work_queue_has_one_consumer),
		cmocka_unit_test(declares_targets_before_sources),
		cmocka_unit_test(names_everything_by_the_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
