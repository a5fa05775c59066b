/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Rules between the keys of downstreams.*.http: which headers may stand beside
 * which, and what TLS and a socket need. A URL that begins with http+unix://
 * becomes an ordinary one and a socket.
 */
#ifndef DLO_CONFIG_CONF_HTTP_H
#define DLO_CONFIG_CONF_HTTP_H

#include "config/conf_parse.h"

/* `node`: of the downstream, whose probe has been read too. */
void conf_http_check(struct conf_parse *, struct conf_tree *node,
    struct conf_downstream *);

#endif
