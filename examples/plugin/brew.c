/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A plugin for dlo: brews the coffee that the message's body names, and puts
 * it on the counter, a file named by COUNTER in the environment.
 *
 *	downstreams:
 *	  bar: {plugin: {path: /usr/local/lib/dlo/brew.so, workers: 2}}
 */
#include <dlo/handler.h>

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_AFTER_MS 300
#define LINE_SPACE     4096

struct brew {
	const struct dlo_host *host;
	const char *counter;
};

static const char *
brew_init(const struct dlo_host *host, const struct dlo_setup *setup,
    void **self)
{
	const char *counter = getenv("COUNTER");
	struct brew *brew;

	(void)setup; /* its config is JSON; this one needs none */
	if (counter == NULL)
		return "COUNTER is not in the environment";
	/* Nothing static: it may be started anew beside this start. */
	brew = malloc(sizeof(*brew));
	if (brew == NULL)
		return "no memory";
	brew->host = host;
	brew->counter = counter;
	*self = brew;
	host->log(host, DLO_INFO, "the bar is open");
	return NULL;
}

/* One write: a line that is there is whole. 0: it is on the counter. */
static int
serve(const struct brew *brew, const struct dlo_message *message)
{
	int fd = open(brew->counter, O_WRONLY | O_APPEND | O_CLOEXEC);
	char line[LINE_SPACE];
	int len, served = -1;

	if (fd == -1)
		return -1;
	/* An order may come twice: whoever minds looks for its id. */
	len = snprintf(line, sizeof(line), "%s %lld %s\n", message->id.ptr,
	    (long long)message->attempt, message->body.ptr);
	if (len > 0 && (size_t)len < sizeof(line) &&
	    write(fd, line, (size_t)len) == len)
		served = 0;
	close(fd);
	return served;
}

static int
is_line(const struct dlo_text *text)
{
	size_t i;

	for (i = 0; i < text->len; i++)
		if (iscntrl((unsigned char)text->ptr[i]))
			return 0;
	return 1;
}

static void
brew_handle(void *self, const struct dlo_message *message)
{
	const struct brew *brew = self;
	struct dlo_verdict verdict = DLO_VERDICT_INIT;
	char error[LINE_SPACE];

	if (!is_line(&message->body)) {
		verdict.outcome = DLO_REJECT;
		verdict.class_text = "coffee.unknown";
		verdict.error = "an order is one line";
	} else if (message->body.len == 0 ||
	    strstr(message->body.ptr, "decaf") != NULL) {
		(void)snprintf(error, sizeof(error), "no such coffee: %s",
		    message->body.ptr);
		verdict.outcome = DLO_REJECT;
		verdict.class_text = "coffee.unknown";
		verdict.error = error;
	} else if (serve(brew, message) == -1) {
		verdict.class_text = "counter.closed";
		verdict.error = "the counter is closed";
		verdict.delay_ms = RETRY_AFTER_MS;
	} else {
		verdict.outcome = DLO_OK;
	}
	brew->host->complete(brew->host, message->call, &verdict);
}

static void
brew_shutdown(void *self)
{
	free(self);
}

const struct dlo_handler dlo_handler = {
	DLO_HANDLER_HEAD,
	"brew",
	brew_init,
	brew_handle,
	NULL, /* answers at once: there is nothing to cancel */
	brew_shutdown,
};
