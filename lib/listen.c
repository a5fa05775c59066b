/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/text.h"
#include "lib/xalloc.h"

#define SOCKET_FLAGS   (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)
#define PATH_MAX_BYTES (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

/* The port that the kernel chose, or was told. */
static uint16_t
bound_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} addr;
	socklen_t len = sizeof(addr);

	memset(&addr, 0, sizeof(addr));
	if (getsockname(fd, &addr.any, &len) == -1)
		return 0;
	return ntohs(addr.any.sa_family == AF_INET6 ? addr.v6.sin6_port
						    : addr.v4.sin_port);
}

/* NULL, or why not. */
static const char *
listen_tcp_on(struct listen *listener, const struct addrinfo *addr)
{
	const int on = 1;
	const char *why;

	listener->fd = socket(addr->ai_family, SOCKET_FLAGS, 0);
	if (listener->fd != -1 &&
	    setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on,
		sizeof(on)) == 0 &&
	    bind(listener->fd, addr->ai_addr, addr->ai_addrlen) == 0 &&
	    listen(listener->fd, SOMAXCONN) == 0) {
		listener->port = bound_port(listener->fd);
		return NULL;
	}
	why = strerror(errno);
	if (listener->fd != -1)
		close(listener->fd);
	listener->fd = -1;
	return why;
}

static const char *
listen_tcp(struct listen *listener, const char *text)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *list, *addr;
	struct text_address address;
	const char *why = NULL;
	char port[8];
	int rc;

	if (text_parse_address(text, -1, &address) == -1)
		return "not HOST:PORT, [V6]:PORT, unix:/PATH or none";
	snprintf(port, sizeof(port), "%u", (unsigned)address.port);
	rc = getaddrinfo(address.host, port, &hints, &list);
	if (rc != 0)
		return rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc);
	for (addr = list; addr != NULL; addr = addr->ai_next) {
		why = listen_tcp_on(listener, addr);
		if (why == NULL)
			break;
	}
	freeaddrinfo(list);
	return why;
}

/* Removes a socket that nobody listens on; NULL, or why not. */
static const char *
remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, error;

	if (lstat(addr->sun_path, &st) == -1)
		return errno == ENOENT ? NULL : strerror(errno);
	if (!S_ISSOCK(st.st_mode))
		return "there is a file that is not a socket";
	fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
	if (fd == -1)
		return strerror(errno);
	error = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == -1
	    ? errno
	    : 0;
	close(fd);
	if (error == 0 || error == EAGAIN)
		return "another process answers there";
	if (error != ECONNREFUSED)
		return strerror(error);
	return unlink(addr->sun_path) == -1 ? strerror(errno) : NULL;
}

/* Nobody else may connect before the mode is right. */
static const char *
bind_unix(struct listen *listener, const struct sockaddr_un *addr,
    unsigned mode)
{
	mode_t former;
	int rc;

	listener->fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
	if (listener->fd == -1)
		return strerror(errno);
	former = umask(0177);
	rc = bind(listener->fd, (const struct sockaddr *)addr, sizeof(*addr));
	umask(former);
	if (rc == -1)
		return strerror(errno);
	listener->path = xstrdup(addr->sun_path);
	listener->pin = open(addr->sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (listener->pin == -1 || chmod(addr->sun_path, mode) == -1 ||
	    listen(listener->fd, SOMAXCONN) == -1)
		return strerror(errno);
	return NULL;
}

/* The folder, locked: two that start at once must not remove each other. */
static int
lock_folder(const char *path)
{
	char *folder = xstrndup(path, (size_t)(strrchr(path, '/') - path) + 1);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	free(folder);
	if (fd != -1 && flock(fd, LOCK_EX) == -1) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static const char *
listen_unix(struct listen *listener, const char *path, unsigned mode)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *why;
	int folder;

	if (path[0] != '/')
		return "the path must begin with /";
	if (strlen(path) > PATH_MAX_BYTES)
		return "the path is longer than 107 bytes";
	memcpy(addr.sun_path, path, strlen(path) + 1);
	folder = lock_folder(path);
	if (folder == -1)
		return strerror(errno);
	why = remove_stale(&addr);
	if (why == NULL)
		why = bind_unix(listener, &addr, mode);
	close(folder);
	return why;
}

int
listen_open(struct listen *listener, const char *address, unsigned mode,
    char **error)
{
	const char *why;

	memset(listener, 0, sizeof(*listener));
	listener->fd = listener->pin = -1;
	if (strcmp(address, "none") == 0)
		return 0;
	why = strncmp(address, "unix:", 5) == 0
	    ? listen_unix(listener, address + 5, mode)
	    : listen_tcp(listener, address);
	if (why == NULL)
		return 0;
	*error = xasprintf("cannot listen on %s: %s", address, why);
	listen_close(listener);
	return -1;
}

/* Unless another process has put its own there. */
static void
remove_own(const struct listen *listener)
{
	int folder = lock_folder(listener->path);
	struct stat ours, there;

	if (fstat(listener->pin, &ours) == 0 &&
	    lstat(listener->path, &there) == 0 && ours.st_dev == there.st_dev &&
	    ours.st_ino == there.st_ino)
		(void)unlink(listener->path); /* stale: replaced next time */
	if (folder != -1)
		close(folder);
}

void
listen_close(struct listen *listener)
{
	if (listener->path != NULL)
		remove_own(listener);
	if (listener->pin != -1)
		close(listener->pin);
	if (listener->fd != -1)
		close(listener->fd);
	free(listener->path);
	listener->path = NULL;
	listener->fd = listener->pin = -1;
}
