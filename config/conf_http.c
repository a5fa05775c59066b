/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "config/conf_http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/conf_valid.h"
#include "lib/digest.h"
#include "lib/file.h"

/* As much as a bundle of all authorities of the world may have. */
#define PEM_BYTES_MAX (4 << 20)

static bool
is_https(const char *url)
{
	return url != NULL && strncmp(url, "https://", 8) == 0;
}

/* A header of an event: there is one source for them. */
static bool
is_event_header(const struct conf_http *http, const char *name)
{
	return http->format == CONF_FORMAT_CLOUDEVENTS &&
	    strncasecmp(name, "ce-", 3) == 0;
}

static void
check_headers(struct conf_parse *p, const struct conf_tree *node,
    const struct conf_http *http)
{
	const struct conf_tree *header = conf_tree_get(node, "headers");

	if (header == NULL || header->bad)
		return;
	for (header = header->first; header != NULL; header = header->next)
		if (is_event_header(http, header->key))
			conf_parse_error_key(p, header,
			    "is a header that dlo sets itself");
}

/* Where a configured header of that name stands; NULL: nowhere. */
static const struct conf_tree *
configured(const struct conf_tree *node, const char *name)
{
	const struct conf_tree *header = conf_tree_get(node, "headers");

	if (header == NULL || header->kind != CONF_TREE_MAP)
		return NULL;
	for (header = header->first; header != NULL; header = header->next)
		if (strcasecmp(header->key, name) == 0)
			return header;
	return NULL;
}

/* HTTP header names do not differ in case. */
static void
check_forwarded(struct conf_parse *p, struct conf_tree *node,
    const struct conf_http *http)
{
	struct conf_tree *list = conf_parse_at(node, "forward_headers");
	const struct conf_tree *other;
	struct conf_tree *item;

	if (list == NULL || list->kind != CONF_TREE_LIST)
		return;
	for (item = list->first; item != NULL; item = item->next) {
		if (item->bad || item->kind != CONF_TREE_SCALAR)
			continue;
		for (other = list->first; other != item; other = other->next)
			if (other->kind == CONF_TREE_SCALAR &&
			    strcasecmp(other->text, item->text) == 0)
				break;
		if (other != item)
			conf_parse_error(p, item,
			    "given twice, first in line %u", other->line);
		else if ((other = configured(node, item->text)) != NULL)
			conf_parse_error(p, item,
			    "is set by headers, in line %u", other->key_line);
		else if (is_event_header(http, item->text))
			conf_parse_error(p, item,
			    "is a header that dlo sets itself");
	}
}

/*
 * A file is looked at now: a failed request would come too late. And what it
 * holds is noted, since a reload finds new contents under an old name.
 */
static void
check_file(struct conf_parse *p, struct conf_tree *node, const char *key,
    const char *path, struct digest *digest)
{
	struct buf bytes = { 0 };
	const char *problem;

	if (path == NULL)
		return;
	problem = file_read(path, PEM_BYTES_MAX, &bytes, NULL);
	if (problem == NULL && strstr(buf_str(&bytes), "-----BEGIN ") == NULL)
		problem = "is no PEM file";
	if (problem == NULL && strstr(buf_str(&bytes), "ENCRYPTED") != NULL)
		problem = "needs a passphrase, and nobody is there to give it";
	if (problem != NULL)
		conf_parse_error_at(p, node, key, "%s: %s", path, problem);
	digest_add(digest, key, strlen(key));
	digest_add(digest, buf_peek(&bytes), bytes.len);
	if (bytes.mem != NULL)
		explicit_bzero(bytes.mem, bytes.space);
	buf_clear(&bytes);
}

static const char *
show_digest(struct conf_parse *p, struct digest *digest)
{
	char text[2 * DIGEST_BYTES + 1];
	uint8_t bytes[DIGEST_BYTES];

	/* The library takes no digests: nothing is ever the same then. */
	if (digest_end(digest, bytes) != 0)
		return conf_pool_printf(p->pool, "%p", (void *)p->pool);
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return conf_pool_text(p->pool, text, sizeof(text) - 1);
}

static void
check_tls(struct conf_parse *p, struct conf_tree *node,
    struct conf_downstream *downstream)
{
	static const char *const keys[] = { "ca", "cert", "key" };
	struct conf_http *http = &downstream->http;
	const char *const paths[] = { http->ca, http->cert, http->key };
	bool probed = is_https(downstream->probe.url);
	bool used = (p->roles & CONF_ROLE_CONSUMER) != 0 ||
	    ((p->roles & CONF_ROLE_REDRIVE) != 0 && probed);
	struct digest *digest = digest_new();
	size_t i;

	digest_start(digest);
	if (http->cert != NULL && conf_tree_get(node, "key") == NULL)
		conf_parse_error_at(p, node, "cert", "needs its key beside it");
	if (http->key != NULL && conf_tree_get(node, "cert") == NULL)
		conf_parse_error_at(p, node, "key", "needs its cert beside it");
	for (i = 0; i < array_len(keys); i++) {
		if (conf_parse_at(node, keys[i]) == NULL)
			continue;
		if (http->url != NULL && !is_https(http->url) && !probed)
			conf_parse_error_key(p, conf_tree_get(node, keys[i]),
			    "has no effect: url does not begin with https://");
		else if (used)
			check_file(p, node, keys[i], paths[i], digest);
	}
	if (used && (http->ca != NULL || http->cert != NULL))
		http->pem_digest = show_digest(p, digest);
	digest_free(digest);
}

static void
check_socket(struct conf_parse *p, struct conf_tree *node, const char *path)
{
	const size_t max = CONF_VALID_SOCKET_SPACE - 1;

	if (path != NULL && strlen(path) > max)
		conf_parse_error_at(p, node, "socket",
		    "a socket's path has at most %zu bytes", max);
}

/* The URL of a socket as an ordinary one and the socket. */
static void
split_url(struct conf_parse *p, struct conf_tree *node, struct conf_http *http)
{
	char path[CONF_VALID_SOCKET_SPACE];
	const char *rest;

	if (http->url == NULL ||
	    strncmp(http->url, CONF_VALID_UNIX, strlen(CONF_VALID_UNIX)) != 0 ||
	    conf_valid_unix_url(http->url, path, &rest) != NULL)
		return;
	if (conf_tree_get(node, "socket") != NULL)
		conf_parse_error_key(p, conf_tree_get(node, "socket"),
		    "has no effect: url names a socket");
	http->socket = conf_pool_text(p->pool, path, strlen(path));
	http->url = conf_pool_printf(p->pool, "http://localhost%s", rest);
}

void
conf_http_check(struct conf_parse *p, struct conf_tree *node,
    struct conf_downstream *downstream)
{
	struct conf_tree *http = conf_parse_at(node, "http");

	if (http == NULL || http->kind != CONF_TREE_MAP)
		return;
	check_headers(p, http, &downstream->http);
	check_forwarded(p, http, &downstream->http);
	check_tls(p, http, downstream);
	check_socket(p, http, downstream->http.socket);
	split_url(p, http, &downstream->http);
}
