/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "config/conf_valid.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

#include "lib/cron.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

#define SHORT_MAX  255 /* an AMQP short string */
#define NAME_BYTES 63
#define PREFIX_MAX 63

#define HEADER_OURS "is a header that dlo sets itself"

static bool
only_of(const char *text, const char *chars)
{
	return text[strspn(text, chars)] == '\0';
}

/* A byte that could end a line or worse: C0, or DEL. */
static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

const char *
conf_valid_name(const char *text)
{
	if (text[0] == '\0' || strlen(text) > NAME_BYTES || text[0] == '_' ||
	    text[0] == '-' || !only_of(text, LOWER DIGIT "_-"))
		return "a name has 1 to 63 of a-z, 0-9, _ and -, and begins "
		       "with a letter or digit";
	return NULL;
}

const char *
conf_valid_short(const char *text)
{
	if (strlen(text) > SHORT_MAX)
		return "longer than 255 bytes";
	return has_control(text) ? "contains a control character" : NULL;
}

const char *
conf_valid_queue(const char *text)
{
	if (strncmp(text, "amq.", 4) == 0)
		return "names that begin with amq. belong to the broker";
	return conf_valid_short(text);
}

const char *
conf_valid_prefix(const char *text)
{
	if (strlen(text) > PREFIX_MAX ||
	    !only_of(text, LOWER UPPER DIGIT "._-") || text[0] == '.' ||
	    text[strlen(text) - 1] == '.')
		return "a prefix has 1 to 63 of A-Z, a-z, 0-9, ., _ and -, and "
		       "no dot at an end";
	/* "amq" as well: amq.dead would be refused by the broker. */
	if (strcmp(text, "amq") == 0 || strncmp(text, "amq.", 4) == 0)
		return "names that begin with amq. belong to the broker";
	return NULL;
}

const char *
conf_valid_host(const char *text)
{
	struct in6_addr address;

	if (inet_pton(AF_INET6, text, &address) == 1 ||
	    (strlen(text) < TEXT_HOST_SPACE &&
		only_of(text, LOWER UPPER DIGIT "._-")))
		return NULL;
	return "must be a host name or address";
}

/*
 * HOST, HOST:PORT or [IPV6]:PORT, `len` bytes of `text`. Words that blame a
 * user name come first: it is what people try.
 */
static const char *
valid_authority(const char *text, size_t len, int default_port,
    struct text_address *address)
{
	char authority[TEXT_HOST_SPACE + sizeof("[]:65535")];

	if (len == 0)
		return "has no host";
	if (memchr(text, '@', len) != NULL)
		return "must not hold a user name or password";
	if (len >= sizeof(authority))
		return "has too long a host";
	memcpy(authority, text, len);
	authority[len] = '\0';
	if (text_parse_address(authority, default_port, address) == -1 ||
	    address->port == 0)
		return "must have HOST, HOST:PORT or [IPV6]:PORT after //";
	return NULL;
}

/* What any URL of ours may hold. */
static const char *
valid_url_bytes(const char *text)
{
	const char *at;

	for (at = text; *at != '\0'; at++)
		if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7f ||
		    strchr("\"<>\\^`{|}", *at) != NULL)
			return "contains a character that must be "
			       "percent-encoded in a URL";
	if (strchr(text, '#') != NULL)
		return "must not have a fragment (#)";
	return NULL;
}

const char *
conf_valid_http_url(const char *text)
{
	struct text_address address;
	const char *host, *problem;
	bool tls = strncmp(text, "https://", 8) == 0;

	if (!tls && strncmp(text, "http://", 7) != 0)
		return "must begin with http:// or https://";
	problem = valid_url_bytes(text);
	if (problem != NULL)
		return problem;
	host = strstr(text, "//") + 2;
	return valid_authority(host, strcspn(host, "/?"), tls ? 443 : 80,
	    &address);
}

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)((at - digits) % 16);
}

/* One byte of a percent-encoded text; -1: it is none, or a NUL. */
static int
next_byte(const char **at)
{
	int high, low;

	if (**at != '%')
		return (unsigned char)*(*at)++;
	high = hex_digit((*at)[1]);
	low = high == -1 ? -1 : hex_digit((*at)[2]);
	if (low == -1 || high + low == 0)
		return -1;
	*at += 3;
	return high * 16 + low;
}

const char *
conf_valid_unix_url(const char *text, char path[CONF_VALID_SOCKET_SPACE],
    const char **rest)
{
	const char *at = text + strlen(CONF_VALID_UNIX);
	size_t len = 0;
	int byte;

	while (*at != '\0' && strchr("/?", *at) == NULL) {
		if (len == CONF_VALID_SOCKET_SPACE - 1)
			return "a socket's path has at most 107 bytes";
		byte = next_byte(&at);
		if (byte == -1)
			return "has a % that encodes nothing in the socket's "
			       "path";
		path[len++] = (char)byte;
	}
	path[len] = '\0';
	*rest = at;
	if (path[0] != '/')
		return "must have a socket's absolute path after //, its "
		       "slashes as %2F";
	return has_control(path) ? "contains a control character" : NULL;
}

const char *
conf_valid_place_url(const char *text)
{
	char path[CONF_VALID_SOCKET_SPACE];
	const char *rest, *problem;

	if (strncmp(text, CONF_VALID_UNIX, strlen(CONF_VALID_UNIX)) != 0)
		return conf_valid_http_url(text);
	problem = valid_url_bytes(text);
	return problem != NULL ? problem
			       : conf_valid_unix_url(text, path, &rest);
}

const char *
conf_valid_base_url(const char *text)
{
	const char *problem = conf_valid_http_url(text);

	if (problem == NULL && strchr(text, '?') != NULL)
		problem = "must not have a query (?)";
	return problem;
}

const char *
conf_valid_amqp_url(const char *text, struct text_address *address, bool *tls)
{
	const char *host, *problem;
	size_t len;

	*tls = strncmp(text, "amqps://", 8) == 0;
	if (!*tls && strncmp(text, "amqp://", 7) != 0)
		return "must begin with amqp:// or amqps://";
	host = strstr(text, "//") + 2;
	len = strcspn(host, "/?#");
	problem = valid_authority(host, len, *tls ? 5671 : 5672, address);
	if (problem == NULL && host[len] != '\0')
		problem = "must end after host and port; the virtual host is "
			  "broker.vhost";
	return problem;
}

const char *
conf_valid_method(const char *text)
{
	if (strlen(text) > 16 || !only_of(text, UPPER))
		return "must be an HTTP method in capitals, such as POST";
	if (strcmp(text, "HEAD") == 0 || strcmp(text, "CONNECT") == 0 ||
	    strcmp(text, "TRACE") == 0)
		return "cannot carry a message";
	return NULL;
}

const char *
conf_valid_env(const char *text)
{
	if (strchr(DIGIT, text[0]) != NULL ||
	    !only_of(text, LOWER UPPER DIGIT "_"))
		return "is no name of an environment variable";
	return NULL;
}

static bool
is_one_of(const char *text, const char *const *names, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcasecmp(text, names[i]) == 0)
			return true;
	return false;
}

const char *
conf_valid_header(const char *text)
{
	/* Some belong to the connection: HTTP/2 refuses them. */
	static const char *const ours[] = { "Connection", "Content-Length",
		"Expect", "HTTP2-Settings", "Idempotency-Key", "Keep-Alive",
		"Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
		"Upgrade" };

	if (text[0] == '\0' || strlen(text) > SHORT_MAX ||
	    !only_of(text, LOWER UPPER DIGIT "!#$%&'*+-.^_`|~"))
		return "is no name of an HTTP header";
	if (is_one_of(text, ours, array_len(ours)) ||
	    strncasecmp(text, "Dlo-", 4) == 0)
		return HEADER_OURS;
	return NULL;
}

const char *
conf_valid_forward(const char *text)
{
	static const char *const ours[] = { "Accept", "Content-Encoding",
		"Content-Type", "Host", "traceparent", "tracestate",
		"User-Agent" };
	const char *problem = conf_valid_header(text);

	if (problem == NULL && is_one_of(text, ours, array_len(ours)))
		problem = HEADER_OURS;
	return problem;
}

const char *
conf_valid_header_value(const char *text)
{
	return has_control(text) ? "contains a control character" : NULL;
}

const char *
conf_valid_class(const char *text)
{
	if (strlen(text) > SHORT_MAX ||
	    !only_of(text, LOWER UPPER DIGIT "._-") || text[0] == '.' ||
	    text[strlen(text) - 1] == '.' || strstr(text, "..") != NULL)
		return "must be a class or the first words of one, such as "
		       "http or http.503";
	return NULL;
}

const char *
conf_valid_reason(const char *text)
{
	static const char *const reasons[] = { "rejected", "attempts_exhausted",
		"deadline", "expired", "crash", "malformed", "too_large",
		"broker_expired", "broker_rejected", "broker_maxlen",
		"broker_delivery_limit" };
	size_t i;

	for (i = 0; i < array_len(reasons); i++)
		if (strcmp(text, reasons[i]) == 0)
			return NULL;
	return "must be one of rejected, attempts_exhausted, deadline, "
	       "expired, crash, malformed, too_large, broker_expired, "
	       "broker_rejected, broker_maxlen, broker_delivery_limit";
}

const char *
conf_valid_cron(const char *text)
{
	const char *why;
	struct cron cron;

	return cron_parse(text, &cron, &why) == 0 ? NULL : why;
}
