/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Coalescing: as few frames as possible, and never a tag too many. */
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "amqp/internal.h"

static void
tell(void *arg, uint64_t tag, bool multiple)
{
	buf_printf(arg, "%s%u%s", ((struct buf *)arg)->len > 0 ? " " : "",
	    (unsigned)tag, multiple ? "*" : "");
}

/* Tags 1 to 8 are there; those in `settled` never need an ack. */
static void
few_frames_and_never_too_many(void **state)
{
	static const struct {
		const char *settled;
		const char *acked; /* '|': a flush; the last one is implied */
		const char *sent;
	} cases[] = {
		{ "", "", "" },
		{ "", "1", "1" },
		{ "", "12345678", "8*" },
		{ "", "87654321", "8*" },
		{ "", "123", "3*" },
		{ "", "2", "2" },
		{ "", "23", "2 3" },
		{ "", "23|1", "2 3 1" },
		{ "", "13", "1 3" },
		{ "", "1235", "3* 5" },
		{ "", "1235|4", "3* 5 4" },
		{ "", "3|12", "3 2*" },
		{ "", "3|1|2", "3 1 2" },
		{ "", "8|1234567", "8 7*" },
		{ "", "2468|1357", "2 4 6 8 7*" },
		{ "", "5|1|4|2|3", "5 1 4 2 3" },
		{ "1", "2", "2" },
		{ "1", "23", "3*" },
		{ "2", "13", "3*" },
		{ "23", "14", "4*" },
		{ "2", "1", "1" },
		{ "12345678", "", "" },
		{ "3", "124", "4*" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < array_len(cases); i++) {
		struct buf sent = { 0 };
		struct rmq_acks acks;
		const char *at;
		uint64_t tag;

		rmq_ack_init(&acks);
		for (tag = 1; tag <= 8; tag++)
			assert_int_equal(rmq_ack_track(&acks, tag,
					     strchr(cases[i].settled,
						 '0' + (int)tag) != NULL),
			    0);
		for (at = cases[i].acked; *at != '\0'; at++) {
			if (*at == '|')
				rmq_ack_flush(&acks, tell, &sent);
			else
				rmq_ack_mark(&acks, (uint64_t)(*at - '0'));
		}
		rmq_ack_flush(&acks, tell, &sent);
		rmq_ack_flush(&acks, tell, &sent);
		assert_string_equal(buf_str(&sent), cases[i].sent);
		rmq_ack_clear(&acks);
		buf_clear(&sent);
	}
}

static void
tags_come_one_by_one(void **state)
{
	struct rmq_acks acks;

	(void)state;
	rmq_ack_init(&acks);
	assert_int_equal(rmq_ack_track(&acks, 0, false), -1);
	assert_int_equal(rmq_ack_track(&acks, 2, false), -1);
	assert_int_equal(rmq_ack_track(&acks, 1, false), 0);
	assert_int_equal(rmq_ack_track(&acks, 1, false), -1);
	assert_int_equal(rmq_ack_track(&acks, UINT64_MAX, false), -1);
	assert_int_equal(rmq_ack_track(&acks, 2, false), 0);
	assert_int_equal(acks.unacked, 2);
	rmq_ack_clear(&acks);
}

/* What the broker holds, as it sees our acks. */
struct broker {
	bool holds[20001];
	bool acked[20001]; /* by the caller */
	uint64_t oldest;
	size_t frames;
};

static void
broker_ack(void *arg, uint64_t tag, bool multiple)
{
	struct broker *broker = arg;
	uint64_t first = multiple ? broker->oldest : tag;

	broker->frames++;
	/* 406 on a real one: unknown delivery tag. */
	assert_true(broker->holds[tag]);
	for (; first <= tag; first++) {
		if (broker->holds[first])
			assert_true(broker->acked[first]);
		broker->holds[first] = false;
	}
	while (broker->oldest <= 20000 && !broker->holds[broker->oldest])
		broker->oldest++;
}

static void
random_acks_leave_nothing_behind(void **state)
{
	static struct broker broker;
	struct rmq_acks acks;
	uint64_t next = 1, tag, done = 0;

	(void)state;
	srandom(1);
	broker.oldest = 1;
	rmq_ack_init(&acks);
	while (done < 20000) {
		if (next <= 20000 && next - done < 300) {
			assert_int_equal(rmq_ack_track(&acks, next, false), 0);
			broker.holds[next++] = true;
		}
		tag = done + 1 + (uint64_t)random() % 300;
		if (tag < next && !broker.acked[tag]) {
			broker.acked[tag] = true;
			rmq_ack_mark(&acks, tag);
		}
		if (random() % 50 == 0)
			rmq_ack_flush(&acks, broker_ack, &broker);
		while (done < 20000 && broker.acked[done + 1])
			done++;
	}
	rmq_ack_flush(&acks, broker_ack, &broker);
	for (tag = 1; tag <= 20000; tag++)
		assert_false(broker.holds[tag]);
	assert_int_equal(acks.unacked, 0);
	assert_true(broker.frames < 20000);
	/* The window was never more than 300 wide. */
	assert_true(acks.space <= 512);
	rmq_ack_clear(&acks);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_frames_and_never_too_many),
		cmocka_unit_test(tags_come_one_by_one),
		cmocka_unit_test(random_acks_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
