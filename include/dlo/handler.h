/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Dead Letter Office: handlers as shared objects ("plugins").
 *
 * A plugin exports one object, `dlo_handler`, and links against nothing of
 * ours: what it may call stands in the struct dlo_host that init gets.
 *
 *	static const char *
 *	init(const struct dlo_host *host, const struct dlo_setup *setup,
 *	    void **self)
 *	{
 *		*self = my_state_new(host, setup->config);
 *		return NULL;
 *	}
 *
 *	static void
 *	handle(void *self, const struct dlo_message *message)
 *	{
 *		struct dlo_verdict verdict = DLO_VERDICT_INIT;
 *
 *		verdict.outcome = DLO_OK;
 *		my_host(self)->complete(my_host(self), message->call,
 *		    &verdict);
 *	}
 *
 *	const struct dlo_handler dlo_handler = {
 *		DLO_HANDLER_HEAD, "charge", init, handle, NULL, NULL
 *	};
 *
 * Growth. Each struct begins with its `size`, as its maker knows it. Members
 * are only ever added at the end; who reads a struct of another maker reads
 * no member beyond `size` (DLO_HAS tells). What cannot be done so gets a new
 * DLO_HANDLER_ABI, and other numbers are refused.
 *
 * Threads. init, handle, cancel and shutdown are called by one thread, one at
 * a time. The functions of struct dlo_host may be called from any thread, from
 * the start of init to the end of shutdown, also from within the plugin's own
 * functions.
 *
 * Variables. With workers: 0 a reload starts a plugin anew in the same process:
 * init is called again, with another configuration, while attempts of the
 * start before are under way, and shutdown for that one comes later. Variables
 * of the shared object are then the same for both, so what belongs to one
 * start belongs into *self.
 *
 * Times are in milliseconds unless a name ends in _s; sizes are in bytes.
 * C11 and C++11.
 */
#ifndef DLO_HANDLER_H
#define DLO_HANDLER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The number that both sides must agree on. */
#define DLO_HANDLER_ABI 1

/* Whether the struct at `ptr` is large enough to have `member`. */
#define DLO_HAS(type, ptr, member) \
	((ptr)->size >= offsetof(type, member) + sizeof((ptr)->member))

/*
 * Bytes from the wire, believed by nobody: any byte may be among them, a NUL
 * too. `ptr` is never NULL, and the byte behind the last one is a NUL that
 * `len` does not count. What the message has not is of length 0.
 */
struct dlo_text {
	const char *ptr;
	size_t len;
};

/* What becomes of the message. Nothing else exists. */
enum dlo_outcome {
	DLO_OK = 0,	/* done: it is acknowledged */
	DLO_RETRY = 1,	/* again later, until its attempts are used up */
	DLO_REJECT = 2, /* it can never succeed: dead at once */
};

enum dlo_level {
	DLO_ERROR = 0,
	DLO_WARN = 1,
	DLO_INFO = 2,
	DLO_DEBUG = 3,
};

enum dlo_type {
	DLO_TEXT = 0,
	DLO_INT = 1,
	DLO_REAL = 2,
	DLO_BOOL = 3,
	DLO_BYTES = 4, /* as a text, and meant as none */
	DLO_TIME = 5,  /* seconds since the epoch */
};

/*
 * One attempt at one message. It and all it points to belong to the host and
 * are valid until the call is completed, and in any case until handle
 * returns.
 */
struct dlo_message {
	size_t size;
	/* Names this attempt to complete and cancel; never used twice. */
	uint64_t call;
	struct dlo_text pipeline; /* its name in the configuration */
	struct dlo_text queue;	  /* the work queue */
	struct dlo_text id;	  /* stable over retries; never empty */
	int64_t attempt;	  /* this attempt's number, from 1 */
	int64_t redrives;	  /* how often it came back from the dead */
	/* Both as first received, before any retry. */
	struct dlo_text exchange;
	struct dlo_text routing_key;
	/* AMQP properties. */
	struct dlo_text content_type;
	struct dlo_text content_encoding;
	struct dlo_text message_id;
	struct dlo_text correlation_id;
	struct dlo_text type;
	int64_t timestamp_s; /* since the epoch; 0: it has none */
	/* The header of that name (W3C trace context), not checked. */
	struct dlo_text traceparent;
	struct dlo_text body; /* at most the pipeline's max_body */
};

/*
 * One header of a message, and the place of the next one. Start with
 * DLO_HEADER_INIT; header_next fills in the rest.
 */
struct dlo_header {
	size_t size;
	uint64_t next;	      /* the host's own */
	struct dlo_text name; /* names may come twice */
	int32_t type;	      /* enum dlo_type: which of these it is */
	int32_t truth;	      /* DLO_BOOL: 0 or 1 */
	int64_t number;	      /* DLO_INT, DLO_TIME */
	double real;	      /* DLO_REAL */
	struct dlo_text text; /* DLO_TEXT, DLO_BYTES */
};

#define DLO_HEADER_INIT \
	{ \
		sizeof(struct dlo_header), 0, { "", 0 }, DLO_TEXT, 0, 0, 0, \
		{ \
			"", 0 \
		} \
	}

/*
 * The answer to an attempt. Start with DLO_VERDICT_INIT (a retry of code 1).
 * The texts stay the plugin's and are copied before complete returns.
 */
struct dlo_verdict {
	size_t size;
	int32_t outcome; /* enum dlo_outcome; anything else is a retry */
	int32_t code;	 /* the class is `plugin.<code>` without a text */
	/*
	 * What failed, for rules and metrics: letters, digits and ._-, others
	 * become `_`, at most 63 of them. NULL or "": plugin.<code>. The word
	 * `crash` in front is the host's own: it gets `plugin.` before it.
	 */
	const char *class_text;
	/* A line for people, at most 512 bytes of it; NULL: none. */
	const char *error;
	/* A retry: when, instead of the usual backoff; -1: not said. */
	int64_t delay_ms;
};

#define DLO_VERDICT_INIT \
	{ \
		sizeof(struct dlo_verdict), DLO_RETRY, 1, NULL, NULL, -1 \
	}

/*
 * What the host offers. It is valid from init until shutdown has returned; the
 * table of a plugin that has none stays valid.
 * Each function takes the table itself first.
 */
struct dlo_host {
	size_t size;
	uint32_t abi; /* DLO_HANDLER_ABI of the host */
	uint32_t reserved;
	/*
	 * Answers the attempt `call`: once, from within handle or at any time
	 * later, from any thread, through the table of any of its inits. A
	 * second answer, and one that comes after the host has given the
	 * attempt up, does no harm: it is logged and dropped. Never blocks for
	 * long.
	 */
	void (*complete)(const struct dlo_host *host, uint64_t call,
	    const struct dlo_verdict *verdict);
	/*
	 * The next header of a message that is still valid: 1 and it is in
	 * *header, or 0 and there is no more. Only texts, bytes, numbers,
	 * times and booleans are told, none of the host's own (dlo-*).
	 */
	int (*header_next)(const struct dlo_host *host,
	    const struct dlo_message *message, struct dlo_header *header);
	/*
	 * A line in the host's log, under its event `plugin`. `level` is an
	 * enum dlo_level, `text` UTF-8 with a NUL at its end; it is escaped,
	 * and cut at 1 KiB. Lines below the configured level are dropped.
	 */
	void (*log)(const struct dlo_host *, int32_t level, const char *text);
};

/* What the plugin is started with; valid until init returns. */
struct dlo_setup {
	size_t size;
	const char *downstream; /* its name in the configuration */
	/*
	 * The key `config` as JSON (RFC 8259, UTF-8), with a NUL at its end;
	 * `null` when it was not given. config_len does not count the NUL.
	 */
	const char *config;
	size_t config_len;
	/* Processes that the plugin runs in; 0: inside the daemon. */
	uint32_t workers;
};

/* The plugin itself. */
struct dlo_handler {
	size_t size; /* DLO_HANDLER_HEAD sets both */
	uint32_t abi;
	const char *name; /* for the log; never NULL */
	/*
	 * Called before anything else, and again when the plugin is started
	 * anew (see Variables). *self is handed to all other functions. Returns
	 * NULL, or what is wrong, in text that stays valid; then nothing else
	 * is called, and it is tried again later (in a new process, with
	 * workers).
	 */
	const char *(*init)(const struct dlo_host *host,
	    const struct dlo_setup *setup, void **self);
	/*
	 * Takes a message. May answer at once, or later from any thread. With
	 * workers: 0 it must not block: the whole daemon waits for it.
	 */
	void (*handle)(void *self, const struct dlo_message *message);
	/*
	 * May be NULL. Nobody waits for this attempt any more: its time is
	 * over, or the daemon gives it back. The plugin still has to complete
	 * it (the message is valid until then); the answer is dropped.
	 */
	void (*cancel)(void *self, uint64_t call);
	/*
	 * May be NULL. The last call for this `self`; no thread that works
	 * for it may call the host after it. The shared object is not unloaded.
	 * A process may also be killed without this.
	 */
	void (*shutdown)(void *self);
};

/* The first two members of a struct dlo_handler. */
#define DLO_HANDLER_HEAD sizeof(struct dlo_handler), DLO_HANDLER_ABI

/* The one name that the host looks for. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
extern const struct dlo_handler dlo_handler;

#ifdef __cplusplus
}
#endif

#endif
