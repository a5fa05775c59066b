/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/plugin_host.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "downstream/plugin_frame.h"
#include "downstream/plugin_load.h"
#include "lib/text.h"
#include "lib/xalloc.h"

#define BUCKETS	      1024 /* a power of two */
#define LOG_BYTES_MAX 1024
#define NOTE_SPACE    96

struct plugin_call {
	struct plugin_host *host;
	struct dlo_message message;
	struct plugin_headers headers;
	size_t frame_bytes;
	void *owner;
	bool handling;	/* handle has not returned */
	bool cancelled; /* the answer is not wanted */
	bool answered;
	LIST_ENTRY(plugin_call) entry;
	uint8_t frame[];
};

LIST_HEAD(plugin_calls, plugin_call);

/*
 * Never freed once the plugin has seen its table, which it may keep wherever
 * it likes: several hosts of one shared object have the same variables there.
 */
struct plugin_host {
	struct dlo_host table; /* what the plugin has of us */
	struct dlo_handler plugin;
	void *self;   /* the plugin's */
	bool running; /* init went well */
	char *name;   /* the downstream's; NULL: init was not called */
	const struct plugin_host_cbs *cbs;
	plugin_host_log *log;
	void *arg;
	LIST_ENTRY(plugin_host) entry;
};

/*
 * Of all hosts: an answer is that of its call's host, through whichever table
 * it comes.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plugin_calls calls[BUCKETS];
static LIST_HEAD(, plugin_host) hosts; /* that a plugin has seen */

static struct plugin_host *
host_of(const struct dlo_host *table)
{
	const char *host =
	    (const char *)table - offsetof(struct plugin_host, table);

	return (struct plugin_host *)(uintptr_t)host;
}

static struct plugin_calls *
bucket_of(uint64_t call)
{
	return &calls[call & (BUCKETS - 1)];
}

/* With the lock; NULL: not there, or answered. */
static struct plugin_call *
find(uint64_t number)
{
	struct plugin_call *call;

	LIST_FOREACH(call, bucket_of(number), entry)
		if (call->message.call == number)
			return call;
	return NULL;
}

static void
note(const struct plugin_host *host, enum log_level level, const char *fmt,
    uint64_t call)
{
	char text[NOTE_SPACE];
	int len = snprintf(text, sizeof(text), "%s: call %" PRIu64, fmt, call);

	host->log(host->arg, host->name, level, text, (size_t)len);
}

/* As much of a verdict as its maker knew. */
static struct dlo_verdict
verdict_of(const struct dlo_verdict *given)
{
	struct dlo_verdict verdict = DLO_VERDICT_INIT;

	memcpy(&verdict, given,
	    given->size < sizeof(verdict) ? given->size : sizeof(verdict));
	return verdict;
}

static void
host_complete(const struct dlo_host *table, uint64_t number,
    const struct dlo_verdict *given)
{
	const struct plugin_host *host = host_of(table);
	struct dlo_verdict verdict = verdict_of(given);
	bool wanted = false, handling = false;
	struct plugin_call *call;

	pthread_mutex_lock(&lock);
	call = find(number);
	if (call != NULL) {
		LIST_REMOVE(call, entry);
		host = call->host;
		call->answered = true;
		handling = call->handling;
		wanted = !call->cancelled;
		if (wanted)
			host->cbs->answered(host->arg, call->owner, number,
			    &verdict);
	}
	pthread_mutex_unlock(&lock);
	if (call == NULL)
		note(host, LOG_LEVEL_WARN, "answered twice, or never given",
		    number);
	else if (!wanted)
		note(host, LOG_LEVEL_INFO, "answered too late", number);
	/* While it is in handle, that frees it. */
	if (call != NULL && !handling)
		free(call);
}

static int
host_header_next(const struct dlo_host *table,
    const struct dlo_message *message, struct dlo_header *out)
{
	const char *at =
	    (const char *)message - offsetof(struct plugin_call, message);
	const struct plugin_call *call = (const void *)at;
	/* No more is read of it than any version of it has. */
	struct dlo_header header = { .size = out->size, .next = out->next };

	(void)table;
	if (!plugin_frame_header(&call->headers, &header.next, &header))
		return 0;
	/* No more than its maker knew; its size stays. */
	memcpy(out, &header,
	    header.size < sizeof(header) ? header.size : sizeof(header));
	return 1;
}

static void
host_log(const struct dlo_host *table, int32_t level, const char *text)
{
	static const enum log_level levels[] = {
		[DLO_ERROR] = LOG_LEVEL_ERROR,
		[DLO_WARN] = LOG_LEVEL_WARN,
		[DLO_INFO] = LOG_LEVEL_INFO,
		[DLO_DEBUG] = LOG_LEVEL_DEBUG,
	};
	const struct plugin_host *host = host_of(table);
	size_t len = strnlen(text, LOG_BYTES_MAX + 1);

	if (level < 0 || level > DLO_DEBUG)
		level = DLO_INFO;
	host->log(host->arg, host->name, levels[level], text,
	    text_utf8_cut(text, len, LOG_BYTES_MAX));
}

struct plugin_host *
plugin_host_open(const char *path, struct buf *why)
{
	struct plugin_host *host = xcalloc(1, sizeof(*host));

	if (plugin_load(path, &host->plugin, why) == -1) {
		free(host);
		return NULL;
	}
	host->table = (struct dlo_host){
		.size = sizeof(host->table),
		.abi = DLO_HANDLER_ABI,
		.complete = host_complete,
		.header_next = host_header_next,
		.log = host_log,
	};
	return host;
}

const char *
plugin_host_init(struct plugin_host *host, const struct dlo_setup *setup,
    const struct plugin_host_cbs *cbs, plugin_host_log *log, void *arg)
{
	struct buf text = { 0 };
	const char *why;

	if (host->name == NULL) {
		host->name = xstrdup(setup->downstream);
		LIST_INSERT_HEAD(&hosts, host, entry);
	}
	host->cbs = cbs;
	host->log = log;
	host->arg = arg;
	why = host->plugin.init(&host->table, setup, &host->self);
	host->running = why == NULL;
	if (why != NULL)
		return why;
	buf_printf(&text, "%s is ready", host->plugin.name);
	host->log(host->arg, host->name, LOG_LEVEL_DEBUG, buf_str(&text),
	    text.len);
	buf_clear(&text);
	return NULL;
}

/* With the lock: nobody waits for its answers, or none come any more. */
static void
forget_calls(const struct plugin_host *host, struct plugin_calls *bucket,
    bool over)
{
	struct plugin_call *call, *next;

	for (call = LIST_FIRST(bucket); call != NULL; call = next) {
		next = LIST_NEXT(call, entry);
		if (call->host != host)
			continue;
		call->cancelled = true;
		if (over) {
			LIST_REMOVE(call, entry);
			free(call);
		}
	}
}

void
plugin_host_close(struct plugin_host *host)
{
	bool over = host->plugin.shutdown != NULL;
	size_t i;

	if (host->name == NULL) {
		free(host);
		return;
	}
	if (host->running && over)
		host->plugin.shutdown(host->self);
	pthread_mutex_lock(&lock);
	for (i = 0; i < BUCKETS; i++)
		forget_calls(host, &calls[i], over);
	pthread_mutex_unlock(&lock);
}

struct plugin_call *
plugin_call_new(size_t frame_bytes)
{
	struct plugin_call *call = xmalloc(sizeof(*call) + frame_bytes);

	call->frame_bytes = frame_bytes;
	return call;
}

uint8_t *
plugin_call_frame(struct plugin_call *call)
{
	return call->frame;
}

int
plugin_host_handle(struct plugin_host *host, struct plugin_call *call,
    void *owner)
{
	bool answered;

	if (plugin_frame_read(call->frame, call->frame_bytes, &call->message,
		&call->headers) == -1) {
		free(call);
		return -1;
	}
	call->host = host;
	call->owner = owner;
	call->cancelled = call->answered = false;
	call->handling = true;
	pthread_mutex_lock(&lock);
	LIST_INSERT_HEAD(bucket_of(call->message.call), call, entry);
	pthread_mutex_unlock(&lock);
	host->plugin.handle(host->self, &call->message);
	pthread_mutex_lock(&lock);
	call->handling = false;
	answered = call->answered;
	pthread_mutex_unlock(&lock);
	if (answered)
		free(call);
	return 0;
}

void
plugin_host_cancel(struct plugin_host *host, uint64_t number)
{
	struct plugin_call *call;

	pthread_mutex_lock(&lock);
	call = find(number);
	if (call != NULL)
		call->cancelled = true;
	pthread_mutex_unlock(&lock);
	/* It may be answered by now; then the plugin knows no such call. */
	if (call != NULL && host->plugin.cancel != NULL)
		host->plugin.cancel(host->self, number);
}
