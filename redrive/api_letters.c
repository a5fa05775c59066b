/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Dead letters over the control API. A look ends with the request: when its
 * client has gone, nobody else has to wait for it. In JSON lines letters are
 * sent as fast as the client takes them, with a last line that says whether
 * these were all; else the answer is one object, and bounded.
 */
#include "redrive/api_parts.h"

#include <stdlib.h>
#include <string.h>

#include "dlx/envelope.h"
#include "lib/js.h"
#include "lib/text.h"
#include "lib/xalloc.h"
#include "redrive/filter_json.h"
#include "redrive/groups.h"
#include "redrive/letter_json.h"
#include "redrive/looks.h"
#include "redrive/view.h"

/* Of an answer in one piece. */
#define ANSWER_BYTES_MAX (64u << 20)
#define LIMIT_DEFAULT	 100
#define LIMIT_MAX	 10000
/* Of a body in a list; export has the whole of it. */
#define BODY_SHOWN 4096
/* So much is gathered before it is sent. */
#define PART_BYTES (256u << 10)

/* Groups in lines are told so often. */
#define GROUPS_EVERY_MS 250

/* One request's look. */
struct api_look {
	struct loop *loop;
	struct http_request *request;
	struct look *look; /* NULL: it is over */
	struct filter_json filter;
	LIST_ENTRY(api_look) entry;
	uint64_t count;
	bool bodies;
	/* One of these. */
	struct groups *groups; /* groups are asked for */
	json_t *letters;       /* a list in one answer */
	struct buf lines;      /* JSON lines not sent yet */
	bool is_lines;
	int64_t told_ms; /* groups in lines: the last time, monotonic */
	bool sending;	 /* the client has yet to take a part */
	size_t bytes;	 /* of letters */
	const char *why;
};

static void
look_free(struct api_look *look)
{
	LIST_REMOVE(look, entry);
	if (look->look != NULL)
		look_cancel(look->look);
	filter_json_clear(&look->filter);
	if (look->groups != NULL)
		groups_clear(look->groups);
	free(look->groups);
	json_decref(look->letters);
	buf_clear(&look->lines);
	free(look);
}

/* What a letter is, for a list. */
static json_t *
letter_of(const struct envelope *e)
{
	json_t *letter = json_object();

	js_set_bytes(letter, "id", e->id.ptr, e->id.len);
	js_set_text(letter, "reason",
	    envelope_reason_name(envelope_reason_of(e)));
	if (e->class.len > 0)
		js_set_clean(letter, "class", e->class.ptr, e->class.len);
	if (e->error.len > 0)
		js_set_clean(letter, "error", e->error.ptr, e->error.len);
	js_set_int(letter, "attempts", e->attempt);
	js_set_int(letter, "redrives", e->redrives);
	if (e->job.len > 0)
		js_set_clean(letter, "job", e->job.ptr, e->job.len);
	js_set_time(letter, "first_failed", e->first_failed_ms);
	js_set_time(letter, "dead_since", envelope_dead_since_ms(e));
	js_set_bytes(letter, "exchange", e->exchange.ptr, e->exchange.len);
	js_set_bytes(letter, "routing_key", e->routing_key.ptr,
	    e->routing_key.len);
	return letter;
}

/* The body's beginning; a character may be cut. */
static void
set_shown_body(json_t *letter, struct rmq_slice body)
{
	struct rmq_slice shown = body;

	if (shown.len > BODY_SHOWN)
		shown.len = text_utf8_cut(body.ptr, body.len, BODY_SHOWN);
	letter_json_set_body(letter, shown);
	if (shown.len < body.len)
		js_set_bool(letter, "body_cut", true);
}

static void
add_line(struct api_look *look, const json_t *line)
{
	js_write(&look->lines, line);
	buf_add_u8(&look->lines, '\n');
}

static void on_taken(void *);

/* Sends what there is once the client has what was sent; then ends. */
static void
pump(struct api_look *look)
{
	bool sent = false;

	if (look->sending)
		return;
	if (look->lines.len > 0)
		sent = http_server_send(look->request, &look->lines, on_taken,
		    look);
	if (sent) {
		look->sending = true;
		buf_reset(&look->lines);
		if (look->look != NULL)
			look_pull(look->look, true);
	} else if (look->lines.len > 0 || look->look == NULL) {
		/* The client has gone, or has everything. */
		http_server_end(look->request);
		look_free(look);
	}
}

static void
on_taken(void *arg)
{
	struct api_look *look = arg;

	look->sending = false;
	pump(look);
}

/* Whole, for an export. */
static void
send_letter(struct api_look *look, json_t *letter,
    const struct rmq_message *message)
{
	letter_json_set_props(letter, message->props);
	letter_json_set_body(letter, message->body);
	add_line(look, letter);
	json_decref(letter);
	if (look->lines.len < PART_BYTES)
		return;
	look_pull(look->look, false);
	pump(look);
}

static void
list_letter(struct api_look *look, json_t *letter,
    const struct rmq_message *message)
{
	size_t shown = message->body.len;

	if (look->bodies)
		set_shown_body(letter, message->body);
	js_append(look->letters, letter);
	if (!look->bodies)
		shown = 0;
	else if (shown > BODY_SHOWN)
		shown = BODY_SHOWN;
	look->bytes += message->props.len + shown;
	if (look->bytes > ANSWER_BYTES_MAX)
		look->why = "the answer would be too large: ask for fewer";
}

static json_t *
groups_value(const struct groups *groups)
{
	const struct group **list = groups_list(groups);
	json_t *value = json_array();

	for (size_t i = 0; i < groups->count; i++) {
		json_t *group = json_object();

		js_set_text(group, "reason",
		    envelope_reason_name(list[i]->reason));
		js_set_text(group, "class", list[i]->class);
		js_set_text(group, "error", list[i]->error);
		js_set_int(group, "count", (int64_t)list[i]->count);
		js_set_time(group, "oldest", list[i]->oldest_ms);
		js_set_time(group, "newest", list[i]->newest_ms);
		js_append(value, group);
	}
	free(list);
	return value;
}

static void
set_groups(const struct api_look *look, json_t *body)
{
	js_set(body, "groups", groups_value(look->groups));
	js_set_int(body, "others", (int64_t)look->groups->others);
}

/* What is known so far, now and then, to a client that keeps up. */
static void
on_seen(void *arg)
{
	struct api_look *look = arg;
	int64_t now_ms = loop_now_ms(look->loop);
	json_t *line;

	if (look->groups == NULL || !look->is_lines || look->sending ||
	    now_ms - look->told_ms < GROUPS_EVERY_MS)
		return;
	look->told_ms = now_ms;
	line = json_object();
	js_set_int(line, "seen", (int64_t)look_seen(look->look));
	js_set_int(line, "of", (int64_t)look_total(look->look));
	set_groups(look, line);
	add_line(look, line);
	json_decref(line);
	pump(look);
}

static void
on_letter(void *arg, const struct envelope *e,
    const struct rmq_message *message)
{
	struct api_look *look = arg;
	json_t *letter;

	look->count++;
	if (look->groups != NULL) {
		groups_add(look->groups, e);
		return;
	}
	if (look->why != NULL)
		return;
	letter = letter_of(e);
	js_set_int(letter, "body_bytes", (int64_t)message->body.len);
	if (look->is_lines)
		send_letter(look, letter, message);
	else
		list_letter(look, letter, message);
}

/* Whether these were all, and how many. */
static void
set_end(struct api_look *look, json_t *body)
{
	js_set_int(body, "count", (int64_t)look->count);
	js_set_bool(body, "complete", look->why == NULL);
	js_set_text(body, "why", look->why);
}

static void
answer_whole(struct api_look *look)
{
	json_t *body = json_object();

	if (look->groups != NULL)
		set_groups(look, body);
	else
		js_set(body, "messages", json_incref(look->letters));
	set_end(look, body);
	api_answer(look->request, API_OK, body);
	look_free(look);
}

static void
on_shown(void *arg, const char *why)
{
	struct api_look *look = arg;
	json_t *last;

	look->look = NULL;
	if (look->why == NULL)
		look->why = why;
	if (!look->is_lines) {
		answer_whole(look);
		return;
	}
	last = json_object();
	js_set_bool(last, "end", true);
	if (look->groups != NULL)
		set_groups(look, last);
	set_end(look, last);
	add_line(look, last);
	json_decref(last);
	pump(look);
}

/* A query parameter that is "true". */
static bool
is_true(const struct http_request *request, const char *key)
{
	const char *value = http_server_query(request, key);

	return value != NULL && strcmp(value, "true") == 0;
}

static void
refuse(struct http_request *request, enum api_status status, const char *code,
    const char *detail, const char *hint)
{
	const struct api_problem problem = { status, code, detail, hint };

	api_refuse(request, &problem);
}

/* NULL, or what is wrong with it, which the caller frees. */
static char *
read_filter(struct filter_json *out, const char *text)
{
	char problem[256] = "filter: it is not JSON";
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	int code = json != NULL
	    ? filter_json_read(out, json, problem, sizeof(problem))
	    : -1;

	json_decref(json);
	return code == 0 ? NULL : xstrdup(problem);
}

/* What is asked for; NULL: it makes no sense, and was refused. */
static struct api_look *
look_of(struct api *api, struct http_request *request,
    struct view_look *options)
{
	static const char *const queues[] = {
		[VIEW_DEAD] = "dead",
		[VIEW_PARKED] = "parked",
		[VIEW_ARCHIVE] = "archive",
	};
	const char *filter = http_server_query(request, "filter");
	const char *limit = http_server_query(request, "limit");
	const char *queue = http_server_query(request, "queue");
	struct api_look *look = xcalloc(1, sizeof(*look));
	char *why = NULL;
	int64_t n = 0;

	LIST_INSERT_HEAD(&api->looks, look, entry);
	look->request = request;
	look->loop = api->env.loop;
	look->bodies = is_true(request, "body");
	look->is_lines = is_true(request, "lines");
	options->queue = VIEW_DEAD;
	while (queue != NULL && options->queue < array_len(queues) &&
	    strcmp(queues[options->queue], queue) != 0)
		options->queue++;
	if (limit != NULL && text_parse_int(limit, 1, INT32_MAX, &n) == -1)
		why = xstrdup("limit is a whole number above 0");
	else if (options->queue == array_len(queues))
		why = xstrdup("queue is dead, parked or archive");
	else if (filter != NULL)
		why = read_filter(&look->filter, filter);
	if (why == NULL) {
		options->limit = (uint64_t)n;
		options->filter = &look->filter.filter;
		return look;
	}
	refuse(request, API_BAD_REQUEST, "invalid", why, NULL);
	free(why);
	look_free(look);
	return NULL;
}

static void
start(struct api *api, struct api_look *look,
    const struct conf_pipeline *pipeline, const struct view_look *options)
{
	static const struct look_cbs cbs = { on_letter, on_seen, on_shown };
	struct view_refusal refusal;

	look->look = view_look(api->env.redrive, pipeline, options, &cbs, look,
	    &refusal);
	if (look->look != NULL) {
		if (look->is_lines)
			http_server_begin(look->request, API_OK,
			    "application/x-ndjson");
		return;
	}
	refuse(look->request, refusal.busy ? API_CONFLICT : API_UNAVAILABLE,
	    refusal.code, refusal.text, refusal.hint);
	look_free(look);
}

void
api_letters(struct api *api, struct http_request *request,
    const struct conf_pipeline *pipeline, const char *rest)
{
	struct view_look options;
	struct api_look *look;
	bool groups = strcmp(rest, "groups") == 0;

	if (!groups && strcmp(rest, "dead") != 0) {
		refuse(request, API_NOT_FOUND, "not_found",
		    "there is no such thing in this API", NULL);
		return;
	}
	look = look_of(api, request, &options);
	if (look == NULL)
		return;
	if (groups) {
		look->told_ms = loop_now_ms(api->env.loop);
		look->groups = xcalloc(1, sizeof(*look->groups));
		options.limit = 0;
	} else if (!look->is_lines) {
		look->letters = json_array();
		if (options.limit == 0)
			options.limit = LIMIT_DEFAULT;
		else if (options.limit > LIMIT_MAX)
			options.limit = LIMIT_MAX;
	}
	start(api, look, pipeline, &options);
}

void
api_letters_stop(struct api *api)
{
	struct api_look *look;

	while ((look = LIST_FIRST(&api->looks)) != NULL) {
		if (look->is_lines)
			http_server_end(look->request);
		else
			refuse(look->request, API_UNAVAILABLE, "stopping",
			    "dlo-redrive is stopping", NULL);
		look_free(look);
	}
}
