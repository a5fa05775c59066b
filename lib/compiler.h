/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The few compiler attributes that the tree uses. */
#ifndef DLO_LIB_COMPILER_H
#define DLO_LIB_COMPILER_H

#define must_use	  __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))
#define array_len(a)	  (sizeof(a) / sizeof((a)[0]))
/* The struct that holds `member`, from a pointer to that member. */
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
