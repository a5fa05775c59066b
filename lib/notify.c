/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/text.h"
#include "lib/xalloc.h"

struct notify {
	struct loop *loop;
	struct loop_timer *beat; /* NULL: no watchdog */
	int64_t beat_us;
	int fd; /* -1: nobody to notify */
	struct sockaddr_un addr;
	socklen_t addr_len;
};

/* A path, or `@name` for an abstract socket; -1: neither. */
static int
set_address(struct notify *notify, const char *socket_name)
{
	size_t len = strlen(socket_name);

	if ((socket_name[0] != '/' && socket_name[0] != '@') || len < 2 ||
	    len >= sizeof(notify->addr.sun_path))
		return -1;
	notify->addr.sun_family = AF_UNIX;
	memcpy(notify->addr.sun_path, socket_name, len);
	if (socket_name[0] == '@')
		notify->addr.sun_path[0] = '\0';
	notify->addr_len =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return 0;
}

static void
notify_send(struct notify *notify, const char *text, size_t len)
{
	if (notify->fd == -1)
		return;
	if (sendto(notify->fd, text, len, MSG_NOSIGNAL,
		(struct sockaddr *)&notify->addr, notify->addr_len) == -1)
		log_warn("notify_lost", LOG_BYTES("message", text, len),
		    LOG_STR("error", strerror(errno)));
}

static void
beat(void *arg)
{
	static const char text[] = "WATCHDOG=1";
	struct notify *notify = arg;

	notify_send(notify, text, sizeof(text) - 1);
	loop_timer_start_us(notify->loop, notify->beat, notify->beat_us);
}

/* Half the watchdog's time, or 0 when there is none for this process. */
static int64_t
watchdog_beat_us(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	int64_t value, owner;

	if (usec == NULL || text_parse_int(usec, 2, INT64_MAX, &value) == -1)
		return 0;
	if (pid != NULL &&
	    (text_parse_int(pid, 1, INT32_MAX, &owner) == -1 ||
		owner != getpid()))
		return 0;
	return value / 2;
}

struct notify *
notify_new(struct loop *loop)
{
	struct notify *notify = xcalloc(1, sizeof(*notify));
	const char *socket_name = getenv("NOTIFY_SOCKET");

	notify->loop = loop;
	notify->fd = -1;
	if (socket_name == NULL || socket_name[0] == '\0')
		return notify;
	if (set_address(notify, socket_name) == -1 ||
	    (notify->fd = socket(AF_UNIX,
		 SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) == -1) {
		log_warn("notify_off", LOG_STR("socket", socket_name));
		return notify;
	}
	notify->beat_us = watchdog_beat_us();
	if (notify->beat_us > 0) {
		notify->beat = loop_timer_new(loop, beat, notify);
		loop_timer_start(loop, notify->beat, 0);
	}
	return notify;
}

void
notify_free(struct notify *notify)
{
	if (notify == NULL)
		return;
	loop_timer_free(notify->loop, notify->beat);
	if (notify->fd != -1)
		close(notify->fd);
	free(notify);
}

void
notify_ready(struct notify *notify)
{
	static const char text[] = "READY=1";

	notify_send(notify, text, sizeof(text) - 1);
}

void
notify_reloading(struct notify *notify)
{
	struct timespec ts;
	char text[80];
	int len;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	len = snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
	notify_send(notify, text, (size_t)len);
}

void
notify_stopping(struct notify *notify)
{
	static const char text[] = "STOPPING=1";

	notify_send(notify, text, sizeof(text) - 1);
}

void
notify_status(struct notify *notify, const char *fmt, ...)
{
	char text[512] = "STATUS=", *p;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + 7, sizeof(text) - 7, fmt, ap);
	va_end(ap);
	/* A line feed would begin another assignment. */
	for (p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20)
			*p = ' ';
	}
	notify_send(notify, text, strlen(text));
}
