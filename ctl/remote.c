/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/remote.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/conf_listen.h"
#include "ctl/report.h"
#include "lib/buf.h"
#include "lib/build.h"
#include "lib/cli.h"
#include "lib/js.h"
#include "lib/xalloc.h"

/* Where the daemon is if it was started by systemd and we were not. */
#define SYSTEM_SOCKET "/run/dlo/redrive.sock"
/* Of an answer in one piece. */
#define ANSWER_BYTES_MAX   (256 << 20)
#define CONNECT_TIMEOUT_MS 5000L
/* An answer that makes no headway for so long is none. */
#define STALL_S 120L

enum {
	STATUS_OK_MAX = 299,
	STATUS_BAD_REQUEST = 400,
	STATUS_UNAUTHORIZED = 401,
	STATUS_FORBIDDEN = 403,
	STATUS_UNAVAILABLE = 503,
};

struct remote {
	CURL *easy;
	struct curl_slist *headers;
	char *where;  /* for people: unix:/run/dlo/redrive.sock */
	char *origin; /* "http://localhost" */
	bool is_unix;
	struct buf answer;
	remote_line_cb *line; /* NULL: the answer is one piece */
	void *arg;
	bool enough; /* no more lines are wanted */
	char error[CURL_ERROR_SIZE];
};

/* Settings fail for lack of memory, or by a mistake of ours. */
static void
check(CURLcode code)
{
	if (code != CURLE_OK)
		abort();
}

#define SET(remote, option, value) \
	check(curl_easy_setopt((remote)->easy, option, value))

static void say(const char *fmt, ...) printf_like(1, 2);

/* One line on stderr in which nothing moves cursors. */
static void
say(const char *fmt, ...)
{
	struct buf clean = { 0 };
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) == -1)
		abort();
	va_end(ap);
	report_clean(&clean, text);
	(void)fprintf(stderr, "dlo: %s\n", buf_str(&clean));
	buf_clear(&clean);
	free(text);
}

static long
status_of(const struct remote *remote)
{
	long status = 0;

	check(curl_easy_getinfo(remote->easy, CURLINFO_RESPONSE_CODE, &status));
	return status;
}

/* Hands on the lines that are whole. */
static bool
take_lines(struct remote *remote)
{
	const char *start, *end;
	size_t len;

	while (remote->answer.len > 0) {
		start = (const char *)buf_peek(&remote->answer);
		end = memchr(start, '\n', remote->answer.len);
		if (end == NULL)
			break;
		len = (size_t)(end - start);
		if (len > 0 && !remote->line(remote->arg, start, len)) {
			remote->enough = true;
			return false;
		}
		buf_drop(&remote->answer, len + 1);
	}
	return true;
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct remote *remote = arg;
	size_t len = size * count;

	if (len > ANSWER_BYTES_MAX - remote->answer.len)
		return CURL_WRITEFUNC_ERROR;
	buf_add(&remote->answer, bytes, len);
	if (remote->line != NULL && status_of(remote) <= STATUS_OK_MAX &&
	    !take_lines(remote))
		return CURL_WRITEFUNC_ERROR;
	return len;
}

static void
add_header(struct remote *remote, const char *header)
{
	struct curl_slist *list = curl_slist_append(remote->headers, header);

	if (list == NULL)
		abort();
	remote->headers = list;
}

static void
set_token(struct remote *remote, const char *token)
{
	char *header;

	if (token == NULL)
		return;
	header = xasprintf("Authorization: Bearer %s", token);
	add_header(remote, header);
	free(header);
}

/*
 * Where the socket is. One that no configuration names may be where only the
 * daemon may write; one that is named is asked, and no other: it may be another
 * cluster's.
 */
static const char *
socket_of(const struct conf_listen *listen)
{
	struct conf_listen usual;

	conf_listen_redrive(&usual);
	if (strcmp(listen->path, usual.path) == 0 &&
	    access(usual.path, F_OK) == -1 && access(SYSTEM_SOCKET, F_OK) == 0)
		return SYSTEM_SOCKET;
	return listen->path;
}

/* A unix socket, or a TCP port with its token. */
static void
set_address(struct remote *remote, const struct conf *conf)
{
	const struct conf_listen *listen = &conf->redrive.listen;

	if (listen->kind == CONF_LISTEN_TCP) {
		remote->where = conf_listen_address(listen);
		remote->origin = xasprintf("http://%s", remote->where);
		set_token(remote, conf->redrive.token.text);
		return;
	}
	remote->where = xasprintf("unix:%s", socket_of(listen));
	remote->origin = xstrdup("http://localhost");
	remote->is_unix = true;
	SET(remote, CURLOPT_UNIX_SOCKET_PATH, socket_of(listen));
}

struct remote *
remote_open(const struct conf *conf)
{
	struct remote *remote;

	if (conf->redrive.listen.kind == CONF_LISTEN_NONE) {
		say("redrive.listen is none in %s: dlo-redrive cannot be asked",
		    conf->path);
		return NULL;
	}
	check(curl_global_init(CURL_GLOBAL_DEFAULT));
	remote = xcalloc(1, sizeof(*remote));
	remote->easy = curl_easy_init();
	if (remote->easy == NULL)
		abort();
	SET(remote, CURLOPT_PROTOCOLS_STR, "http");
	SET(remote, CURLOPT_FOLLOWLOCATION, 0L);
	/* Else http_proxy and the like decide who is told the token. */
	SET(remote, CURLOPT_PROXY, "");
	SET(remote, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(remote, CURLOPT_NOSIGNAL, 1L);
	SET(remote, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	SET(remote, CURLOPT_LOW_SPEED_LIMIT, 1L);
	SET(remote, CURLOPT_LOW_SPEED_TIME, STALL_S);
	SET(remote, CURLOPT_USERAGENT, "dlo/" PACKAGE_VERSION);
	SET(remote, CURLOPT_WRITEFUNCTION, on_body);
	SET(remote, CURLOPT_WRITEDATA, remote);
	SET(remote, CURLOPT_ERRORBUFFER, remote->error);
	add_header(remote, "Content-Type: application/json");
	add_header(remote, "Expect:");
	set_address(remote, conf);
	SET(remote, CURLOPT_HTTPHEADER, remote->headers);
	return remote;
}

void
remote_close(struct remote *remote)
{
	if (remote == NULL)
		return;
	curl_easy_cleanup(remote->easy);
	curl_slist_free_all(remote->headers);
	curl_global_cleanup();
	buf_clear(&remote->answer);
	free(remote->where);
	free(remote->origin);
	free(remote);
}

/* Of a unix socket libcurl only says that port 80 of localhost is closed. */
static const char *
reason_of(const struct remote *remote, CURLcode code)
{
	long os_errno = 0;

	if (code == CURLE_COULDNT_CONNECT && remote->is_unix) {
		check(curl_easy_getinfo(remote->easy, CURLINFO_OS_ERRNO,
		    &os_errno));
		if (os_errno != 0)
			return strerror((int)os_errno);
	}
	return remote->error[0] != '\0' ? remote->error
					: curl_easy_strerror(code);
}

static int
say_unreachable(const struct remote *remote, CURLcode code)
{
	say("%s: %s", remote->where, reason_of(remote, code));
	(void)fprintf(stderr,
	    "Is dlo-redrive running, with this configuration, and may you "
	    "use its socket?\n");
	return CLI_UNREACHABLE;
}

/* What an answer that is a refusal comes to. */
static int
exit_code_of(long status, const char *code)
{
	if (code != NULL && strcmp(code, "unhealthy") == 0)
		return CLI_UNHEALTHY;
	switch (status) {
	case STATUS_BAD_REQUEST:
		return CLI_USAGE;
	case STATUS_UNAUTHORIZED:
	case STATUS_FORBIDDEN:
		return CLI_DENIED;
	case STATUS_UNAVAILABLE:
		return CLI_UNREACHABLE;
	default:
		return CLI_FAILED;
	}
}

/* A problem of RFC 9457: its detail, and what would help. */
static int
say_problem(struct remote *remote, long status)
{
	json_t *answer = json_loadb((const char *)buf_peek(&remote->answer),
	    remote->answer.len, 0, NULL);
	const char *detail =
	    json_string_value(json_object_get(answer, "detail"));
	const char *title = json_string_value(json_object_get(answer, "title"));
	const char *hint = json_string_value(json_object_get(answer, "hint"));
	int code = exit_code_of(status,
	    json_string_value(json_object_get(answer, "code")));

	if (detail != NULL || title != NULL)
		say("%s", detail != NULL ? detail : title);
	else
		say("%s: HTTP status %ld", remote->where, status);
	if (hint != NULL)
		say("%s", hint);
	json_decref(answer);
	return code;
}

/* Carries out a request, and says what is wrong with its answer. */
static int
perform(struct remote *remote, const char *path)
{
	char *url = xasprintf("%s%s", remote->origin, path);
	CURLcode code;
	long status;

	buf_reset(&remote->answer);
	remote->error[0] = '\0';
	remote->enough = false;
	SET(remote, CURLOPT_URL, url);
	code = curl_easy_perform(remote->easy);
	free(url);
	if (code == CURLE_WRITE_ERROR && remote->enough)
		return CLI_OK;
	if (code == CURLE_WRITE_ERROR) {
		say("%s: an answer larger than %d MiB", remote->where,
		    ANSWER_BYTES_MAX >> 20);
		return CLI_FAILED;
	}
	if (code != CURLE_OK)
		return say_unreachable(remote, code);
	status = status_of(remote);
	return status <= STATUS_OK_MAX ? CLI_OK : say_problem(remote, status);
}

static int
take_answer(struct remote *remote, int code, json_t **answer)
{
	*answer = NULL;
	if (code != CLI_OK)
		return code;
	*answer = json_loadb((const char *)buf_peek(&remote->answer),
	    remote->answer.len, 0, NULL);
	if (*answer != NULL)
		return CLI_OK;
	say("%s: not what dlo-redrive says", remote->where);
	return CLI_FAILED;
}

int
remote_get(struct remote *remote, const char *path, json_t **answer)
{
	remote->line = NULL;
	SET(remote, CURLOPT_HTTPGET, 1L);
	return take_answer(remote, perform(remote, path), answer);
}

int
remote_post(struct remote *remote, const char *path, const json_t *body,
    json_t **answer)
{
	struct buf text = { 0 };
	int code;

	remote->line = NULL;
	if (body != NULL)
		js_write(&text, body);
	SET(remote, CURLOPT_POST, 1L);
	SET(remote, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)text.len);
	SET(remote, CURLOPT_POSTFIELDS,
	    text.len > 0 ? (const char *)buf_peek(&text) : "");
	code = perform(remote, path);
	buf_clear(&text);
	return take_answer(remote, code, answer);
}

int
remote_lines(struct remote *remote, const char *path, remote_line_cb *line,
    void *arg)
{
	remote->line = line;
	remote->arg = arg;
	SET(remote, CURLOPT_HTTPGET, 1L);
	return perform(remote, path);
}

void
remote_escape(struct buf *path, const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0);

	if (escaped == NULL)
		abort();
	buf_add_str(path, escaped);
	curl_free(escaped);
}

void
remote_add(struct buf *path, const char *key, const char *value)
{
	if (path->len > 0 && buf_peek(path)[path->len - 1] != '?')
		buf_add_u8(path, '&');
	buf_printf(path, "%s=", key);
	remote_escape(path, value);
}
