/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Names ending in .test are answered here instead of by the resolver. */
#include "tests/unit.h"

#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/compiler.h"
#include "lib/dial.h"
#include "lib/loop_libevent.h"

static sem_t slow_may_end, slow_has_ended;

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *,
    struct addrinfo **);

/* 127.0.0.2 first, where nobody listens. */
static int
two_addresses(getaddrinfo_fn *real, const struct addrinfo *hints,
    struct addrinfo **list)
{
	int rc = real("127.0.0.2", NULL, hints, list);

	return rc != 0 ? rc : real("127.0.0.1", NULL, hints, &(*list)->ai_next);
}

int
getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
    struct addrinfo **list)
{
	getaddrinfo_fn *real;

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (hints->ai_flags & AI_NUMERICHOST)
		return real(host, service, hints, list);
	if (strcmp(host, "none.test") == 0)
		return EAI_NONAME;
	if (strcmp(host, "two.test") == 0)
		return two_addresses(real, hints, list);
	if (strcmp(host, "slow.test") == 0) {
		sem_wait(&slow_may_end);
		sem_post(&slow_has_ended);
		return EAI_AGAIN;
	}
	return real(host, service, hints, list);
}

struct world {
	struct loop *loop;
	struct dial *dial;
	int listener, fd;
	uint16_t port;
	char error[200];
};

/* A listener on 127.0.0.1; one whose backlog is full never answers. */
static int
set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);

	world->loop = loop_libevent_new();
	world->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(world->listener, (struct sockaddr *)&addr, len),
	    0);
	assert_int_equal(listen(world->listener, 0), 0);
	getsockname(world->listener, (struct sockaddr *)&addr, &len);
	world->port = ntohs(addr.sin_port);
	world->fd = -1;
	*state = world;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *world = *state;

	dial_close(world->dial);
	loop_free(world->loop);
	if (world->fd != -1)
		close(world->fd);
	close(world->listener);
	free(world);
	return 0;
}

static void
answered(void *arg, int fd, const char *error)
{
	struct world *world = arg;

	assert_true((fd == -1) == (error != NULL));
	world->fd = fd;
	if (error != NULL)
		strncpy(world->error, error, sizeof(world->error) - 1);
	dial_close(world->dial);
	world->dial = NULL;
	loop_stop(world->loop);
}

static void
dial(struct world *world, const char *host, uint16_t port, int64_t timeout_ms)
{
	world->dial =
	    dial_open(world->loop, host, port, timeout_ms, answered, world);
	loop_run(world->loop);
}

static void
connects_to_names_and_addresses(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost",
		"two.test" };
	struct world *world = *state;
	struct sockaddr_in addr = { 0 };
	socklen_t len = sizeof(addr);
	int accepted;
	size_t i;

	for (i = 0; i < array_len(hosts); i++) {
		dial(world, hosts[i], world->port, 10000);
		assert_string_equal(world->error, "");
		assert_int_equal(getpeername(world->fd,
				     (struct sockaddr *)&addr, &len),
		    0);
		assert_int_equal(ntohs(addr.sin_port), world->port);
		close(world->fd);
		accepted = accept(world->listener, NULL, NULL);
		assert_true(accepted >= 0);
		close(accepted);
	}
	world->fd = -1;
}

/* A port that was free a moment ago. */
static uint16_t
closed_port(struct world *world)
{
	close(world->listener);
	world->listener = -1;
	return world->port;
}

static void
says_what_it_tried(void **state)
{
	struct world *world = *state;
	uint16_t port = closed_port(world);
	char expected[200];

	dial(world, "127.0.0.1", port, 10000);
	snprintf(expected, sizeof(expected),
	    "cannot connect to 127.0.0.1 port %u: Connection refused",
	    (unsigned)port);
	assert_string_equal(world->error, expected);
	dial(world, "two.test", port, 10000);
	snprintf(expected, sizeof(expected),
	    "cannot connect to two.test port %u: 127.0.0.2: Connection "
	    "refused; 127.0.0.1: Connection refused",
	    (unsigned)port);
	assert_string_equal(world->error, expected);
	dial(world, "none.test", port, 10000);
	assert_string_equal(world->error,
	    "cannot resolve none.test: Name or service not known");
	/* A broadcast address cannot be tried at all. */
	dial(world, "255.255.255.255", port, 10000);
	assert_non_null(
	    strstr(world->error, "cannot connect to 255.255.255.255 port"));
}

static void
does_not_wait_for_ever(void **state)
{
	struct world *world = *state;
	int fds[4];
	size_t i;
	char expected[200];

	for (i = 0; i < array_len(fds); i++) {
		struct sockaddr_in addr = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
			.sin_port = htons(world->port) };

		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fds[i], (struct sockaddr *)&addr, sizeof(addr));
	}
	dial(world, "127.0.0.1", world->port, 50);
	snprintf(expected, sizeof(expected),
	    "cannot connect to 127.0.0.1 port %u: timed out",
	    (unsigned)world->port);
	assert_string_equal(world->error, expected);
	dial(world, "two.test", world->port, 50);
	snprintf(expected, sizeof(expected),
	    "cannot connect to two.test port %u: 127.0.0.2: Connection "
	    "refused; 127.0.0.1: timed out",
	    (unsigned)world->port);
	assert_string_equal(world->error, expected);
	for (i = 0; i < array_len(fds); i++)
		close(fds[i]);
}

static void
a_hanging_resolver_is_left_behind(void **state)
{
	struct world *world = *state;

	dial(world, "slow.test", world->port, 20);
	assert_string_equal(world->error,
	    "cannot resolve slow.test: timed out after 20ms");
	/* It ends after everybody has gone; the lookup is its own then. */
	sem_post(&slow_may_end);
	sem_wait(&slow_has_ended);
}

static void
ends_at_any_time(void **state)
{
	struct world *world = *state;
	struct dial *dials[4];
	size_t i;

	dials[0] = dial_open(world->loop, "127.0.0.1", world->port, 1000,
	    answered, world);
	dials[1] = dial_open(world->loop, "slow.test", world->port, 1000,
	    answered, world);
	dials[2] = dial_open(world->loop, "none.test", world->port, 1000,
	    answered, world);
	dials[3] = dial_open(world->loop, "localhost", world->port, 1000,
	    answered, world);
	for (i = 0; i < array_len(dials); i++) {
		dial_close(dials[i]);
		dial_close(dials[i]);
	}
	dial(world, "127.0.0.1", closed_port(world), 1000);
	assert_non_null(strstr(world->error, "refused"));
	sem_post(&slow_may_end);
	sem_wait(&slow_has_ended);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(connects_to_names_and_addresses),
		in_world(says_what_it_tried),
		in_world(does_not_wait_for_ever),
		in_world(a_hanging_resolver_is_left_behind),
		in_world(ends_at_any_time),
	};

	sem_init(&slow_may_end, 0, 0);
	sem_init(&slow_has_ended, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
