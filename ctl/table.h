/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Text in columns for people, at most TABLE_COLUMNS wide: the columns that may
 * be cut are cut, the widest first. Cells are made harmless. Pure.
 */
#ifndef DLO_CTL_TABLE_H
#define DLO_CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/compiler.h"

#define TABLE_COLUMNS 100

struct table_column {
	const char *title;
	bool is_number; /* to the right */
	bool may_cut;
};

struct table {
	const struct table_column *columns; /* not owned */
	size_t column_count;
	char **cells; /* row by row */
	size_t cell_count;
};

/* `columns` must outlive it. */
void table_init(struct table *, const struct table_column *columns,
    size_t count);
void table_clear(struct table *);
/* The next cell of the row under construction; NULL: "-". */
void table_add(struct table *, const char *text);
void table_add_int(struct table *, int64_t value);
/* Appends titles and rows, a line each. Every row must be whole. */
void table_write(const struct table *, struct buf *out);

#endif
