/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Whether a text may be what its key says. Each returns NULL when it may,
 * else what is wrong, in words that do not quote the text: it may hold a
 * password that went astray.
 */
#ifndef DLO_CONFIG_CONF_VALID_H
#define DLO_CONFIG_CONF_VALID_H

#include <sys/un.h>

#include "lib/text.h"

#define CONF_VALID_UNIX "http+unix://"
/* Of a socket's path, with the NUL. */
#define CONF_VALID_SOCKET_SPACE sizeof(((struct sockaddr_un *)NULL)->sun_path)

/* Of a pipeline or downstream: [a-z0-9][a-z0-9_-]{0,62}. */
const char *conf_valid_name(const char *text);
/* What fits an AMQP short string: 255 bytes, no control characters. */
const char *conf_valid_short(const char *text);
/* A queue that may carry messages of ours. */
const char *conf_valid_queue(const char *text);
/* Of the names of our exchanges and queues. */
const char *conf_valid_prefix(const char *text);
/* A host name or address, without a port. */
const char *conf_valid_host(const char *text);
const char *conf_valid_http_url(const char *text);
/* The same, or http+unix://SOCKET/… with that one's path percent-encoded. */
const char *conf_valid_place_url(const char *text);
/* Of the latter: fills the socket's path, decoded; *rest is behind it. */
const char *conf_valid_unix_url(const char *text,
    char path[CONF_VALID_SOCKET_SPACE], const char **rest);
/* As the first, for paths to be added at its end. */
const char *conf_valid_base_url(const char *text);
const char *conf_valid_method(const char *text);
/* Name of an environment variable. */
const char *conf_valid_env(const char *text);
/* Name of an HTTP header that the file may set. */
const char *conf_valid_header(const char *text);
/* And of one that a message may set. */
const char *conf_valid_forward(const char *text);
const char *conf_valid_header_value(const char *text);
/* Of a failure: dotted words. */
const char *conf_valid_class(const char *text);
/* Why a message is dead. */
const char *conf_valid_reason(const char *text);
/* Five fields, as in crontab(5). */
const char *conf_valid_cron(const char *text);

/* amqp://HOST[:PORT] or amqps://…, nothing more; `address` is filled. */
const char *conf_valid_amqp_url(const char *text, struct text_address *,
    bool *tls);

#endif
