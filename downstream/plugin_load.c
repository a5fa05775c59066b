/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/plugin_load.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define NAME	 "dlo_handler"
#define ENDS(of) (offsetof(struct dlo_handler, of) + sizeof(void *))

int
plugin_load_table(const void *table, size_t bytes, struct dlo_handler *out,
    struct buf *why)
{
	const size_t head = offsetof(struct dlo_handler, name);

	memset(out, 0, sizeof(*out));
	if (bytes < head) {
		buf_add_str(why, "is no plugin: its " NAME " is no table");
		return -1;
	}
	memcpy(out, table, head);
	if (out->abi != DLO_HANDLER_ABI) {
		buf_printf(why,
		    "is made for another dlo: its ABI is %u, ours is %u",
		    out->abi, (unsigned)DLO_HANDLER_ABI);
		return -1;
	}
	if (out->size > bytes || out->size < ENDS(handle)) {
		buf_printf(why,
		    "is no plugin: its " NAME " says that it has %zu bytes, "
		    "of %zu that are there and %zu that are needed",
		    out->size, bytes, ENDS(handle));
		return -1;
	}
	/* What a newer one has beyond ours is of no interest here. */
	memcpy(out, table, out->size < sizeof(*out) ? out->size : sizeof(*out));
	if (out->name == NULL || out->init == NULL || out->handle == NULL) {
		buf_add_str(why,
		    "is no plugin: name, init and handle of "
		    "its " NAME " must be there");
		return -1;
	}
	return 0;
}

/* How large the object at `address` is; 0: it is none. */
static size_t
object_bytes(void *address)
{
	const ElfW(Sym) *symbol = NULL;
	Dl_info info;
	void *extra = NULL;

	if (dladdr1(address, &info, &extra, RTLD_DL_SYMENT) == 0)
		return 0;
	symbol = extra;
	if (symbol == NULL || ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT)
		return 0;
	return symbol->st_size;
}

static int
read_object(void *object, struct dlo_handler *out, struct buf *why)
{
	void *table = dlsym(object, NAME);

	if (table == NULL) {
		buf_add_str(why, "is no plugin: it exports no " NAME);
		return -1;
	}
	return plugin_load_table(table, object_bytes(table), out, why);
}

int
plugin_load(const char *path, struct dlo_handler *out, struct buf *why)
{
	void *object;

	/* The linker's words for the most usual mistake are not so clear. */
	if (access(path, R_OK) == -1) {
		buf_printf(why, "cannot be read: %s", strerror(errno));
		return -1;
	}
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (object == NULL) {
		buf_printf(why, "cannot be loaded: %s", dlerror());
		return -1;
	}
	if (read_object(object, out, why) == -1) {
		(void)dlclose(object);
		return -1;
	}
	/* It stays: what the table points to is in it. */
	return 0;
}
