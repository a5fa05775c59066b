/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/sim/reloads.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/xalloc.h"
#include "tests/sim/sim_loop.h"

#define EVERY_MS 6000 /* at most */

/* What a configuration says; the first is the base. */
struct variant {
	const char *url;
	const char *downstream; /* of the pipeline; its only one */
	const char *retry;
	const char *dedup; /* NULL: that of the kind */
	unsigned failures, prefetch, concurrency;
	const char *extra; /* more pipelines */
	bool gone;	   /* and not this one */
	const char *rest;
};

#define CONSUMER "consumer: {hold_max: 1m, drain_timeout: 20s}\n"
#define EXTRA \
	"  extra:\n" \
	"    queue: {name: extra, declare: {type: quorum}}\n" \
	"    downstream: payments\n"

static const struct variant variants[] = {
	{ "http://sim/", "payments", "cap: 30s", NULL, 5, 16, 8, "", false,
	    CONSUMER },
	{ "http://sim/", "payments", "first: 2s, cap: 20s, attempts: 5", NULL,
	    5, 5, 2, "", false, CONSUMER },
	{ "http://sim/two", "payments", "cap: 30s", "message_id", 7, 16, 8, "",
	    false, CONSUMER },
	{ "http://sim/", "others", "cap: 30s, hold: 5s", "none", 5, 40, 8, "",
	    false, CONSUMER },
	{ "http://sim/", "payments", "cap: 30s", NULL, 5, 16, 8, "", false,
	    CONSUMER "features: {consume: false}\n" },
	{ "http://sim/", "payments", "cap: 55s, factor: 3", NULL, 5, 16, 3, "",
	    false,
	    "consumer: {hold_max: 1m, drain_timeout: 10s, "
	    "max_inflight: 64k}\n" },
	{ "http://sim/", "payments", "cap: 30s", NULL, 5, 16, 8, EXTRA, false,
	    CONSUMER },
	{ "http://sim/", "payments", "cap: 30s", NULL, 5, 16, 8, "", false,
	    CONSUMER "features: {retry: false}\n" },
	{ "http://sim/", "payments", "", NULL, 5, 16, 8, EXTRA, true,
	    CONSUMER },
};

#define VARIANTS array_len(variants)

struct reloads {
	struct loop *loop;
	struct process *const *consumers;
	size_t count;
	struct reloads_kind kind;
	struct loop_timer *timer;
	bool ending;
	unsigned begun;
};

static void
write_pipeline(int fd, const struct reloads_kind *kind, const struct variant *v)
{
	static const char rules[] =
	    "      rules:\n"
	    "        - {class: http.connect, attempts: 3, cap: 1m}\n"
	    "        - {class: http, first: 2s, cap: 2m}\n";
	const char *dedup = v->dedup;

	if (dedup == NULL)
		dedup = kind->more ? "message_id" : "none";
	dprintf(fd,
	    "  orders:\n"
	    "    queue: {name: orders, declare: {type: quorum}}\n"
	    "    downstream: %s\n"
	    "    prefetch: %u\n"
	    "    concurrency: %u\n"
	    "    order: %s\n"
	    "    dedup: %s\n"
	    "    retry:\n"
	    "%s"
	    "      deadline: %s\n",
	    v->downstream, kind->ordered ? 16 : v->prefetch, v->concurrency,
	    kind->ordered ? "strict" : "none", dedup,
	    kind->outage ? "      attempts: 10000\n" : "",
	    kind->ordered ? "1m" : "24h");
	for (const char *at = v->retry; *at != '\0';) {
		size_t len = strcspn(at, ",");

		dprintf(fd, "      %.*s\n", (int)len, at);
		at += len;
		at += strspn(at, ", ");
	}
	dprintf(fd,
	    "%s"
	    "    redrive:\n"
	    "      when: [healthy, {every: 40s}]\n"
	    "      cooldown: 5s\n"
	    "      max_redrives: 2\n"
	    "      only: {}\n",
	    kind->more && !kind->outage ? rules : "");
}

static void
write_conf(int fd, const struct reloads_kind *kind, const struct variant *v)
{
	dprintf(fd,
	    "version: 1\n"
	    "broker: {user: guest, password: guest}\n"
	    "downstreams:\n"
	    "  %s:\n"
	    "    http: {url: \"%s\"}\n"
	    "    probe: {tcp: {address: \"sim:1\"}}\n"
	    "    breaker: {failures: %u}\n"
	    "pipelines:\n",
	    v->downstream, v->url, kind->calm ? 1000 : v->failures);
	if (!v->gone)
		write_pipeline(fd, kind, v);
	dprintf(fd, "%s%s", v->extra, v->rest);
}

static struct conf *
read_conf(const struct reloads_kind *kind, const struct variant *v)
{
	struct conf_errors errors = { 0 };
	char path[] = "sim-XXXXXX.yaml";
	struct conf *conf;
	int fd = mkstemps(path, 5);

	if (fd == -1)
		abort();
	write_conf(fd, kind, v);
	close(fd);
	conf = conf_load(path, CONF_ROLE_CONSUMER | CONF_ROLE_REDRIVE, &errors);
	if (conf == NULL) {
		conf_errors_print(&errors, stderr);
		abort();
	}
	unlink(path);
	conf_errors_clear(&errors);
	return conf;
}

static const struct conf *
conf_of(const struct reloads_kind *kind, size_t i)
{
	static struct conf *all[2][2][2][2][VARIANTS];
	struct conf **kept =
	    &all[kind->calm][kind->ordered][kind->outage][kind->more][i];

	if (*kept == NULL)
		*kept = read_conf(kind, &variants[i]);
	return *kept;
}

const struct conf *
reloads_base(const struct reloads_kind *kind)
{
	return conf_of(kind, 0);
}

static void
on_time(void *arg)
{
	struct reloads *r = arg;
	size_t i = 0, which = (size_t)sim_below(r->loop, r->count);

	if (!r->ending)
		i = (size_t)sim_below(r->loop, VARIANTS);
	r->begun += process_reload(r->consumers[which], conf_of(&r->kind, i));
	loop_timer_start(r->loop, r->timer,
	    (int64_t)sim_below(r->loop, EVERY_MS));
}

struct reloads *
reloads_new(struct loop *loop, struct process *const *consumers, size_t count,
    const struct reloads_kind *kind)
{
	struct reloads *r = xcalloc(1, sizeof(*r));

	r->loop = loop;
	r->consumers = consumers;
	r->count = count;
	r->kind = *kind;
	r->timer = loop_timer_new(loop, on_time, r);
	return r;
}

void
reloads_free(struct reloads *r)
{
	loop_timer_free(r->loop, r->timer);
	free(r);
}

void
reloads_start(struct reloads *r)
{
	loop_timer_start(r->loop, r->timer, EVERY_MS);
}

void
reloads_end(struct reloads *r)
{
	r->ending = true;
}

unsigned
reloads_count(const struct reloads *r)
{
	return r->begun;
}
