/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The descriptor is asked, not the path: what is judged is what is read. A
 * FIFO or a device is refused, it could keep us waiting for ever.
 */
#include "config/conf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_BYTES 4096

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
conf_file_read(const char *path, size_t max, struct buf *out, bool *public)
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
