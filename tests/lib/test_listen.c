/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/compiler.h"
#include "lib/listen.h"

struct world {
	char dir[64], path[96], address[128];
};

static int
set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	strcpy(world->dir, "/tmp/dlo-test-listen-XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	snprintf(world->path, sizeof(world->path), "%s/sock", world->dir);
	snprintf(world->address, sizeof(world->address), "unix:%s",
	    world->path);
	*state = world;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *world = *state;

	(void)unlink(world->path); /* mostly gone already */
	assert_int_equal(rmdir(world->dir), 0);
	free(world);
	return 0;
}

static void
expect_refused(const char *address, const char *why)
{
	struct listen listener;
	char *error = NULL;

	assert_int_equal(listen_open(&listener, address, 0600, &error), -1);
	assert_non_null(strstr(error, "cannot listen on "));
	assert_non_null(strstr(error, address));
	if (strstr(error, why) == NULL)
		fail_msg("'%s' does not say '%s'", error, why);
	free(error);
}

static void
open_ok(struct listen *listener, const char *address, unsigned mode)
{
	char *error = NULL;

	if (listen_open(listener, address, mode, &error) == -1)
		fail_msg("%s", error);
	assert_null(error);
}

static bool
answers(const struct world *world)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), rc;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", world->path);
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	close(fd);
	return rc == 0;
}

static void
listens_on_tcp(void **state)
{
	struct listen first, none;
	char address[32];

	(void)state;
	open_ok(&first, "127.0.0.1:0", 0600);
	assert_int_not_equal(first.port, 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u",
	    (unsigned)first.port);
	expect_refused(address, "Address already in use");
	listen_close(&first);
	open_ok(&first, address, 0600);
	listen_close(&first);
	listen_close(&first);
	open_ok(&first, "localhost:0", 0600);
	assert_int_not_equal(first.port, 0);
	listen_close(&first);
	open_ok(&none, "none", 0600);
	assert_int_equal(none.fd, -1);
	assert_int_equal(none.port, 0);
	listen_close(&none);
}

static void
refuses_what_is_no_address(void **state)
{
	static const char *const addresses[] = { "", "127.0.0.1", ":80",
		"::1:80", "127.0.0.1:65536", "127.0.0.1:x", "tcp://a:1",
		"/run/x.sock", "None" };
	size_t i;

	(void)state;
	for (i = 0; i < array_len(addresses); i++)
		expect_refused(addresses[i], "not HOST:PORT");
	expect_refused("192.0.2.1:80", "Cannot assign requested address");
	expect_refused("unix:relative.sock", "must begin with /");
	expect_refused("unix:", "must begin with /");
	expect_refused("unix:/nonexistent/dlo.sock",
	    "No such file or directory");
}

static void
a_unix_socket_has_its_mode_and_goes(void **state)
{
	struct world *world = *state;
	struct listen listener;
	struct stat st;

	umask(0);
	open_ok(&listener, world->address, 0640);
	assert_int_equal(stat(world->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_true(answers(world));
	listen_close(&listener);
	assert_int_equal(stat(world->path, &st), -1);
}

static void
a_stale_unix_socket_is_replaced(void **state)
{
	struct world *world = *state;
	struct listen first, second;
	struct stat st;

	open_ok(&first, world->address, 0600);
	expect_refused(world->address, "another process answers there");
	assert_true(answers(world));
	/* As a kill -9 leaves it. */
	close(first.fd);
	first.fd = -1;
	assert_false(answers(world));
	open_ok(&second, world->address, 0600);
	assert_true(answers(world));
	/* The first one's end must not take the second one's file. */
	listen_close(&first);
	assert_int_equal(stat(world->path, &st), 0);
	listen_close(&second);
}

static void
another_file_is_left_alone(void **state)
{
	struct world *world = *state;
	FILE *file = fopen(world->path, "w");

	assert_non_null(file);
	assert_int_equal(fclose(file), 0);
	expect_refused(world->address, "not a socket");
	assert_int_equal(access(world->path, F_OK), 0);
}

static void
a_long_path_is_refused(void **state)
{
	char address[200];
	struct listen listener;

	(void)state;
	/* 107 bytes fit, in a folder that is there. */
	strcpy(address, "unix:/tmp/");
	memset(address + 10, 'x', 107 - 5);
	address[5 + 107] = '\0';
	open_ok(&listener, address, 0600);
	listen_close(&listener);
	memcpy(address + 5 + 107, "x", 2);
	expect_refused(address, "longer than 107 bytes");
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listens_on_tcp),
		cmocka_unit_test(refuses_what_is_no_address),
		in_world(a_unix_socket_has_its_mode_and_goes),
		in_world(a_stale_unix_socket_is_replaced),
		in_world(another_file_is_left_alone),
		cmocka_unit_test(a_long_path_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
