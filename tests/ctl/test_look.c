/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A broker that takes connections and says nothing, and one whose queues say
 * nothing of themselves: a look at them comes to an end, and says why.
 */
#include "tests/unit.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/look.h"
#include "lib/cli.h"
#include "lib/log.h"
#include "lib/xalloc.h"

/* As short as goes: nobody comes to answer. */
static const struct look_waits soon = { .answer_ms = 100, .told_ms = 1 };
/* However busy the machine is. */
static const struct look_waits told_soon = { .answer_ms = 60000, .told_ms = 1 };

static const struct conf_pipeline pipeline = {
	.name = "orders",
	.queue = "orders",
	.retry = { .cap_ms = 100 },
	.dead_letter = { "orders.dlq", "orders.parked", "orders.archive", 1000,
	    1 },
};

static struct {
	int fd; /* listens */
	struct conf_node node;
	char *url;
	struct conf conf;
} world;

static int
setup(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);

	(void)state;
	memset(&world, 0, sizeof(world));
	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	world.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(world.fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(world.fd, 16), 0);
	assert_int_equal(getsockname(world.fd, (struct sockaddr *)&address,
			     &len),
	    0);
	world.node =
	    (struct conf_node){ "127.0.0.1", ntohs(address.sin_port), false };
	world.url = xasprintf("http://127.0.0.1:%u", world.node.port);
	world.conf = (struct conf){
		.topology = { .prefix = "dlo" },
		.pipelines = &pipeline,
		.pipeline_count = 1,
		.topology_broker = {
			.nodes = &world.node,
			.node_count = 1,
			.vhost = "/",
			.user = "guest",
			.password = { .text = "guest" },
			.heartbeat_ms = 10000,
			.connect_timeout_ms = 100,
			.management = { .url = world.url },
		},
	};
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(world.fd);
	free(world.url);
	return 0;
}

/* Runs it with stderr in a file; what was said is in `said`. */
static int
look(struct look *l, const struct look_waits *waits, char *said, size_t space)
{
	FILE *file = tmpfile();
	int kept = dup(STDERR_FILENO), code;

	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	code = look_open(l, &world.conf, waits);
	dup2(kept, STDERR_FILENO);
	close(kept);
	rewind(file);
	said[fread(said, 1, space - 1, file)] = '\0';
	(void)fclose(file);
	return code;
}

/* The kernel takes the connections; neither HTTP nor AMQP is ever spoken. */
static void
a_silent_broker_is_given_up(void **state)
{
	char said[1024];
	struct look l;

	(void)state;
	assert_int_equal(look(&l, &soon, said, sizeof(said)), CLI_UNREACHABLE);
	assert_non_null(strstr(said, "dlo: "));
	assert_non_null(strstr(said, "check broker.nodes"));
	/* The management API was asked first, and is not what it fell over. */
	assert_non_null(strstr(l.sight.why_not, "timed out"));
	assert_false(l.sight.managed);
	look_close(&l);
	/* By AMQP alone. */
	world.conf.topology_broker.management.url = NULL;
	assert_int_equal(look(&l, &soon, said, sizeof(said)), CLI_UNREACHABLE);
	assert_non_null(strstr(said, "check broker.nodes"));
	look_close(&l);
}

static const char *
answer_to(const char *request)
{
	static const struct {
		const char *path, *body;
	} answers[] = {
		{ "GET /api/overview?", "{\"rabbitmq_version\":\"3.10.8\"}" },
		{ "GET /api/queues/%2F?",
		    "[{\"name\":\"orders\",\"type\":\"quorum\"}]" },
		{ "GET /api/queues/%2F/orders?", "{\"arguments\":{}}" },
	};

	for (size_t i = 0; i < array_len(answers); i++)
		if (strncmp(request, answers[i].path,
			strlen(answers[i].path)) == 0)
			return answers[i].body;
	return "[]";
}

/* One request a connection, as long as there are some. */
static void
serve(void)
{
	char request[4096];
	ssize_t got;
	int fd;

	/* Not longer than the test, however that ends. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((fd = accept(world.fd, NULL, NULL)) != -1) {
		size_t len = 0;

		request[0] = '\0';
		while (strstr(request, "\r\n\r\n") == NULL &&
		    (got = read(fd, request + len, sizeof(request) - 1 - len)) >
			0) {
			len += (size_t)got;
			request[len] = '\0';
		}
		(void)dprintf(fd,
		    "HTTP/1.1 200 OK\r\nConnection: close\r\n"
		    "Content-Length: %zu\r\n\r\n%s",
		    strlen(answer_to(request)), answer_to(request));
		close(fd);
	}
	_exit(0);
}

static void
a_silent_queue_is_not_waited_for_for_ever(void **state)
{
	const struct found_queue *queue;
	char said[1024];
	struct look l;
	pid_t child;

	(void)state;
	world.conf.topology_broker.connect_timeout_ms = 60000;
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0)
		serve();
	assert_int_equal(look(&l, &told_soon, said, sizeof(said)), CLI_OK);
	assert_string_equal(said, "");
	assert_true(l.sight.managed);
	queue = found_queue(&l.sight.found, "orders");
	assert_non_null(queue);
	assert_false(queue->told);
	look_close(&l);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_silent_broker_is_given_up,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_silent_queue_is_not_waited_for_for_ever, setup, teardown),
	};

	return cmocka_run_group_tests_name("look", tests, NULL, NULL);
}
