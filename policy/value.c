/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <ctype.h>
#include <errno.h>

#include "lib/util.h"
#include "policy/value.h"

typedef struct Unit {
        const char *word;
        int64_t factor;
} Unit;

static const Unit times[] = {
        { "", 1000000 },         { "us", 1 },             { "ms", 1000 },           { "s", 1000000 },
        { "min", 60 * 1000000 }, { "h", 3600000000 },     { "d", 86400000000 },     { NULL, 0 },
};

static const Unit sizes[] = {
        { "", 1 },
        { "K", INT64_C(1) << 10 }, { "M", INT64_C(1) << 20 }, { "G", INT64_C(1) << 30 },
        { "T", INT64_C(1) << 40 }, { "P", INT64_C(1) << 50 }, { NULL, 0 },
};

static const Unit percents[] = { { "", 1 }, { "%", 1 }, { NULL, 0 } };

/* One number and its unit; moves *text behind it and the spaces that follow. */
static int parse_part(const char **text, const Unit *units, int64_t *ret) {
        const char *p = *text, *word;
        int64_t number = 0;
        size_t length;

        if (!isdigit((unsigned char) *p))
                return -EINVAL;
        for (; isdigit((unsigned char) *p); p++)
                if (__builtin_mul_overflow(number, 10, &number) ||
                    __builtin_add_overflow(number, *p - '0', &number))
                        return -EINVAL;

        word = p;
        length = strcspn(word, "0123456789 ");
        for (; units->word; units++)
                if (strlen(units->word) == length && strncmp(units->word, word, length) == 0)
                        break;
        if (!units->word || __builtin_mul_overflow(number, units->factor, ret))
                return -EINVAL;
        *text = word + length + strspn(word + length, " ");
        return 0;
}

int value_parse_time(const char *text, int64_t *ret) {
        int64_t sum = 0, part = 0;

        assert(text && ret);
        do {
                int r = parse_part(&text, times, &part);

                if (r < 0)
                        return r;
                if (__builtin_add_overflow(sum, part, &sum))
                        return -EINVAL;
        } while (*text);
        *ret = sum;
        return 0;
}

static int parse_one(const char *text, const Unit *units, int64_t *ret) {
        int64_t value = 0;
        int r = parse_part(&text, units, &value);

        if (r < 0)
                return r;
        if (*text)
                return -EINVAL;
        *ret = value;
        return 0;
}

int value_parse_keep(const char *text, int64_t *ret) {
        assert(text && ret);
        if (strcmp(text, "infinity") != 0)
                return value_parse_time(text, ret);
        *ret = INT64_MAX;
        return 0;
}

int value_parse_size(const char *text, int64_t *ret) {
        assert(text && ret);
        return parse_one(text, sizes, ret);
}

int value_parse_percent(const char *text, int64_t *ret) {
        assert(text && ret);
        return parse_one(text, percents, ret);
}
