/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * When the automatic jobs of one pipeline start. Pure: it is told the time,
 * the health and the ends of jobs, and says when a job is to start.
 *
 * One job at a time; what fires meanwhile, or within the cooldown, or while
 * the downstream is not healthy, is kept as one pending job (triggers merge):
 * a job takes only what was dead at its start, so a trigger during a job asks
 * for another one.
 */
#ifndef DLO_REDRIVE_TRIGGER_H
#define DLO_REDRIVE_TRIGGER_H

#include <stdbool.h>
#include <stdint.h>

struct conf_redrive;

/* Why a job starts; may be ORed. */
enum {
	TRIGGER_HEALTHY = 1, /* the downstream became healthy */
	TRIGGER_EVERY = 2,
	TRIGGER_CRON = 4,
};

struct trigger {
	const struct conf_redrive *conf;
	bool enabled;
	bool healthy;
	bool running;
	unsigned pending;
	int64_t start_ms;     /* multiples of every count from here */
	int64_t seen_ms;      /* up to here they have been seen */
	int64_t seen_wall_ms; /* the same of crontab times; wall clock */
	int64_t cool_ms;      /* no job before */
};

/*
 * Off until trigger_enable. The health is bad until trigger_health; times are
 * monotonic. The configuration must outlive it.
 */
void trigger_init(struct trigger *, const struct conf_redrive *,
    int64_t now_ms);
/* Tells how the downstream is; only changes count. */
void trigger_health(struct trigger *, bool healthy);
/*
 * The reasons if a job is to start now (it counts as running from here), else
 * 0. To be asked after each change and at trigger_due_ms.
 */
unsigned trigger_take(struct trigger *, int64_t now_ms, int64_t wall_ms);
/* The job has ended, however it did. */
void trigger_ended(struct trigger *, int64_t now_ms);
/* The job could not be made: the reasons stay. */
void trigger_put_back(struct trigger *, unsigned reasons);
/*
 * On: jobs may start. What `every` or a crontab would have started before is
 * another daemon's; so is a change to healthy, if it was `handled`. Off: no
 * more.
 */
void trigger_enable(struct trigger *, int64_t now_ms, int64_t wall_ms,
    bool handled);
void trigger_disable(struct trigger *);
/*
 * When trigger_take may have another answer; INT64_MAX: after a change. With a
 * crontab it is to be asked once a minute: the wall clock may be set.
 */
int64_t trigger_due_ms(const struct trigger *, int64_t now_ms, int64_t wall_ms);
/* "healthy", "every", "healthy+every+cron", …; "" for 0. */
const char *trigger_name(unsigned reasons);

#endif
