/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Three boards on one model queue with a single active consumer, in many
 * interleavings: channels that go, processes that die or hang, publishes of a
 * lost channel that arrive late, copies twice, forged ones. Whatever happens:
 * two never own a job at once as the broker sees it, what was settled is never
 * forgotten, what has ended is never owned again, a request makes one job.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "lib/log.h"
#include "lib/xalloc.h"
#include "redrive/board.h"
#include "tests/unit.h"

#define DAEMONS	 3
#define JOBS_MAX 400

/* A message in the queue, held, or on its way. */
struct item {
	TAILQ_ENTRY(item) entry;
	char *body;
	uint64_t place, tag;
	bool trusted;
};
TAILQ_HEAD(items, item);

/* What a daemon has sent and the broker has not read. */
struct sent {
	TAILQ_ENTRY(sent) entry;
	uint64_t token; /* 0: an ack of `tag` */
	uint64_t tag;
	char *body;
};
TAILQ_HEAD(sents, sent);

enum news_kind { NEWS_MESSAGE, NEWS_CONFIRM, NEWS_LOST };

/* What the broker has sent and a daemon has not read. */
struct news {
	TAILQ_ENTRY(news) entry;
	enum news_kind kind;
	uint64_t token, tag;
	char *body;
	bool trusted;
};
TAILQ_HEAD(newses, news);

/* A job as its daemon knows it. */
struct known {
	bool there, owned, ended;
	int request;
	json_int_t progress;
};

struct daemon {
	struct world *world;
	struct board *board;
	char name[16];
	unsigned lives;
	bool live;   /* the broker has its channel */
	bool joined; /* it has joined, and knows of no loss */
	bool hung;
	bool active; /* as its board says */
	struct items unacked;
	uint64_t next_tag;
	struct sents sents;
	struct newses newses;
	struct known known[JOBS_MAX];
};

struct world {
	uint64_t random;
	int64_t now_ms;
	struct items ready, late;
	uint64_t next_place;
	struct daemon daemons[DAEMONS];
	int order[DAEMONS]; /* consumers by subscription; -1: none */
	int requests;	    /* made so far */
	/* What was seen to be in the queue. */
	struct {
		bool there, ended;
		int request;
		json_int_t progress;
	} safe[JOBS_MAX];
	bool calm;
	size_t ended_max; /* for boards that start; 0: the default */
	bool unfair;	  /* the broker breaks its word */
	bool left;	  /* a board has left of itself */
};

static uint64_t
roll(struct world *w, uint64_t n)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % n;
}

/* The broker. */

static struct daemon *
consumer(struct world *w)
{
	return w->order[0] < 0 ? NULL : &w->daemons[w->order[0]];
}

static void
tell(struct daemon *d, enum news_kind kind, uint64_t token,
    const struct item *item)
{
	struct news *news = xcalloc(1, sizeof(*news));

	news->kind = kind;
	news->token = token;
	if (item != NULL) {
		news->tag = item->tag;
		news->body = xstrdup(item->body);
		news->trusted = item->trusted;
	}
	TAILQ_INSERT_TAIL(&d->newses, news, entry);
}

static void
pump(struct world *w)
{
	struct daemon *d = consumer(w);
	struct item *item;

	while (d != NULL && (item = TAILQ_FIRST(&w->ready)) != NULL) {
		TAILQ_REMOVE(&w->ready, item, entry);
		item->tag = ++d->next_tag;
		TAILQ_INSERT_TAIL(&d->unacked, item, entry);
		tell(d, NEWS_MESSAGE, 0, item);
	}
}

/* In its place: what comes back goes before what never went. */
static void
enqueue(struct world *w, struct item *item)
{
	struct item *other;

	TAILQ_FOREACH(other, &w->ready, entry) {
		if (other->place > item->place) {
			TAILQ_INSERT_BEFORE(other, item, entry);
			return;
		}
	}
	TAILQ_INSERT_TAIL(&w->ready, item, entry);
}

static struct item *
item_new(struct world *w, const char *body, bool trusted)
{
	struct item *item = xcalloc(1, sizeof(*item));

	item->body = xstrdup(body);
	item->place = ++w->next_place;
	item->trusted = trusted;
	return item;
}

static void
publish(struct world *w, const char *body, bool trusted)
{
	enqueue(w, item_new(w, body, trusted));
	if (!w->calm && roll(w, 20) == 0)
		enqueue(w, item_new(w, body, trusted));
	pump(w);
}

static void
item_free(struct item *item)
{
	free(item->body);
	free(item);
}

static void
sent_free(struct daemon *d, struct sent *sent)
{
	TAILQ_REMOVE(&d->sents, sent, entry);
	free(sent->body);
	free(sent);
}

/* The broker reads one of what it has sent. */
static void
read_sent(struct daemon *d)
{
	struct sent *sent = TAILQ_FIRST(&d->sents);
	struct item *item;

	if (sent->token != 0) {
		publish(d->world, sent->body, true);
		tell(d, NEWS_CONFIRM, sent->token, NULL);
	} else {
		TAILQ_FOREACH(item, &d->unacked, entry) {
			if (item->tag == sent->tag)
				break;
		}
		assert_non_null(item); /* acked twice */
		TAILQ_REMOVE(&d->unacked, item, entry);
		item_free(item);
	}
	sent_free(d, sent);
}

static void
unsubscribe(struct daemon *d)
{
	struct world *w = d->world;
	int mine = (int)(d - w->daemons), to = 0;

	for (int i = 0; i < DAEMONS; i++) {
		if (w->order[i] != mine)
			w->order[to++] = w->order[i];
	}
	while (to < DAEMONS)
		w->order[to++] = -1;
}

/* Its channel goes: what it held is given back, some of the rest is late. */
static void
cut(struct daemon *d)
{
	struct world *w = d->world;
	bool some = roll(w, 2) == 0;
	struct item *item;
	struct sent *sent;

	d->live = false;
	unsubscribe(d);
	while ((sent = TAILQ_FIRST(&d->sents)) != NULL) {
		some = some && roll(w, 4) > 0;
		if (sent->token != 0 && some) {
			item = item_new(w, sent->body, true);
			TAILQ_INSERT_TAIL(&w->late, item, entry);
		}
		sent_free(d, sent);
	}
	while ((item = TAILQ_FIRST(&d->unacked)) != NULL) {
		TAILQ_REMOVE(&d->unacked, item, entry);
		enqueue(w, item);
	}
	pump(w);
	tell(d, NEWS_LOST, 0, NULL);
}

static void
arrive_late(struct world *w)
{
	struct item *item = TAILQ_FIRST(&w->late);

	TAILQ_REMOVE(&w->late, item, entry);
	item->place = ++w->next_place;
	enqueue(w, item);
	pump(w);
}

/* A daemon: what the board asks of it. */

static void
send(struct daemon *d, uint64_t token, uint64_t tag, const char *body)
{
	struct sent *sent;

	/* Into a channel that is gone. */
	if (!d->live)
		return;
	sent = xcalloc(1, sizeof(*sent));
	sent->token = token;
	sent->tag = tag;
	sent->body = xstrdup(body);
	TAILQ_INSERT_TAIL(&d->sents, sent, entry);
}

static void
on_publish(void *arg, uint64_t token, const char *body, size_t len)
{
	assert_int_equal(strlen(body), len);
	send(arg, token, 0, body);
}

static void
on_ack(void *arg, uint64_t tag)
{
	send(arg, 0, tag, NULL);
}

static void
on_leave(void *arg, const char *why)
{
	struct daemon *d = arg;

	(void)why;
	d->world->left = true;
	if (d->live)
		cut(d);
}

static void
on_active(void *arg, bool active)
{
	((struct daemon *)arg)->active = active;
}

static int
number_of(const char *key)
{
	int n = -1;

	assert_int_equal(sscanf(key, "job/%d", &n), 1);
	assert_in_range(n, 0, JOBS_MAX - 1);
	return n;
}

static json_int_t
number_in(const json_t *data, const char *name)
{
	return json_integer_value(json_object_get(data, name));
}

static void
on_found(void *arg, const char *key, const json_t *data, int64_t ended_ms)
{
	struct daemon *d = arg;
	int n = number_of(key);
	json_int_t progress = number_in(data, "progress");

	assert_true(d->active || board_state(d->board) == BOARD_ACTIVE);
	d->known[n] = (struct known){ true, false, ended_ms != 0,
		(int)number_in(data, "request"), progress };
	/* Nothing that was settled is forgotten, or revived. */
	assert_true(progress >= d->world->safe[n].progress);
	assert_true(!d->world->safe[n].ended || ended_ms != 0);
}

/* As the broker sees it, one at a time acts on a job. */
static void
check_alone(const struct daemon *d, int n)
{
	const struct world *w = d->world;

	if (!d->live || w->unfair)
		return;
	assert_ptr_equal(consumer(d->world), d);
	for (int i = 0; i < DAEMONS; i++) {
		const struct daemon *other = &w->daemons[i];

		assert_true(
		    other == d || !other->live || !other->known[n].owned);
	}
}

static void
on_owned(void *arg, const char *key)
{
	struct daemon *d = arg;
	int n = number_of(key);

	assert_true(d->known[n].there);
	assert_false(d->known[n].owned);
	d->known[n].owned = true;
	assert_true(!d->world->safe[n].ended || d->known[n].ended);
	check_alone(d, n);
}

static void
on_forgotten(void *arg, const char *key)
{
	((struct daemon *)arg)->known[number_of(key)].there = false;
}

static void
put(struct daemon *d, int n)
{
	struct known *known = &d->known[n];
	json_t *data = json_pack("{s:i, s:I}", "request", known->request,
	    "progress", known->progress);
	char key[32];

	(void)snprintf(key, sizeof(key), "job/%d", n);
	board_put(d->board, key, data, known->ended ? d->world->now_ms : 0);
	json_decref(data);
}

static void
on_request(void *arg, const struct board_request *request)
{
	struct daemon *d = arg;
	int n = (int)number_in(request->body, "request");
	char key[32];

	/*
	 * Its key comes from the request: a first copy of it that is late finds
	 * the one that another daemon has made of the same request.
	 */
	if (!d->known[n].there) {
		d->known[n] = (struct known){ .there = true, .request = n };
		put(d, n);
	}
	(void)snprintf(key, sizeof(key), "job/%d", n);
	board_settle(d->board, request->tag, key);
}

static const struct board_cbs cbs = { on_publish, on_ack, on_leave, on_active,
	on_found, on_owned, on_forgotten, on_request };

static void
start(struct daemon *d)
{
	const struct board_options options = { .instance = d->name,
		.ended_max = d->world->ended_max };

	(void)snprintf(d->name, sizeof(d->name), "d%d-%u",
	    (int)(d - d->world->daemons), ++d->lives);
	d->board = board_new(&options, &cbs, d);
	d->joined = d->active = false;
	memset(d->known, 0, sizeof(d->known));
}

static void
news_free(struct daemon *d, struct news *news)
{
	TAILQ_REMOVE(&d->newses, news, entry);
	free(news->body);
	free(news);
}

static void
kill_daemon(struct daemon *d)
{
	if (d->live)
		cut(d);
	while (!TAILQ_EMPTY(&d->newses))
		news_free(d, TAILQ_FIRST(&d->newses));
	board_free(d->board);
	d->hung = false;
	start(d);
}

static void
join(struct daemon *d)
{
	struct world *w = d->world;
	int i;

	for (i = 0; w->order[i] >= 0; i++)
		continue;
	d->live = d->joined = true;
	board_joined(d->board);
	w->order[i] = (int)(d - w->daemons);
	pump(w);
}

/* What its board says is in the queue is there, for all that follow. */
static void
note_safe(struct daemon *d)
{
	char key[32];

	for (int n = 0; n <= d->world->requests; n++) {
		struct known *known = &d->known[n];

		(void)snprintf(key, sizeof(key), "job/%d", n);
		if (!known->there || !known->owned ||
		    !board_is_settled(d->board, key))
			continue;
		d->world->safe[n].there = true;
		d->world->safe[n].request = known->request;
		d->world->safe[n].ended |= known->ended;
		if (d->world->safe[n].progress < known->progress)
			d->world->safe[n].progress = known->progress;
	}
}

static void
read_news(struct daemon *d)
{
	struct news *news = TAILQ_FIRST(&d->newses);
	const struct board_delivery delivery = {
		.tag = news->tag,
		.body = news->body,
		.len = news->body == NULL ? 0 : strlen(news->body),
		.user = news->trusted ? "dlo" : "eve",
		.trusted = news->trusted,
	};

	switch (news->kind) {
	case NEWS_MESSAGE:
		board_delivered(d->board, &delivery, d->world->now_ms);
		break;
	case NEWS_CONFIRM:
		board_confirmed(d->board, news->token, true, d->world->now_ms);
		break;
	case NEWS_LOST:
		board_lost(d->board);
		memset(d->known, 0, sizeof(d->known));
		d->joined = false;
		break;
	}
	news_free(d, news);
	if (d->joined)
		note_safe(d);
}

/* It acts on a job, if it has one. */
static void
act(struct daemon *d)
{
	int n = (int)roll(d->world, JOBS_MAX);

	for (int i = 0; i < JOBS_MAX; i++, n = (n + 1) % JOBS_MAX) {
		struct known *known = &d->known[n];

		if (!known->there || !known->owned || known->ended)
			continue;
		check_alone(d, n);
		known->progress++;
		known->ended = roll(d->world, 8) == 0;
		put(d, n);
		note_safe(d);
		return;
	}
}

static void
ask(struct world *w)
{
	char body[64];

	(void)snprintf(body, sizeof(body), "{\"request\": %d}", ++w->requests);
	publish(w, body, false);
}

static void
forge(struct world *w)
{
	static const char *const forged[] = {
		"",
		"[]",
		"{",
		"{\"kind\":\"hello\",\"v\":1,\"writer\":\"x\"}",
		"{\"v\":1,\"kind\":\"state\",\"key\":\"job/1\",\"epoch\":99999,"
		"\"version\":1,\"writer\":\"eve\",\"ended_at\":1,\"data\":{}}",
		"{\"v\":1,\"kind\":\"state\",\"key\":\"job/399\",\"epoch\":1,"
		"\"version\":1,\"writer\":\"eve\",\"ended_at\":0,\"data\":{}}",
		"{\"kind\":7}",
		"{\"kind\":\"marker\",\"v\":1,\"writer\":\"\"}",
	};

	publish(w, forged[roll(w, array_len(forged))], false);
}

/* One thing happens. */
static void
step(struct world *w)
{
	struct daemon *d = &w->daemons[roll(w, DAEMONS)];

	switch (roll(w, w->calm ? 40 : 100)) {
	case 0 ... 14:
		if (!TAILQ_EMPTY(&d->newses) && !d->hung)
			read_news(d);
		return;
	case 15 ... 29:
		if (d->live && !TAILQ_EMPTY(&d->sents))
			read_sent(d);
		return;
	case 30 ... 34:
		if (!d->hung)
			act(d);
		return;
	case 35 ... 36:
		if (!d->joined && !d->hung)
			join(d);
		return;
	case 37 ... 38:
		w->now_ms += w->calm ? 1 : (int64_t)roll(w, 2000);
		if (!d->hung)
			board_tick(d->board, w->now_ms, w->now_ms);
		return;
	case 39:
		if (!TAILQ_EMPTY(&w->late))
			arrive_late(w);
		return;
	case 40 ... 44:
		if (w->requests < 60)
			ask(w);
		return;
	case 45:
		if (d->live)
			cut(d);
		return;
	case 46:
		kill_daemon(d);
		return;
	case 47:
		d->hung = !d->hung;
		return;
	case 48:
		forge(w);
		return;
	case 49 ... 59:
		if (!TAILQ_EMPTY(&d->newses))
			read_news(d);
		return;
	default:
		if (d->live && !TAILQ_EMPTY(&d->sents))
			read_sent(d);
		return;
	}
}

static struct world *
world_new(uint64_t seed)
{
	struct world *w = xcalloc(1, sizeof(*w));

	w->random = seed * 0x9e3779b97f4a7c15 + 1;
	w->now_ms = 1000;
	TAILQ_INIT(&w->ready);
	TAILQ_INIT(&w->late);
	for (int i = 0; i < DAEMONS; i++) {
		struct daemon *d = &w->daemons[i];

		w->order[i] = -1;
		d->world = w;
		TAILQ_INIT(&d->unacked);
		TAILQ_INIT(&d->sents);
		TAILQ_INIT(&d->newses);
		start(d);
	}
	return w;
}

static void
items_clear(struct items *items)
{
	struct item *item;

	while ((item = TAILQ_FIRST(items)) != NULL) {
		TAILQ_REMOVE(items, item, entry);
		item_free(item);
	}
}

static void
world_free(struct world *w)
{
	for (int i = 0; i < DAEMONS; i++) {
		struct daemon *d = &w->daemons[i];

		board_free(d->board);
		while (!TAILQ_EMPTY(&d->newses))
			news_free(d, TAILQ_FIRST(&d->newses));
		while (!TAILQ_EMPTY(&d->sents))
			sent_free(d, TAILQ_FIRST(&d->sents));
		items_clear(&d->unacked);
	}
	items_clear(&w->ready);
	items_clear(&w->late);
	free(w);
}

static bool
is_at_rest(const struct world *w)
{
	if (!TAILQ_EMPTY(&w->ready) || !TAILQ_EMPTY(&w->late))
		return false;
	for (int i = 0; i < DAEMONS; i++) {
		const struct daemon *d = &w->daemons[i];

		if (!TAILQ_EMPTY(&d->newses) || !TAILQ_EMPTY(&d->sents) ||
		    !d->joined)
			return false;
		for (int n = 0; n < JOBS_MAX; n++) {
			if (d->known[n].there && !d->known[n].ended)
				return false;
		}
	}
	return true;
}

static void
settle(struct world *w)
{
	w->calm = true;
	for (int i = 0; i < DAEMONS; i++)
		w->daemons[i].hung = false;
	for (int i = 0; i < 100000 && (i % 100 != 0 || !is_at_rest(w)); i++)
		step(w);
	assert_true(is_at_rest(w));
}

static size_t
count_unacked(const struct daemon *d)
{
	const struct item *item;
	size_t count = 0;

	TAILQ_FOREACH(item, &d->unacked, entry)
		count++;
	return count;
}

/* Each request has become one job, which has ended; one copy is left of it. */
static void
check_end(struct world *w)
{
	struct daemon *d = consumer(w);
	size_t jobs = 0;

	assert_non_null(d);
	assert_true(d->active);
	for (int r = 1; r <= w->requests; r++) {
		assert_true(d->known[r].there);
		assert_true(d->known[r].ended);
		jobs++;
	}
	/* And the lease. */
	assert_int_equal(count_unacked(d), jobs + 1);
	assert_int_equal(board_held(d->board), jobs + 1);
}

static void
interleavings(void **state)
{
	const char *count = getenv("DLO_TEST_BOARDS");
	uint64_t seeds = count != NULL ? strtoull(count, NULL, 10) : 100;

	(void)state;
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		struct world *w = world_new(seed);

		for (int i = 0; i < 12000; i++)
			step(w);
		settle(w);
		check_end(w);
		world_free(w);
	}
}

/* Runs until nothing moves. */
static void
rest(struct world *w)
{
	bool moved = true;

	while (moved) {
		moved = false;
		for (int i = 0; i < DAEMONS; i++) {
			struct daemon *d = &w->daemons[i];

			while (d->live && !TAILQ_EMPTY(&d->sents)) {
				read_sent(d);
				moved = true;
			}
			while (!TAILQ_EMPTY(&d->newses)) {
				read_news(d);
				moved = true;
			}
		}
	}
}

static void
the_first_is_active_and_the_next_takes_over(void **state)
{
	struct world *w = world_new(1);
	struct daemon *a = &w->daemons[0], *b = &w->daemons[1];

	(void)state;
	w->calm = true;
	join(a);
	join(b);
	rest(w);
	assert_int_equal(board_state(a->board), BOARD_ACTIVE);
	assert_int_equal(board_state(b->board), BOARD_STANDBY);
	/* The newer hello is the lease. */
	assert_int_equal(count_unacked(a), 1);
	ask(w);
	rest(w);
	assert_true(a->known[1].owned);
	cut(a);
	rest(w);
	assert_int_equal(board_state(a->board), BOARD_OFF);
	assert_int_equal(board_state(b->board), BOARD_ACTIVE);
	assert_true(b->known[1].owned);
	world_free(w);
}

static void
stamp_of(const struct daemon *d, const char *key, uint64_t *epoch,
    uint64_t *version)
{
	assert_true(board_stamp(d->board, key, epoch, version));
}

static void
what_is_held_is_written_anew(void **state)
{
	struct world *w = world_new(1);
	struct daemon *a = &w->daemons[0];
	uint64_t epoch, version, lease;

	(void)state;
	w->calm = true;
	join(a);
	ask(w);
	rest(w);
	stamp_of(a, "job/1", &epoch, &version);
	assert_true(epoch == 1 && version == 1);
	lease = TAILQ_FIRST(&a->unacked)->place;
	w->now_ms += 5 * 60 * 1000;
	board_tick(a->board, w->now_ms, w->now_ms);
	rest(w);
	stamp_of(a, "job/1", &epoch, &version);
	assert_true(epoch == 1 && version == 2);
	assert_int_equal(count_unacked(a), 2);
	assert_true(TAILQ_FIRST(&a->unacked)->place > lease);
	world_free(w);
}

static void
ended_ones_are_kept_for_a_while(void **state)
{
	struct world *w = world_new(1);
	struct daemon *a = &w->daemons[0];

	(void)state;
	w->calm = true;
	join(a);
	for (int i = 0; i < 3; i++) {
		ask(w);
		rest(w);
		a->known[i + 1].ended = true;
		w->now_ms += 1000;
		put(a, i + 1);
		rest(w);
	}
	board_tick(a->board, w->now_ms, w->now_ms);
	assert_int_equal(board_held(a->board), 4);
	w->now_ms += INT64_C(7) * 24 * 3600 * 1000 - 1500;
	board_tick(a->board, w->now_ms, w->now_ms);
	rest(w);
	assert_false(a->known[1].there);
	assert_true(a->known[2].there && a->known[3].there);
	assert_int_equal(count_unacked(a), 3);
	world_free(w);
}

static void
the_oldest_of_too_many_go(void **state)
{
	struct world *w = world_new(1);
	struct daemon *a = &w->daemons[0];

	(void)state;
	w->calm = true;
	w->ended_max = 2;
	kill_daemon(a);
	join(a);
	for (int i = 1; i <= 5; i++) {
		ask(w);
		rest(w);
		a->known[i].ended = i != 1;
		w->now_ms += 1000;
		put(a, i);
		rest(w);
	}
	board_tick(a->board, w->now_ms, w->now_ms);
	rest(w);
	/* One that has not ended stays. */
	assert_true(a->known[1].there);
	assert_false(a->known[2].there || a->known[3].there);
	assert_true(a->known[4].there && a->known[5].there);
	assert_int_equal(count_unacked(a), 4);
	world_free(w);
}

/* Of one that was active once, and wrote more than anybody has seen. */
static void
a_late_copy_changes_nothing(void **state)
{
	static const char late[] =
	    "{\"v\":1,\"kind\":\"state\",\"key\":\"job/1\",\"epoch\":7,"
	    "\"version\":9,\"writer\":\"z\",\"ended_at\":0,"
	    "\"data\":{\"request\":1,\"progress\":0}}";
	struct world *w = world_new(1);
	struct daemon *a = &w->daemons[0], *b = &w->daemons[1];
	uint64_t epoch, version;

	(void)state;
	w->calm = true;
	join(a);
	join(b);
	ask(w);
	rest(w);
	a->known[1].progress = 5;
	a->known[1].ended = true;
	put(a, 1);
	rest(w);
	assert_true(w->safe[1].ended);
	publish(w, late, true);
	rest(w);
	stamp_of(a, "job/1", &epoch, &version);
	assert_true(epoch == 8 && version == 10);
	assert_int_equal(count_unacked(a), 2);
	/* on_found looks at what the next one is told. */
	kill_daemon(a);
	rest(w);
	assert_true(b->known[1].ended);
	assert_int_equal(b->known[1].progress, 5);
	world_free(w);
}

/* Behind a broker's back: what we write does not come back to us. */
static void
a_write_that_goes_elsewhere_ends_the_session(void **state)
{
	struct world *w = world_new(1);
	struct daemon *a = &w->daemons[0], *b = &w->daemons[1];

	(void)state;
	w->calm = true;
	join(a);
	join(b);
	ask(w);
	rest(w);
	/* The other one is served now, and nobody says so. */
	w->unfair = true;
	w->order[0] = 1;
	w->order[1] = 0;
	act(a);
	rest(w);
	w->now_ms += 59 * 1000;
	board_tick(a->board, w->now_ms, w->now_ms);
	assert_false(w->left);
	w->now_ms += 2 * 1000;
	board_tick(a->board, w->now_ms, w->now_ms);
	assert_true(w->left);
	rest(w);
	assert_int_equal(board_state(a->board), BOARD_OFF);
	assert_int_equal(board_state(b->board), BOARD_ACTIVE);
	assert_true(b->known[1].owned);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_is_active_and_the_next_takes_over),
		cmocka_unit_test(what_is_held_is_written_anew),
		cmocka_unit_test(ended_ones_are_kept_for_a_while),
		cmocka_unit_test(the_oldest_of_too_many_go),
		cmocka_unit_test(a_late_copy_changes_nothing),
		cmocka_unit_test(a_write_that_goes_elsewhere_ends_the_session),
		cmocka_unit_test(interleavings),
	};

	log_open(getenv("DLO_TEST_DEBUG") != NULL ? LOG_LEVEL_DEBUG
						  : LOG_LEVEL_ERROR,
	    LOG_FORMAT_LOGFMT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
