/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include "ctl/row.h"
#include "lib/names.h"
#include "lib/text.h"
#include "lib/time.h"
#include "lib/util.h"
#include "lib/varlink.h"

char *row_name(const json_t *row, const char *key) {
        CLEANUP(freep) uint8_t *bytes = NULL;
        char *text = NULL;
        size_t size = 0;

        if (varlink_get_bytes(row, key, &bytes, &size) < 0 || !bytes ||
            text_escape(BYTES(bytes, size), &text) < 0)
                return NULL;
        return text;
}

const char *row_text(const json_t *row, const char *key) {
        const char *text = json_string_value(json_object_get(row, key));

        return text ? text : "";
}

int64_t row_number(const json_t *row, const char *key) {
        return json_integer_value(json_object_get(row, key));
}

bool row_has(const json_t *row, const char *key) {
        const json_t *value = json_object_get(row, key);

        return value && !json_is_null(value);
}

const char *human_size(int64_t bytes, char buf[static HUMAN_MAX]) {
        static const char units[] = "KMGTPE";
        double value = (double) bytes;
        int unit = -1;

        while (value >= 999.5 && unit < 5) {
                value /= 1024;
                unit++;
        }
        if (unit < 0)
                snprintf(buf, HUMAN_MAX, "%lld", (long long) bytes);
        else
                snprintf(buf, HUMAN_MAX, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
        return buf;
}

const char *mode_text(const json_t *row, char buf[static MODE_TEXT_MAX]) {
        static const char letters[] = "?-dlpscb", bits[] = "rwxrwxrwx";
        unsigned mode = (unsigned) row_number(row, "mode");

        buf[0] = letters[type_from_word(row_text(row, "type"))];
        for (int i = 0; i < 9; i++)
                buf[1 + i] = mode & (0400u >> i) ? bits[i] : '-';
        if (mode & S_ISUID)
                buf[3] = buf[3] == 'x' ? 's' : 'S';
        if (mode & S_ISGID)
                buf[6] = buf[6] == 'x' ? 's' : 'S';
        if (mode & S_ISVTX)
                buf[9] = buf[9] == 'x' ? 't' : 'T';
        buf[10] = '\0';
        return buf;
}

void cell_number(Table *t, const json_t *row, const char *key) {
        char buf[HUMAN_MAX];

        snprintf(buf, sizeof(buf), "%lld", (long long) row_number(row, key));
        table_cell(t, row_has(row, key) ? buf : "-", NULL);
}

void cell_size(Table *t, const json_t *row, const char *key) {
        char buf[HUMAN_MAX];

        table_cell(t, row_has(row, key) ? human_size(row_number(row, key), buf) : "-", NULL);
}

void cell_time(Table *t, const json_t *row, const char *key) {
        char buf[TIME_TEXT_MAX];

        table_cell(t, row_has(row, key) ? time_format(row_number(row, key), buf) : "-", NULL);
}

void cell_name(Table *t, const json_t *row, const char *key) {
        CLEANUP(freep) char *name = row_name(row, key);

        table_cell(t, name ? name : "-", NULL);
}

void cell_text(Table *t, const json_t *row, const char *key, const char *look) {
        CLEANUP(freep) char *text = NULL;
        const char *raw = row_text(row, key);

        if (text_escape(BYTES_STR(raw), &text) < 0)
                text = NULL;
        table_cell(t, text && *text ? text : "-", look);
}
