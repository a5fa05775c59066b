/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/plugin_page.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint32_t
copy_text(char *to, size_t space, const char *text)
{
	size_t len = text == NULL ? 0 : strnlen(text, space);

	if (len > 0)
		memcpy(to, text, len);
	return (uint32_t)len;
}

void
plugin_answer_set(struct plugin_answer *answer, uint64_t call,
    const struct dlo_verdict *verdict)
{
	answer->call = call;
	answer->delay_ms = verdict->delay_ms;
	answer->outcome = verdict->outcome;
	answer->code = verdict->code;
	answer->class_len = copy_text(answer->class, sizeof(answer->class),
	    verdict->class_text);
	answer->error_len =
	    copy_text(answer->error, sizeof(answer->error), verdict->error);
}

struct plugin_page *
plugin_page_new(int *fd)
{
	struct plugin_page *page;
	int error;

	*fd = memfd_create("dlo-plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd == -1)
		return NULL;
	/* A worker that made it shorter would end us with a SIGBUS. */
	if (ftruncate(*fd, sizeof(*page)) == 0 &&
	    fcntl(*fd, F_ADD_SEALS,
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 &&
	    (page = plugin_page_map(*fd)) != NULL)
		return page;
	error = errno;
	close(*fd);
	errno = error;
	return NULL;
}

struct plugin_page *
plugin_page_map(int fd)
{
	struct plugin_page *page;

	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    0);
	if (page == MAP_FAILED)
		return NULL;
	return page;
}

void
plugin_page_free(struct plugin_page *page)
{
	if (page != NULL)
		(void)munmap(page, sizeof(*page));
}

void
plugin_page_add(struct plugin_page *page, uint64_t call,
    const struct dlo_verdict *verdict)
{
	uint64_t count =
	    atomic_load_explicit(&page->answered, memory_order_relaxed);

	plugin_answer_set(&page->answers[count % PLUGIN_PAGE_SLOTS], call,
	    verdict);
	atomic_store_explicit(&page->answered, count + 1, memory_order_release);
}

int
plugin_page_take(struct plugin_page *page, uint64_t *taken,
    struct plugin_answer *answer)
{
	uint64_t count =
	    atomic_load_explicit(&page->answered, memory_order_acquire);
	const struct plugin_answer *from =
	    &page->answers[*taken % PLUGIN_PAGE_SLOTS];

	if (count == *taken)
		return 0;
	if (count - *taken > PLUGIN_PAGE_SLOTS)
		return -1;
	memcpy(answer, from, offsetof(struct plugin_answer, class));
	if (answer->class_len > sizeof(answer->class) ||
	    answer->error_len > sizeof(answer->error))
		return -1;
	memcpy(answer->class, from->class, answer->class_len);
	memcpy(answer->error, from->error, answer->error_len);
	++*taken;
	return 1;
}
