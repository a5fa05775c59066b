/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/text.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORD_MAX 64

int
text_parse_int(const char *text, int64_t min, int64_t max, int64_t *out)
{
	const char *digits = text + (*text == '-');
	long long value;

	if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0')
		return -1;
	errno = 0;
	value = strtoll(text, NULL, 10);
	if (errno != 0 || value < min || value > max)
		return -1;
	*out = value;
	return 0;
}

/* Names, IPv4, and what stands in brackets: IPv6, with a zone perhaps. */
static bool
is_host(const char *host, bool brackets)
{
	struct in6_addr addr;
	char bare[TEXT_HOST_SPACE];

	if (!brackets)
		return host[0] != '\0' &&
		    host[strspn(host,
			"abcdefghijklmnopqrstuvwxyz"
			"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			"0123456789._-")] == '\0';
	snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(host, "%"), host);
	return inet_pton(AF_INET6, bare, &addr) == 1;
}

int
text_parse_address(const char *text, int default_port, struct text_address *out)
{
	bool brackets = text[0] == '[';
	const char *end;
	int64_t port = default_port;
	size_t len;

	text += brackets;
	len = strcspn(text, brackets ? "]" : ":");
	end = text + len;
	if (len >= sizeof(out->host) || (brackets && *end++ != ']'))
		return -1;
	memcpy(out->host, text, len);
	out->host[len] = '\0';
	if (!is_host(out->host, brackets))
		return -1;
	if (*end == ':' ? text_parse_int(end + 1, 0, UINT16_MAX, &port) == -1
			: *end != '\0' || default_port < 0)
		return -1;
	out->port = (uint16_t)port;
	return 0;
}

void
text_percent(struct buf *out, const void *bytes, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	const uint8_t *p = bytes;
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] >= 0x20 && p[i] <= 0x7e && p[i] != '%') {
			buf_add_u8(out, p[i]);
			continue;
		}
		buf_add_u8(out, '%');
		buf_add_u8(out, (uint8_t)hex[p[i] >> 4]);
		buf_add_u8(out, (uint8_t)hex[p[i] & 15]);
	}
}

const char *
text_iso8601(char out[TEXT_ISO8601_SPACE], int64_t wall_ms)
{
	const int64_t first = -62167219200000, last = 253402300799999;
	struct tm tm;
	time_t seconds;
	int64_t ms;

	wall_ms = wall_ms < first ? first : wall_ms > last ? last : wall_ms;
	ms = wall_ms % 1000;
	if (ms < 0)
		ms += 1000;
	seconds = (time_t)((wall_ms - ms) / 1000);
	gmtime_r(&seconds, &tm);
	/* The remainders bound the widths in the compiler's eyes. */
	snprintf(out, TEXT_ISO8601_SPACE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
	    (unsigned)(tm.tm_year + 1900) % 10000,
	    (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100,
	    (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
	    (unsigned)tm.tm_sec % 100, (unsigned)ms % 1000);
	return out;
}

/* The eight hexadecimal digits of 32 bits, all at once: a nibble a byte. */
static uint64_t
hex_digits(uint64_t bits)
{
	uint64_t n = __builtin_bswap32((uint32_t)bits);

	n = (n | n << 16) & 0x0000ffff0000ffff;
	n = (n | n << 8) & 0x00ff00ff00ff00ff;
	n = (n >> 4 & 0x000f000f000f000f) | (n & 0x000f000f000f000f) << 8;
	/* Where adding 6 reaches 16 it is a letter. */
	n += 0x3030303030303030 +
	    ((n + 0x0606060606060606) >> 4 & 0x0101010101010101) *
		('a' - '0' - 10);
	return htole64(n);
}

const char *
text_uuid4(char out[TEXT_UUID_SPACE], uint64_t high, uint64_t low)
{
	uint64_t digits[4];
	const char *from;

	high = (high & ~UINT64_C(0xf000)) | 0x4000;
	low = (low & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
	/* By hand: a message without an id gets one, on the fastest path. */
	digits[0] = hex_digits(high >> 32);
	digits[1] = hex_digits(high);
	digits[2] = hex_digits(low >> 32);
	digits[3] = hex_digits(low);
	from = (const char *)digits;
	memcpy(out, from, 8);
	memcpy(out + 9, from + 8, 4);
	memcpy(out + 14, from + 12, 4);
	memcpy(out + 19, from + 16, 4);
	memcpy(out + 24, from + 20, 12);
	out[8] = out[13] = out[18] = out[23] = '-';
	out[36] = '\0';
	return out;
}

const char *
text_duration(char out[TEXT_DURATION_SPACE], int64_t ms)
{
	static const struct {
		char name;
		int64_t ms;
	} units[] = { { 'd', 86400000 }, { 'h', 3600000 }, { 'm', 60000 },
		{ 's', 1000 } };
	size_t i = 0, len;
	int64_t rest;

	if (ms < 1000) {
		snprintf(out, TEXT_DURATION_SPACE, "%dms",
		    ms < 0 ? 0 : (int)ms);
		return out;
	}
	while (ms < units[i].ms)
		i++;
	rest = ms % units[i].ms;
	len = (size_t)snprintf(out, TEXT_DURATION_SPACE, "%lld",
	    (long long)(ms / units[i].ms));
	if (units[i].name == 's' && rest >= 100)
		snprintf(out + len, TEXT_DURATION_SPACE - len, ".%ds",
		    (int)(rest / 100));
	else if (units[i].name != 's' && rest >= units[i + 1].ms)
		snprintf(out + len, TEXT_DURATION_SPACE - len, "%c %d%c",
		    units[i].name, (int)(rest / units[i + 1].ms),
		    units[i + 1].name);
	else
		snprintf(out + len, TEXT_DURATION_SPACE - len, "%c",
		    units[i].name);
	return out;
}

const char *
text_size(char out[TEXT_SIZE_SPACE], uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB",
		"PiB", "EiB" };
	unsigned tenth = 0;
	size_t i;

	for (i = 0; bytes >= 1024; i++) {
		tenth = (unsigned)(bytes % 1024) * 10 / 1024;
		bytes /= 1024;
	}
	if (tenth == 0)
		snprintf(out, TEXT_SIZE_SPACE, "%u %s", (unsigned)bytes,
		    units[i]);
	else
		snprintf(out, TEXT_SIZE_SPACE, "%u.%u %s", (unsigned)bytes,
		    tenth, units[i]);
	return out;
}

bool
text_dotted_prefix(const char *prefix, const void *text, size_t len)
{
	const char *at = text;
	size_t prefix_len = strlen(prefix);

	if (prefix_len == 0 || len < prefix_len ||
	    memcmp(at, prefix, prefix_len) != 0)
		return false;
	return len == prefix_len || at[prefix_len] == '.';
}

bool
text_equal_secret(const void *a, size_t a_len, const void *b, size_t b_len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t differs = a_len != b_len;
	size_t i;

	if (b_len == 0)
		return !differs;
	for (i = 0; i < a_len; i++)
		differs |= (uint8_t)(x[i] ^ y[i % b_len]);
	return !differs;
}

static unsigned
least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

unsigned
text_distance(const char *a, const char *b)
{
	unsigned rows[3][WORD_MAX + 1] = { 0 };
	unsigned *before = rows[0], *prev = rows[1], *cur = rows[2], *spare;
	size_t a_len = strlen(a), b_len = strlen(b), i, j;

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return (unsigned)(a_len > b_len ? a_len : b_len);
	for (j = 0; j <= b_len; j++)
		prev[j] = (unsigned)j;
	for (i = 1; i <= a_len; i++) {
		cur[0] = (unsigned)i;
		for (j = 1; j <= b_len; j++) {
			cur[j] = least(prev[j] + 1, cur[j - 1] + 1,
			    prev[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && before[j - 2] < cur[j])
				cur[j] = before[j - 2] + 1;
		}
		spare = before;
		before = prev;
		prev = cur;
		cur = spare;
	}
	return prev[b_len];
}
