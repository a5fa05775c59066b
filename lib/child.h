/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Child processes as events of the loop: bytes to their stdin, bytes from
 * their stdout and stderr, their end. Nothing here blocks. Each leads a
 * process group of its own, has none of our descriptors, blocked or ignored
 * signals, and dies with us (PR_SET_PDEATHSIG).
 *
 * The end of a child is the end of its process, told by a pidfd: whoever
 * else holds its pipes keeps nobody waiting. What is left of its group is
 * killed then, what is in the pipes is still told, then comes `exited`.
 *
 * A child belongs to its set. It lasts until child_close, also after
 * `exited`; callbacks never run inside a call of this interface, and from
 * them children may be opened and closed.
 */
#ifndef DLO_LIB_CHILD_H
#define DLO_LIB_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/compiler.h"
#include "lib/loop.h"

struct child;
struct children;

/* Read during child_open only; NULL ends argv and env. */
struct child_params {
	/* A program without a slash is looked for in $PATH. No shell. */
	char *const *argv;
	char *const *env;
	const char *program;   /* a path, executed as argv[0]; NULL: argv[0] */
	int shared;	       /* a descriptor that it gets as 3; 0: none */
	bool output;	       /* stdout is told; false: it is discarded */
	uint64_t memory_bytes; /* address space at most; 0: as ours */
	int64_t cpu_ms;	       /* rounded up to seconds; 0: as ours */
};

enum child_how {
	CHILD_EXITED,	   /* code: its status */
	CHILD_SIGNALED,	   /* code: the signal */
	CHILD_NOT_STARTED, /* code: an errno */
};

struct child_exit {
	enum child_how how;
	int code;
};

struct child_cbs {
	/* The bytes are gone on return; `out` only with `output`. */
	void (*out)(void *arg, const void *bytes, size_t len);
	void (*err)(void *arg, const void *bytes, size_t len);
	/* All that was given to child_send has left; NULL: not wanted. */
	void (*sent)(void *arg);
	/* The last callback. */
	void (*exited)(void *arg, const struct child_exit *);
};

/* An empty set. */
struct children *children_new(struct loop *);
/*
 * Closes the stdin of all of them, and waits until they have ended by
 * themselves, so long at most; then comes children_free.
 */
void children_end(struct children *, int64_t wait_ms);
/*
 * Kills all of them, and waits for their ends, some seconds at most (one that
 * hangs in the kernel is left to init). NULL is fine; not from a callback.
 */
void children_free(struct children *);

/*
 * Starts one; never NULL. What goes wrong arrives as CHILD_NOT_STARTED.
 * `cbs` must outlive it.
 */
struct child *child_open(struct children *, const struct child_params *,
    const struct child_cbs *, void *arg) must_use;
/*
 * To its stdin, when all before has left: a copy of `head`, then `body`,
 * which must last until it has left or the child is closed; `last` closes
 * stdin after it. A child that has closed its stdin swallows all.
 */
void child_send(struct child *, const void *head, size_t head_len,
    const void *body, size_t body_len, bool last);
/* Bytes given to child_send that are not in the pipe yet. */
size_t child_unsent(const struct child *);
/* Whether bytes from its stdout wait to be told. */
bool child_has_output(const struct child *);
/* Whether it can still hear: its process and its stdin are there. */
bool child_is_listening(const struct child *);
/* 0: it was never started. */
pid_t child_pid(const struct child *);
/*
 * No callback after this. Kills its group if it still runs; it is reaped
 * when it has ended, the memory goes then.
 */
void child_close(struct child *);

#endif
