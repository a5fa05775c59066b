/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/digest.h"
#include "lib/js.h"

#define AUDIT_VERSION 1

/* Plain SHA-256, so that sha256sum can judge it too. */
static int
hash(char out[AUDIT_HASH_SPACE], const void *bytes, size_t len)
{
	uint8_t sum[DIGEST_BYTES];

	if (digest_once(bytes, len, sum) == -1)
		return -1;
	for (size_t i = 0; i < DIGEST_BYTES; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", sum[i]);
	return 0;
}

char *
audit_add(struct audit_chain *chain, json_t *entry)
{
	char *text;

	js_set_int(entry, "v", AUDIT_VERSION);
	js_set_text(entry, "prev", chain->last);
	text = json_dumps(entry, JSON_COMPACT);
	if (text != NULL && hash(chain->last, text, strlen(text)) == 0)
		return text;
	free(text);
	return NULL;
}

const char *
audit_finding_name(enum audit_finding finding)
{
	static const char *const names[] = { "linked", "first", "no entry",
		"broken", "unreadable" };

	return names[finding];
}

enum audit_finding
audit_verify(struct audit_chain *chain, const void *message, size_t len)
{
	json_t *entry = json_loadb(message, len, JSON_REJECT_DUPLICATES, NULL);
	const char *prev = json_string_value(json_object_get(entry, "prev"));
	enum audit_finding finding = AUDIT_LINKED;

	if (entry == NULL)
		return AUDIT_UNREADABLE;
	if (prev == NULL)
		finding = AUDIT_NO_ENTRY;
	else if (*chain->last == '\0')
		finding = AUDIT_FIRST;
	else if (strcmp(prev, chain->last) != 0)
		finding = AUDIT_BROKEN;
	if (prev != NULL && hash(chain->last, message, len) == -1)
		finding = AUDIT_UNREADABLE;
	json_decref(entry);
	return finding;
}

char *
audit_marker(const char *token)
{
	json_t *marker =
	    json_pack("{s:i, s:s}", "v", AUDIT_VERSION, "marker", token);
	char *text = json_dumps(marker, JSON_COMPACT);

	json_decref(marker);
	if (text == NULL)
		abort();
	return text;
}

bool
audit_is_marker(const void *message, size_t len, const char *token)
{
	json_t *marker = json_loadb(message, len, 0, NULL);
	const char *its = json_string_value(json_object_get(marker, "marker"));
	bool is = its != NULL && (token == NULL || strcmp(its, token) == 0);

	json_decref(marker);
	return is;
}
