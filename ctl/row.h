/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_ROW_H
#define SCITRACE_CTL_ROW_H

/* row: the members of an answer, as text and as cells. May use: ctl/table.h, lib. */

#include <jansson.h>
#include <stdint.h>

#include "ctl/table.h"

/** row_name() - the file name in member `key`, escaped; malloc'ed; NULL when there is none. */
char *row_name(const json_t *row, const char *key);
const char *row_text(const json_t *row, const char *key);       /* "" when there is none */
int64_t row_number(const json_t *row, const char *key);         /* 0 when there is none */
bool row_has(const json_t *row, const char *key);

/** human_size() - "512", "1.2K", "34M", "5.0G": binary multiples, at most 6 characters; returns buf. */
enum { HUMAN_MAX = 32 };
const char *human_size(int64_t bytes, char buf[static HUMAN_MAX]);

/** mode_text() - "-rw-r--r--", from `type` and `mode`; returns buf. */
enum { MODE_TEXT_MAX = 11 };
const char *mode_text(const json_t *row, char buf[static MODE_TEXT_MAX]);

/** cell_number(), cell_size(), cell_time() - a cell from a member; "-" when it is not there. */
void cell_number(Table *t, const json_t *row, const char *key);
void cell_size(Table *t, const json_t *row, const char *key);
void cell_time(Table *t, const json_t *row, const char *key);
/** cell_text() - a cell from a text, escaped; cell_name() - from a file name. "-" when it is not there. */
void cell_text(Table *t, const json_t *row, const char *key, const char *style);
void cell_name(Table *t, const json_t *row, const char *key);

#endif
