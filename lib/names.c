/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/names.h"

typedef struct Word {
        int number;
        const char *word;
} Word;

#define WORD_ITEM(n, v, s) { v, s },

static const Word kinds[] = { KIND_TABLE(WORD_ITEM) { 0, NULL } };
static const Word origins[] = { ORIGIN_TABLE(WORD_ITEM) { 0, NULL } };
static const Word causes[] = { CAUSE_TABLE(WORD_ITEM) { 0, NULL } };
static const Word types[] = { TYPE_TABLE(WORD_ITEM) { 0, NULL } };
static const Word digest_sources[] = { DIGEST_SOURCE_TABLE(WORD_ITEM) { 0, NULL } };
static const Word dataset_kinds[] = { DATASET_KIND_TABLE(WORD_ITEM) { 0, NULL } };

static const char *to_word(const Word *table, int number) {
        for (; table->word; table++)
                if (table->number == number)
                        return table->word;
        return NULL;
}

static int from_word(const Word *table, const char *word) {
        for (; table->word; table++)
                if (strcmp(table->word, word) == 0)
                        return table->number;
        return 0;
}

const char *kind_to_word(int kind) {
        return to_word(kinds, kind);
}

const char *origin_to_word(int origin) {
        return to_word(origins, origin);
}

const char *cause_to_word(int cause) {
        return to_word(causes, cause);
}

const char *type_to_word(int type) {
        return to_word(types, type);
}

const char *digest_source_to_word(int source) {
        return to_word(digest_sources, source);
}

const char *dataset_kind_to_word(int kind) {
        return to_word(dataset_kinds, kind);
}

int kind_from_word(const char *word) {
        return from_word(kinds, word);
}

int origin_from_word(const char *word) {
        return from_word(origins, word);
}

int type_from_word(const char *word) {
        return from_word(types, word);
}

Type type_from_mode(unsigned mode) {
        switch (mode & S_IFMT) {
        case S_IFREG:
                return TYPE_FILE;
        case S_IFDIR:
                return TYPE_DIRECTORY;
        case S_IFLNK:
                return TYPE_SYMLINK;
        case S_IFIFO:
                return TYPE_FIFO;
        case S_IFSOCK:
                return TYPE_SOCKET;
        case S_IFCHR:
                return TYPE_CHAR;
        case S_IFBLK:
                return TYPE_BLOCK;
        default:
                return TYPE_NONE;
        }
}
