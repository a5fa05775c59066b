/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/trial.h"

#include <assert.h>

/*
 * The ack of the last other suspect is sent by then, and read by the broker:
 * what a process that dies had sent just before may be lost.
 */
#define ALONE_MS 1000

#define TICK_MS 1000

/*
 * Who is put off comes back after 2 s to 10 s, or later when there are many
 * others: so that most of them find it to be their turn.
 */
#define PUT_OFF_MS	      2000
#define PUT_OFF_SPREAD_MS     8000
#define PUT_OFF_EACH_MS	      2000
#define PUT_OFF_SPREAD_MAX_MS 120000

/* The rest after a turn, as a multiple of the time that it took. */
#define REST	    2
#define REST_MAX_MS 60000

/* FNV-1a, 64 bits. */
#define HASH_BASIS UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)

static void
on_timer(void *arg)
{
	struct trial *t = arg;

	loop_timer_start(t->loop, t->timer, TICK_MS);
	t->changed(t->arg);
}

void
trial_init(struct trial *t, struct loop *loop, void (*changed)(void *arg),
    void *arg)
{
	*t = (struct trial){
		.loop = loop,
		.changed = changed,
		.arg = arg,
		.timer = loop_timer_new(loop, on_timer, t),
	};
}

static void
ignore_change(void *arg)
{
	(void)arg;
}

void
trial_clear(struct trial *t)
{
	t->changed = ignore_change;
	loop_timer_free(t->loop, t->timer);
	t->timer = NULL;
}

void
trial_enter(struct trial *t)
{
	t->suspects++;
}

void
trial_leave(struct trial *t)
{
	assert(t->suspects > 0);
	t->suspects--;
	t->alone_from_ms = loop_now_ms(t->loop) + ALONE_MS;
}

void
trial_receive(struct trial *t, int more)
{
	assert(more >= 0 || t->receiving > 0);
	t->receiving += (unsigned)more;
	if (more < 0 && trial_is_sealed(t))
		t->changed(t->arg);
}

bool
trial_take(struct trial *t, const void *suspect)
{
	int64_t now_ms = loop_now_ms(t->loop);

	if (t->suspect != NULL)
		return t->suspect == suspect;
	if (now_ms < t->rest_until_ms)
		return false;
	t->suspect = suspect;
	t->others = 0;
	t->taken_ms = now_ms;
	t->sealed_ms = -1;
	loop_timer_start(t->loop, t->timer, TICK_MS);
	return true;
}

void
trial_yield(struct trial *t, const void *suspect)
{
	int64_t now_ms = loop_now_ms(t->loop);
	int64_t rest_ms = REST * (now_ms - t->taken_ms);

	if (t->suspect != suspect)
		return;
	t->suspect = NULL;
	t->rest_until_ms =
	    now_ms + (rest_ms < REST_MAX_MS ? rest_ms : REST_MAX_MS);
	if (t->timer != NULL)
		loop_timer_stop(t->loop, t->timer);
	t->changed(t->arg);
}

int64_t
trial_put_off_ms(struct trial *t)
{
	int64_t spread_ms = ++t->others * PUT_OFF_EACH_MS;

	if (spread_ms < PUT_OFF_SPREAD_MS)
		spread_ms = PUT_OFF_SPREAD_MS;
	if (spread_ms > PUT_OFF_SPREAD_MAX_MS)
		spread_ms = PUT_OFF_SPREAD_MAX_MS;
	return PUT_OFF_MS +
	    (int64_t)(loop_random_unit(t->loop) * (double)spread_ms);
}

void
trial_seal(struct trial *t)
{
	if (t->sealed_ms >= 0)
		return;
	t->sealed_ms = loop_now_ms(t->loop);
	t->changed(t->arg);
}

bool
trial_is_sealed(const struct trial *t)
{
	return t->suspect != NULL && t->sealed_ms >= 0 && !trial_is_late(t);
}

bool
trial_is_late(const struct trial *t)
{
	int64_t since_ms = t->sealed_ms >= 0 ? t->sealed_ms : t->taken_ms;

	return t->suspect != NULL &&
	    loop_now_ms(t->loop) - since_ms >= TRIAL_SEAL_MS;
}

bool
trial_may_start(const struct trial *t)
{
	return trial_is_sealed(t) && t->suspects == 1 && t->receiving == 0 &&
	    loop_now_ms(t->loop) >= t->alone_from_ms;
}

static uint64_t
hash_id(const struct envelope *e)
{
	uint64_t hash = HASH_BASIS;

	for (size_t i = 0; i < e->id.len; i++)
		hash = (hash ^ e->id.ptr[i]) * HASH_PRIME;
	return hash == 0 ? 1 : hash;
}

/* The index of what is remembered; TRIAL_LOSSES: nothing. */
static unsigned
find_loss(const struct trial *t, uint64_t hash)
{
	unsigned i = 0;

	while (i < TRIAL_LOSSES && t->losses[i].hash != hash)
		i++;
	return i;
}

void
trial_lost(struct trial *t, const struct envelope *e)
{
	uint64_t hash = hash_id(e);
	unsigned i = find_loss(t, hash);

	if (i == TRIAL_LOSSES) {
		i = t->next_loss;
		t->next_loss = (i + 1) % TRIAL_LOSSES;
		t->losses[i] = (struct trial_loss){ .hash = hash };
	}
	t->losses[i].count++;
}

void
trial_settled(struct trial *t, const struct envelope *e)
{
	unsigned i = find_loss(t, hash_id(e));

	if (i < TRIAL_LOSSES)
		t->losses[i] = (struct trial_loss){ 0 };
}

int64_t
trial_deaths(const struct trial *t, const struct envelope *e)
{
	unsigned i = find_loss(t, hash_id(e));
	int64_t known = i < TRIAL_LOSSES ? t->losses[i].count : 0;

	return e->delivery_count > known ? e->delivery_count - known : 0;
}
