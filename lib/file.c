/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The descriptor is asked, not the path: what is judged is what is read. A
 * FIFO or a device is refused, it could keep us waiting for ever.
 */
#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/xalloc.h"

#define STEP_BYTES 4096

/* More than any password; a certificate chain given by mistake fits. */
#define SECRET_BYTES_MAX 65536

static const char *
read_all(int fd, size_t max, struct buf *out)
{
	ssize_t got;

	for (;;) {
		got = read(fd, buf_reserve(out, STEP_BYTES), STEP_BYTES);
		if (got == 0)
			return NULL;
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return strerror(errno);
		buf_claim(out, (size_t)got);
		if (out->len > max)
			return "is larger than any such file should be";
	}
}

static const char *
read_regular(int fd, size_t max, struct buf *out, bool *public)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return strerror(errno);
	if (S_ISDIR(st.st_mode))
		return "is a directory";
	if (!S_ISREG(st.st_mode))
		return "is not a regular file";
	if (public != NULL)
		*public = (st.st_mode & S_IROTH) != 0;
	return read_all(fd, max, out);
}

const char *
file_read(const char *path, size_t max, struct buf *out, bool *public)
{
	const char *problem;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd == -1)
		return strerror(errno);
	problem = read_regular(fd, max, out, public);
	if (close(fd) == -1 && problem == NULL)
		problem = strerror(errno);
	return problem;
}

/* The length without one newline at the end. */
static size_t
line_len(const char *bytes, size_t len)
{
	if (len > 0 && bytes[len - 1] == '\n') {
		len--;
		if (len > 0 && bytes[len - 1] == '\r')
			len--;
	}
	return len;
}

const char *
file_read_secret(const char *path, char **text)
{
	struct buf buf = { 0 };
	const char *problem, *bytes;
	size_t len;

	*text = NULL;
	problem = file_read(path, SECRET_BYTES_MAX, &buf, NULL);
	bytes = buf_str(&buf);
	len = line_len(bytes, buf.len);
	if (problem == NULL && len == 0)
		problem = "is empty";
	if (problem == NULL && memchr(bytes, '\0', len) != NULL)
		problem = "contains a NUL character";
	if (problem == NULL)
		*text = xstrndup(bytes, len);
	explicit_bzero(buf.mem, buf.space);
	buf_clear(&buf);
	return problem;
}

void
file_free_secret(char *text)
{
	if (text == NULL)
		return;
	explicit_bzero(text, strlen(text));
	free(text);
}
