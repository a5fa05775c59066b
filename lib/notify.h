/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * systemd's sd_notify protocol (Type=notify, WatchdogSec). Without
 * $NOTIFY_SOCKET everything here does nothing. What cannot be sent is lost:
 * the service manager then sees what it sees of a hung process.
 */
#ifndef DLO_LIB_NOTIFY_H
#define DLO_LIB_NOTIFY_H

#include "lib/compiler.h"
#include "lib/loop.h"

struct notify;

/*
 * Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and starts the
 * watchdog's beat (at half its time) on the loop if it is for this process.
 */
struct notify *notify_new(struct loop *);
/* Stops the beat; NULL is fine. */
void notify_free(struct notify *);

void notify_ready(struct notify *);
/* To be followed by notify_ready when the reload has ended, either way. */
void notify_reloading(struct notify *);
void notify_stopping(struct notify *);
/* One line for people, as `systemctl status` shows it. */
void notify_status(struct notify *, const char *fmt, ...) printf_like(2, 3);

#endif
