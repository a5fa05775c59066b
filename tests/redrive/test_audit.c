/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The chain of the audit: what follows, and where it breaks. */
#include <stdlib.h>

#include "redrive/audit.h"
#include "tests/unit.h"

#define ENTRIES 5

struct stream {
	char *texts[ENTRIES];
};

static void
fill(struct stream *stream)
{
	struct audit_chain chain = { 0 };

	for (int i = 0; i < ENTRIES; i++) {
		json_t *entry =
		    json_pack("{s:s, s:i}", "what", "job_started", "n", i);

		stream->texts[i] = audit_add(&chain, entry);
		assert_non_null(stream->texts[i]);
		json_decref(entry);
	}
}

static void
clear(struct stream *stream)
{
	for (int i = 0; i < ENTRIES; i++)
		free(stream->texts[i]);
}

/* What is found from `from` on; `without` is left out. */
static void
expect(const struct stream *stream, int from, int without,
    const enum audit_finding *findings)
{
	struct audit_chain chain = { 0 };

	for (int i = from; i < ENTRIES; i++) {
		if (i == without)
			continue;
		assert_int_equal(audit_verify(&chain, stream->texts[i],
				     strlen(stream->texts[i])),
		    *findings++);
	}
}

static void
a_chain_tells_where_it_breaks(void **state)
{
	static const enum audit_finding whole[] = { AUDIT_FIRST, AUDIT_LINKED,
		AUDIT_LINKED, AUDIT_LINKED, AUDIT_LINKED };
	static const enum audit_finding out[] = { AUDIT_FIRST, AUDIT_LINKED,
		AUDIT_BROKEN, AUDIT_LINKED };
	static const enum audit_finding changed[] = { AUDIT_FIRST, AUDIT_LINKED,
		AUDIT_LINKED, AUDIT_BROKEN, AUDIT_LINKED };
	struct stream stream;

	(void)state;
	fill(&stream);
	expect(&stream, 0, -1, whole);
	/* The beginning may have become too old. */
	expect(&stream, 2, -1, whole);
	expect(&stream, 0, 2, out);
	/* One digit of the third. */
	strstr(stream.texts[2], "\"n\":")[4] = '7';
	expect(&stream, 0, -1, changed);
	clear(&stream);
}

/* As anybody can find with sha256sum. */
static void
the_hash_is_that_of_the_bytes(void **state)
{
	struct audit_chain chain = { 0 };
	json_t *entry = json_pack("{s:s}", "what", "x");
	char *text = audit_add(&chain, entry);

	(void)state;
	assert_string_equal(text, "{\"what\":\"x\",\"v\":1,\"prev\":\"\"}");
	assert_string_equal(chain.last,
	    "6fc9b0797cd470c95de5912f0d663611"
	    "198f9fb524ee6f3ca86c652b6eaaa911");
	free(text);
	json_decref(entry);
}

static void
markers_and_noise_are_no_links(void **state)
{
	static const char *const noise[] = { "", "{", "[1", "\xff" };
	struct audit_chain chain = { 0 };
	char before[AUDIT_HASH_SPACE], *marker = audit_marker("t");

	(void)state;
	strcpy(chain.last, "abc");
	strcpy(before, chain.last);
	assert_int_equal(audit_verify(&chain, marker, strlen(marker)),
	    AUDIT_NO_ENTRY);
	assert_true(audit_is_marker(marker, strlen(marker), "t"));
	assert_false(audit_is_marker(marker, strlen(marker), "u"));
	for (size_t i = 0; i < array_len(noise); i++) {
		assert_int_equal(audit_verify(&chain, noise[i],
				     strlen(noise[i])),
		    AUDIT_UNREADABLE);
		assert_false(audit_is_marker(noise[i], strlen(noise[i]), "t"));
	}
	assert_string_equal(chain.last, before);
	free(marker);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_tells_where_it_breaks),
		cmocka_unit_test(the_hash_is_that_of_the_bytes),
		cmocka_unit_test(markers_and_noise_are_no_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
