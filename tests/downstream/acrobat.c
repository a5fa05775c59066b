/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A plugin that does what bodies say, word by word: see `words`. What it does
 * not know is ok. With "late" in its configuration every answer comes from a
 * thread of its own. ACROBAT_BARE has neither cancel nor shutdown.
 */
#include "downstream/plugin_page.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_SPACE  4096
#define EVER_S	    1000
#define PATIENCE_US 10000

/* An answer on its way. */
struct act {
	const struct dlo_message *message; /* until handle returns */
	uint64_t call;
	struct dlo_verdict verdict;
	char text[TEXT_SPACE]; /* the body, cut into words */
	char *left;	       /* of the words */
	bool answer, thread, twice, hold;
};

static const struct dlo_host *host;
static bool all_late;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static pthread_cond_t gate = PTHREAD_COND_INITIALIZER;
static unsigned threads;
static bool released;

/* What is left of the words, up to the end. */
static const char *
rest(struct act *act)
{
	return strtok_r(NULL, "", &act->left);
}

static int32_t
number(struct act *act)
{
	const char *word = strtok_r(NULL, " ", &act->left);

	return word == NULL ? 0 : (int32_t)strtol(word, NULL, 10);
}

static void
crash(struct act *act)
{
	(void)act;
	(void)signal(SIGSEGV, SIG_DFL);
	(void)raise(SIGSEGV);
}

/* Only once the message has been tried so often. */
static void
until(struct act *act)
{
	if (act->message->attempt > number(act))
		(void)rest(act);
}

static void
do_abort(struct act *act)
{
	(void)act;
	(void)fprintf(stderr, "an assertion\n");
	(void)signal(SIGABRT, SIG_DFL);
	abort();
}

static void
do_exit(struct act *act)
{
	_exit(number(act));
}

static void
hang(struct act *act)
{
	(void)act;
	host->log(host, DLO_WARN, "hanging");
	sleep(EVER_S);
}

static void
spin(struct act *act)
{
	(void)act;
	for (;;)
		continue;
}

static void
eat(struct act *act)
{
	size_t bytes = (size_t)number(act) << 20;
	char *food = bytes > 0 ? malloc(bytes) : NULL;

	if (food == NULL) {
		act->verdict.outcome = DLO_RETRY;
		act->verdict.error = "no memory";
		return;
	}
	memset(food, 1, bytes);
	free(food);
}

static void
retry(struct act *act)
{
	act->verdict.outcome = DLO_RETRY;
	act->verdict.code = number(act);
}

static void
reject(struct act *act)
{
	act->verdict.outcome = DLO_REJECT;
	act->verdict.code = number(act);
}

static void
delay(struct act *act)
{
	act->verdict.delay_ms = number(act);
}

static void class(struct act *act)
{
	act->verdict.class_text = strtok_r(NULL, " ", &act->left);
}

static void
error(struct act *act)
{
	act->verdict.error = rest(act);
}

static void
say(struct act *act)
{
	host->log(host, DLO_WARN, rest(act));
}

/* For the file that GO in the environment names. */
static void
await(struct act *act)
{
	const char *go = getenv("GO");

	(void)act;
	host->log(host, DLO_WARN, "waiting");
	while (go == NULL || access(go, F_OK) == -1)
		usleep(PATIENCE_US);
}

/* The page that this process shares, whoever hides it; NULL: none. */
static struct plugin_page *
find_page(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	struct plugin_page *page = NULL;
	char line[TEXT_SPACE];

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
		if (strstr(line, "memfd:dlo-plugin") != NULL)
			page = (void *)(uintptr_t)strtoull(line, NULL, 16);
	if (maps != NULL)
		(void)fclose(maps);
	return page;
}

/* What memory looks like when nobody minds it. */
static void
lie(struct act *act)
{
	struct plugin_page *page = find_page();
	struct plugin_answer *next =
	    &page->answers[page->answered % PLUGIN_PAGE_SLOTS];
	int fd;

	switch (number(act)) {
	case 1:
		page->answered += 2 * PLUGIN_PAGE_SLOTS;
		break;
	case 2:
		page->begun = 0;
		crash(act);
		break;
	case 3:
		next->class_len = next->error_len = 0;
		next->call = UINT64_MAX / 2;
		page->answered++;
		break;
	case 4:
		next->call = act->call;
		next->class_len = UINT32_MAX;
		page->answered++;
		break;
	case 5:
		page->begun = UINT64_MAX;
		break;
	default:
		for (fd = 3; fd < 64; fd++)
			if (write(fd, "Zounds", 6) == -1)
				continue;
	}
	sleep(EVER_S);
}

/* What a plugin should not do, and does. */
static void
print(struct act *act)
{
	(void)act;
	(void)printf("A nonsense on stdout\n");
	(void)fflush(stdout);
}

static void
never(struct act *act)
{
	act->answer = false;
}

static void
thread(struct act *act)
{
	act->thread = true;
}

/* From a thread, when acrobat_release is called. */
static void
hold(struct act *act)
{
	act->thread = true;
	act->hold = true;
	host->log(host, DLO_INFO, "held");
}

/* For the test: lets the answers go that are held, until all are given. */
void acrobat_release(void);

void
acrobat_release(void)
{
	pthread_mutex_lock(&lock);
	released = true;
	pthread_cond_broadcast(&gate);
	while (threads > 0)
		pthread_cond_wait(&idle, &lock);
	released = false;
	pthread_mutex_unlock(&lock);
}

static void
release(struct act *act)
{
	(void)act;
	acrobat_release();
}

static void
twice(struct act *act)
{
	act->twice = true;
}

/* Everything about the message, as its error. */
static void
tell(struct act *act)
{
	static char told[TEXT_SPACE];
	const struct dlo_message *m = act->message;
	struct dlo_header header = DLO_HEADER_INIT;
	int len;

	len = snprintf(told, sizeof(told),
	    "%s %s %s %" PRId64 " %" PRId64 " %s %s %s %s %s %s %s %" PRId64
	    " %s %zu",
	    m->pipeline.ptr, m->queue.ptr, m->id.ptr, m->attempt, m->redrives,
	    m->exchange.ptr, m->routing_key.ptr, m->content_type.ptr,
	    m->content_encoding.ptr, m->message_id.ptr, m->correlation_id.ptr,
	    m->type.ptr, m->timestamp_s, m->traceparent.ptr, m->body.len);
	while (host->header_next(host, m, &header) == 1)
		len += snprintf(told + len, sizeof(told) - (size_t)len,
		    " %s=%d:%s%" PRId64 ":%g:%d", header.name.ptr, header.type,
		    header.text.ptr, header.number, header.real, header.truth);
	act->verdict.outcome = DLO_RETRY;
	act->verdict.error = told;
}

static const struct {
	const char *name;
	void (*act)(struct act *);
} words[] = {
	{ "abort", do_abort },
	{ "await", await },
	{ "class", class },
	{ "crash", crash },
	{ "delay", delay },
	{ "eat", eat },
	{ "error", error },
	{ "exit", do_exit },
	{ "hang", hang },
	{ "hold", hold },
	{ "lie", lie },
	{ "never", never },
	{ "print", print },
	{ "reject", reject },
	{ "release", release },
	{ "retry", retry },
	{ "say", say },
	{ "spin", spin },
	{ "tell", tell },
	{ "thread", thread },
	{ "twice", twice },
	{ "until", until },
};

static void
answer(struct act *act)
{
	host->complete(host, act->call, &act->verdict);
	if (act->twice)
		host->complete(host, act->call, &act->verdict);
	free(act);
}

static void
wait_for_release(void)
{
	pthread_mutex_lock(&lock);
	while (!released)
		pthread_cond_wait(&gate, &lock);
	pthread_mutex_unlock(&lock);
}

static void *
answer_later(void *arg)
{
	const struct act *act = arg;

	if (act->hold)
		wait_for_release();
	answer(arg);
	pthread_mutex_lock(&lock);
	if (--threads == 0)
		pthread_cond_signal(&idle);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void
start_thread(struct act *act)
{
	pthread_t id;

	pthread_mutex_lock(&lock);
	threads++;
	pthread_mutex_unlock(&lock);
	if (pthread_create(&id, NULL, answer_later, act) != 0)
		abort();
	pthread_detach(id);
}

static void
perform(struct act *act)
{
	const char *word = strtok_r(act->text, " ", &act->left);
	size_t i;

	for (; word != NULL; word = strtok_r(NULL, " ", &act->left))
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strcmp(word, words[i].name) == 0) {
				words[i].act(act);
				break;
			}
}

static void
handle(void *self, const struct dlo_message *message)
{
	struct act *act = calloc(1, sizeof(*act));
	struct dlo_verdict verdict = DLO_VERDICT_INIT;
	size_t len = message->body.len;

	(void)self;
	if (act == NULL)
		abort();
	act->message = message;
	act->call = message->call;
	act->verdict = verdict;
	act->verdict.outcome = DLO_OK;
	act->answer = true;
	act->thread = all_late;
	if (len > sizeof(act->text) - 1)
		len = sizeof(act->text) - 1;
	memcpy(act->text, message->body.ptr, len);
	perform(act);
	if (!act->answer)
		free(act);
	else if (act->thread)
		start_thread(act);
	else
		answer(act);
}

/* Fails twice, in what goes to the parent. */
static void
stammer(void)
{
	int fd;

	for (fd = 3; fd < 64; fd++)
		if (write(fd, "F\1\0xF\1\0y", 8) == -1)
			continue;
	sleep(EVER_S);
}

static void
chatter(void)
{
	unsigned i;

	for (i = 0; i < 2000; i++)
		host->log(host, DLO_WARN, "chatter");
}

/* It sees what the process was started with. */
static void __attribute__((constructor)) on_load(void)
{
	if (getenv("DLO_SECRET") != NULL)
		do_abort(NULL);
}

static const char *
init(const struct dlo_host *the_host, const struct dlo_setup *setup,
    void **self)
{
	*self = NULL;
	host = the_host;
	if (strstr(setup->config, "refuse") != NULL)
		return "the configuration says so";
	if (strstr(setup->config, "crash") != NULL)
		crash(NULL);
	if (strstr(setup->config, "echo") != NULL)
		host->log(host, DLO_WARN, setup->config);
	if (strstr(setup->config, "stammer") != NULL)
		stammer();
	if (strstr(setup->config, "chatter") != NULL)
		chatter();
	all_late = strstr(setup->config, "late") != NULL;
	return NULL;
}

#ifdef ACROBAT_BARE
#define cancel	     NULL
#define shutdown_all NULL
#else
static void
cancel(void *self, uint64_t call)
{
	struct dlo_verdict verdict = DLO_VERDICT_INIT;

	(void)self;
	host->complete(host, call, &verdict);
}

static void
shutdown_all(void *self)
{
	(void)self;
	acrobat_release();
}
#endif

#ifndef ACROBAT_ABI
#define ACROBAT_ABI DLO_HANDLER_ABI
#endif

const struct dlo_handler dlo_handler = {
	sizeof(struct dlo_handler),
	ACROBAT_ABI,
	"acrobat",
	init,
	handle,
	cancel,
	shutdown_all,
};
