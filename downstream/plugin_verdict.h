/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What a plugin's answer, and the end of its worker, say of a message. Pure. */
#ifndef DLO_DOWNSTREAM_PLUGIN_VERDICT_H
#define DLO_DOWNSTREAM_PLUGIN_VERDICT_H

#include "downstream/exec_verdict.h"
#include "downstream/plugin_page.h"
#include "downstream/verdict.h"
#include "lib/child.h"

/* An answer, whose lengths are within its space and no more is believed. */
void plugin_verdict_answer(struct verdict *, const struct plugin_answer *);
/*
 * A worker ended with the message in its hands: crash.SIGSEGV, crash.exit. It
 * speaks of the message, so the breaker does not count it.
 */
void plugin_verdict_crash(struct verdict *, const struct child_exit *,
    const struct exec_tail *);
/* It wrote nonsense, and was killed: crash.protocol. */
void plugin_verdict_nonsense(struct verdict *, const char *what);
/* There was no answer in time: plugin.timeout. `tail` NULL: none. */
void plugin_verdict_timeout(struct verdict *, int64_t timeout_ms,
    const struct exec_tail *);

#endif
