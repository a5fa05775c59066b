/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Listen addresses: what they say, and where dlo-redrive's default is. */
#include "config/conf_listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/text.h"
#include "lib/xalloc.h"

#define SOCKET "redrive.sock"

static int
parse_unix(const char *path, struct conf_listen *out, const char **why)
{
	if (path[0] != '/')
		*why = "unix: must be followed by an absolute path";
	else if (strlen(path) >= sizeof(out->path))
		*why = "a unix socket's path has at most 107 bytes";
	else {
		out->kind = CONF_LISTEN_UNIX;
		memcpy(out->path, path, strlen(path) + 1);
		return 0;
	}
	return -1;
}

int
conf_listen_parse(const char *text, struct conf_listen *out, const char **why)
{
	struct text_address address;

	memset(out, 0, sizeof(*out));
	if (strcmp(text, "none") == 0)
		return 0;
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, out, why);
	if (text_parse_address(text, -1, &address) == -1) {
		*why = "must be HOST:PORT, [IPV6]:PORT, unix:PATH or none";
		return -1;
	}
	out->kind = CONF_LISTEN_TCP;
	snprintf(out->host, sizeof(out->host), "%s", address.host);
	out->port = address.port;
	return 0;
}

/* Whether a socket can be made in the folder, or the folder itself. */
static bool
is_usable(const char *folder, const char *parent)
{
	if (access(folder, W_OK | X_OK) == 0)
		return true;
	return errno == ENOENT && access(parent, W_OK | X_OK) == 0;
}

void
conf_listen_redrive(struct conf_listen *out)
{
	const char *runtime = getenv("RUNTIME_DIRECTORY");
	const char *user = getenv("XDG_RUNTIME_DIR");
	int len;

	memset(out, 0, sizeof(*out));
	out->kind = CONF_LISTEN_UNIX;
	if (runtime != NULL && runtime[0] == '/')
		/* systemd joins several by colons; the first is ours. */
		len = snprintf(out->path, sizeof(out->path), "%.*s/" SOCKET,
		    (int)strcspn(runtime, ":"), runtime);
	else if (user != NULL && user[0] == '/' &&
	    !is_usable("/run/dlo", "/run"))
		len = snprintf(out->path, sizeof(out->path), "%s/dlo/" SOCKET,
		    user);
	else
		len =
		    snprintf(out->path, sizeof(out->path), "/run/dlo/" SOCKET);
	/* Too long for a socket: the usual place says so when bound. */
	if (len < 0 || (size_t)len >= sizeof(out->path))
		snprintf(out->path, sizeof(out->path), "/run/dlo/" SOCKET);
}

char *
conf_listen_address(const struct conf_listen *listen)
{
	switch (listen->kind) {
	case CONF_LISTEN_NONE:
		break;
	case CONF_LISTEN_UNIX:
		return xasprintf("unix:%s", listen->path);
	case CONF_LISTEN_TCP:
		return xasprintf(strchr(listen->host, ':') != NULL ? "[%s]:%u"
								   : "%s:%u",
		    listen->host, listen->port);
	}
	return xstrdup("none");
}
