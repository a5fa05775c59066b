/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A libFuzzer target: any bytes on a connection to the control API of a whole
 * redrive daemon, which is active on the model broker and has dead letters.
 * The first byte tells who listens (a unix socket, or TCP with its token), how
 * the rest is cut, and whether the client waits for its answers. Start it with
 * the folder that tests/redrive/fuzz_seeds.py writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/conf.h"
#include "lib/http_server.h"
#include "lib/loop_libevent.h"
#include "redrive/api.h"
#include "redrive/registry.h"
#include "tests/redrive/world.h"

#define LETTERS 3

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const struct conf_listen on_unix = {
	.kind = CONF_LISTEN_UNIX,
	.path = "/run/dlo/redrive.sock",
};
static const struct conf_listen on_tcp = {
	.kind = CONF_LISTEN_TCP,
	.host = "127.0.0.1",
	.port = 8672,
};

/* The API's own loop has real descriptors, the redrive's has no clock. */
struct bench {
	struct world *world;
	struct loop *loop;
	struct loop_timer *timer;
	struct http_server *http;
	struct api *api;
	int fd;
	char head[4096]; /* the answers' beginning */
	size_t head_len;
	bool ended;
};

static void
stop(void *arg)
{
	loop_stop(arg);
}

/* A turn of everything. */
static void
turn(struct bench *bench)
{
	uint8_t bytes[65536];
	ssize_t n;

	loop_timer_start_us(bench->loop, bench->timer, 0);
	loop_run(bench->loop);
	world_run(bench->world, 50);
	while (!bench->ended &&
	    (n = recv(bench->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) != -1) {
		size_t room = sizeof(bench->head) - 1 - bench->head_len;

		if ((size_t)n < room)
			room = (size_t)n;
		memcpy(bench->head + bench->head_len, bytes, room);
		bench->head_len += room;
		bench->ended = n == 0;
	}
	if (!bench->ended && errno != EAGAIN && errno != EWOULDBLOCK)
		bench->ended = true;
}

static void
open_api(struct bench *bench, bool tcp)
{
	const struct http_server_limits limits = { .header_bytes = 2048,
		.body_bytes = 65536 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct api_env env = { 0 };
	char address[64], *error = NULL;

	(void)snprintf(address, sizeof(address), "unix:/tmp/dlo-fuzz-api-%d",
	    (int)getpid());
	bench->loop = loop_libevent_new();
	bench->timer = loop_timer_new(bench->loop, stop, bench->loop);
	bench->http = http_server_open(bench->loop, address, &limits, &error);
	if (bench->http == NULL) {
		print_error("%s: %s\n", address, error);
		abort();
	}
	env.loop = bench->loop;
	env.http = bench->http;
	env.redrive = bench->world->redrive;
	env.conf = bench->world->conf;
	env.listen = tcp ? &on_tcp : &on_unix;
	bench->api = api_new(&env);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s",
	    address + strlen("unix:"));
	bench->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bench->fd == -1 ||
	    connect(bench->fd, (struct sockaddr *)&addr, sizeof(addr)) == -1 ||
	    fcntl(bench->fd, F_SETFL, O_NONBLOCK) == -1)
		abort();
}

static void
close_api(struct bench *bench)
{
	api_free(bench->api);
	close(bench->fd);
	http_server_close(bench->http);
	loop_timer_start_us(bench->loop, bench->timer, 0);
	loop_run(bench->loop);
	loop_timer_free(bench->loop, bench->timer);
	loop_free(bench->loop);
}

static bool
is_active(const struct world *world)
{
	return world->ready &&
	    registry_is_active(redrive_registry(world->redrive));
}

static void
open_world(struct bench *bench)
{
	static const struct world_letter letter = {
		.reason = "attempts_exhausted",
		.dead_ms = SIM_EPOCH_MS - 3600 * 1000,
		.body_bytes = 40,
	};

	bench->world = world_new(1,
	    "{when: [], " WORLD_BLIND "rate: 1000}\n"
	    "redrive: {listen: \"127.0.0.1:8672\", token: token}");
	bench->world->healthy = true;
	world_start(bench->world, NULL);
	world_until(bench->world, is_active);
	world_bury(bench->world, 1, LETTERS, &letter);
}

/* Cut into pieces; true: all went. */
static bool
send_all(struct bench *bench, const uint8_t *bytes, size_t len, size_t piece)
{
	unsigned idle = 0;
	size_t want;
	ssize_t n;

	for (; len > 0 && !bench->ended && idle < 50; turn(bench)) {
		want = len < piece ? len : piece;
		n = send(bench->fd, bytes, want, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1) {
			idle++;
			continue;
		}
		bytes += n;
		len -= (size_t)n;
		idle = 0;
	}
	return len == 0;
}

/* In the head of the first answer. */
static bool
says(const struct bench *bench, const char *end, const char *text)
{
	return end != NULL &&
	    memmem(bench->head, (size_t)(end - bench->head), text,
		strlen(text)) != NULL;
}

/*
 * The first answer says no in a program's words, unless it is to what is no
 * HTTP: that one is libevent's.
 */
static void
check_answer(const struct bench *bench)
{
	const char *end;
	int status;

	if (bench->head_len == 0)
		return;
	if (sscanf(bench->head, "HTTP/%*d.%*d %3d ", &status) != 1)
		abort();
	end = strstr(bench->head, "\r\n\r\n");
	if (status >= 400 && !says(bench, end, "application/problem+json") &&
	    !says(bench, end, "Content-Type: text/html")) {
		print_error("%s\n", bench->head);
		abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const size_t pieces[] = { 65536, 1000, 200, 61 };
	struct bench bench = { 0 };
	uint8_t how;

	if (len == 0)
		return 0;
	how = bytes[0];
	open_world(&bench);
	open_api(&bench, (how & 4) != 0);
	(void)send_all(&bench, bytes + 1, len - 1, pieces[how & 3]);
	if ((how & 8) != 0)
		(void)shutdown(bench.fd, SHUT_WR);
	for (unsigned i = 0; (how & 16) == 0 && i < 12; i++)
		turn(&bench);
	check_answer(&bench);
	close_api(&bench);
	world_free(bench.world);
	return 0;
}
