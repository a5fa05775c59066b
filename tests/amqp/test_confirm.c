/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Verdicts on publishes: confirms in any order, and whose a return is. */
#include "tests/unit.h"

#include <stdlib.h>

#include "amqp/internal.h"
#include "amqp/props.h"

struct verdicts {
	struct rmq_confirms confirms;
	struct buf told;
};

struct one {
	struct verdicts *all;
	unsigned number;
};

static void
tell(void *arg, enum rmq_confirm verdict, const char *return_text)
{
	struct one *one = arg;
	struct buf *told = &one->all->told;

	buf_printf(told, "%s%u:%s", told->len > 0 ? " " : "", one->number,
	    rmq_confirm_name(verdict));
	assert_int_equal(return_text != NULL, verdict == RMQ_CONFIRM_RETURNED);
	if (return_text != NULL)
		assert_string_equal(return_text, "312 NO_ROUTE");
}

/* "ka": routing key "k", correlation "a"; "k-": none. */
static void
publish(struct rmq_confirms *confirms, const char *what, struct one *one)
{
	char key[2] = { what[0], '\0' };
	struct rmq_publish publish = { .exchange = "x", .routing_key = key };

	if (what[1] != '-')
		publish.correlation =
		    (struct rmq_slice){ (const uint8_t *)what + 1, 1 };
	rmq_confirm_track(confirms, &publish, one == NULL ? NULL : tell, one);
}

/* A return of "ka"; "k-": without the header; "k?": undecodable. */
static void
give_back(struct rmq_confirms *confirms, const char *what)
{
	struct rmq_props props = { 0 };
	struct buf table = { 0 }, raw = { 0 };
	struct rmq_message message = {
		.exchange = rmq_slice_of("x"),
		.routing_key = { (const uint8_t *)what, 1 },
	};

	rmq_table_add_int(&table, "other", 1);
	if (what[1] != '-')
		rmq_table_add_text(&table, "id", what + 1, 1);
	props.has[RMQ_PROP_HEADERS] = true;
	props.value[RMQ_PROP_HEADERS] =
	    (struct rmq_slice){ buf_peek(&table), table.len };
	rmq_props_write(&raw, &props);
	message.props = (struct rmq_slice){ buf_peek(&raw), raw.len };
	if (what[1] == '?')
		message.props.len--;
	rmq_confirm_return(confirms, &message, 312, "NO_ROUTE");
	buf_clear(&table);
	buf_clear(&raw);
}

static int
step(struct rmq_confirms *confirms, const char *what)
{
	uint64_t tag = (uint64_t)strtoul(what + 1, NULL, 10);

	switch (what[0]) {
	case 'a':
	case 'A':
		return rmq_confirm_settle(confirms, tag, what[0] == 'A', true);
	case 'n':
	case 'N':
		return rmq_confirm_settle(confirms, tag, what[0] == 'N', false);
	case 'r':
		give_back(confirms, what + 1);
		return 0;
	default:
		rmq_confirm_lose(confirms);
		return 0;
	}
}

/*
 * Steps: a ack, A ack multiple, n nack, N nack multiple, r return, x the
 * channel goes.
 */
static const struct {
	const char *published;
	const char *steps;
	const char *told;
} cases[] = {
	{ "ka", "a1", "1:ok" },
	{ "ka", "n1", "1:nacked" },
	{ "ka", "x", "1:unknown" },
	{ "ka kb kc", "a1 a2 a3", "1:ok 2:ok 3:ok" },
	{ "ka kb kc", "a3 a1 a2", "3:ok 1:ok 2:ok" },
	{ "ka kb kc", "A3", "1:ok 2:ok 3:ok" },
	{ "ka kb kc", "N3", "1:nacked 2:nacked 3:nacked" },
	{ "ka kb kc kd", "a2 A3 x", "2:ok 1:ok 3:ok 4:unknown" },
	{ "ka kb kc kd", "a3 n1 A4", "3:ok 1:nacked 2:ok 4:ok" },
	{ "ka kb", "A1 A2", "1:ok 2:ok" },
	/* Said twice: the second time means nothing. */
	{ "ka kb", "a2 a2 A2 a1", "2:ok 1:ok" },
	{ "ka kb", "n2 a2 a1", "2:nacked 1:ok" },
	/* Returns come before their confirm. */
	{ "ka", "rka a1", "1:returned" },
	{ "ka kb kc", "rkb A3", "1:ok 2:returned 3:ok" },
	{ "ka kb kc", "rkb rkc A3", "1:ok 2:returned 3:returned" },
	{ "ka kb", "rka rka A2", "1:returned 2:ok" },
	/* A return that no confirm follows. */
	{ "ka", "rka x", "1:unknown" },
	/* Refused and returned: there was no route. */
	{ "ka", "rka n1", "1:returned" },
	/* The same message twice: either could be meant. */
	{ "ka ka", "rka A2", "1:returned 2:returned" },
	{ "ka ka", "a1 rka a2", "1:ok 2:returned" },
	/* The same id to two places. */
	{ "ka ma", "rma A2", "1:ok 2:returned" },
	/* Without the header: all that took that way. */
	{ "ka kb mc", "rk- A3", "1:returned 2:returned 3:ok" },
	{ "k- k- m-", "rk- A3", "1:returned 2:returned 3:ok" },
	{ "ka kb mc", "rk? A3", "1:returned 2:returned 3:ok" },
	/* An id that nobody has: the same. */
	{ "ka kb mc", "rkz A3", "1:returned 2:returned 3:ok" },
	/* A place where nothing went: it can be any of them. */
	{ "ka kb mc", "rza A3", "1:returned 2:returned 3:returned" },
	/* One that nobody waits for. */
	{ "ka !b kc", "A3", "1:ok 3:ok" },
	{ "ka !b kc", "rzz a2 A3", "1:returned 3:returned" },
};

static void
tells_each_its_verdict(void **state)
{
	size_t i, n;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		struct verdicts all = { 0 };
		struct one ones[8];
		const char *at;

		rmq_confirm_init(&all.confirms);
		all.confirms.header = strdup("id");
		for (n = 0, at = cases[i].published; *at != '\0'; n++) {
			ones[n] = (struct one){ &all, (unsigned)n + 1 };
			publish(&all.confirms, at,
			    *at == '!' ? NULL : &ones[n]);
			at += at[2] == ' ' ? 3 : 2;
		}
		assert_int_equal(all.confirms.open, n);
		for (at = cases[i].steps; at != NULL;
		     at = strchr(at, ' '), at = at == NULL ? at : at + 1)
			assert_int_equal(step(&all.confirms, at), 0);
		assert_string_equal(buf_str(&all.told), cases[i].told);
		assert_int_equal(all.confirms.open, 0);
		rmq_confirm_clear(&all.confirms);
		buf_clear(&all.told);
	}
}

static void
a_confirm_of_what_was_not_sent_is_refused(void **state)
{
	static const char *const lies[] = { "a3", "A3", "n3", "a0", "A0",
		"a18446744073709551615", "A18446744073709551615" };
	struct verdicts all = { 0 };
	struct one ones[] = { { &all, 1 }, { &all, 2 } };
	size_t i;

	(void)state;
	rmq_confirm_init(&all.confirms);
	publish(&all.confirms, "ka", &ones[0]);
	publish(&all.confirms, "kb", &ones[1]);
	for (i = 0; i < array_len(lies); i++)
		assert_int_equal(step(&all.confirms, lies[i]), -1);
	assert_int_equal(all.confirms.open, 2);
	/* Cleared with open ones: nobody is told, nothing leaks. */
	give_back(&all.confirms, "ka");
	rmq_confirm_clear(&all.confirms);
	assert_int_equal(all.told.len, 0);
	buf_clear(&all.told);
}

/* Publishes from within the verdict of another, while the ring grows. */
static void
publish_again(void *arg, enum rmq_confirm verdict, const char *return_text)
{
	struct one *one = arg;

	(void)return_text;
	assert_int_equal(verdict, RMQ_CONFIRM_OK);
	if (++one->number % 2 == 0)
		return;
	rmq_confirm_track(&one->all->confirms,
	    &(struct rmq_publish){ .exchange = "x", .routing_key = "k" },
	    publish_again, one);
	rmq_confirm_track(&one->all->confirms,
	    &(struct rmq_publish){ .exchange = "x", .routing_key = "k" },
	    publish_again, one);
}

static void
verdicts_may_publish(void **state)
{
	struct verdicts all = { 0 };
	struct one one = { &all, 0 };
	unsigned i;

	(void)state;
	rmq_confirm_init(&all.confirms);
	for (i = 0; i < 64; i++)
		rmq_confirm_track(&all.confirms,
		    &(struct rmq_publish){ .exchange = "x",
			.routing_key = "k" },
		    publish_again, &one);
	assert_int_equal(rmq_confirm_settle(&all.confirms, 64, true, true), 0);
	assert_int_equal(one.number, 64);
	assert_int_equal(all.confirms.open, 64);
	assert_int_equal(rmq_confirm_settle(&all.confirms, 127, true, true), 0);
	assert_int_equal(one.number, 127);
	rmq_confirm_clear(&all.confirms);
}

static void
many_verdicts_out_of_order(void **state)
{
	struct verdicts all = { 0 };
	struct one ones[1000];
	unsigned i;

	(void)state;
	rmq_confirm_init(&all.confirms);
	for (i = 0; i < 1000; i++) {
		ones[i] = (struct one){ &all, i + 1 };
		publish(&all.confirms, "ka", &ones[i]);
	}
	for (i = 1000; i > 500; i--)
		assert_int_equal(rmq_confirm_settle(&all.confirms, i, false,
				     true),
		    0);
	assert_int_equal(all.confirms.open, 500);
	assert_int_equal(rmq_confirm_settle(&all.confirms, 999, true, true), 0);
	assert_int_equal(all.confirms.open, 0);
	assert_true(all.confirms.base == all.confirms.next);
	rmq_confirm_clear(&all.confirms);
	buf_clear(&all.told);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_each_its_verdict),
		cmocka_unit_test(a_confirm_of_what_was_not_sent_is_refused),
		cmocka_unit_test(verdicts_may_publish),
		cmocka_unit_test(many_verdicts_out_of_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
