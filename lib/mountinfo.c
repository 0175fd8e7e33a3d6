/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <limits.h>

#include "lib/mountinfo.h"

/* Takes from *text what stands before the first `end`, and the end itself. */
static bool take_until(Bytes *text, uint8_t end, Bytes *ret) {
        const uint8_t *at;

        if (text->size == 0)
                return false;
        at = memchr(text->data, end, text->size);
        *ret = BYTES(text->data, at ? (size_t) (at - text->data) : text->size);
        *text = BYTES(text->data + ret->size + (at != NULL), text->size - ret->size - (at != NULL));
        return true;
}

/* An empty word: the line is at its end. What ends it stays. */
static Bytes take_word(Bytes *line) {
        Bytes word;

        while (line->size > 0 && line->data[0] == ' ')
                *line = BYTES(line->data + 1, line->size - 1);
        word = BYTES(line->data, 0);
        while (word.size < line->size && line->data[word.size] != ' ')
                word.size++;
        *line = BYTES(line->data + word.size, line->size - word.size);
        return word;
}

static bool is_word(Bytes word, const char *text) {
        return bytes_equal(word, BYTES_STR(text));
}

static bool begins(Bytes word, const char *text) {
        size_t n = strlen(text);

        return word.size > n && memcmp(word.data, text, n) == 0;
}

/* A word of digits only, that fits. */
static bool to_number(Bytes word, uint64_t *ret) {
        uint64_t n = 0;

        for (size_t i = 0; i < word.size; i++)
                if (word.data[i] < '0' || word.data[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
                    __builtin_add_overflow(n, word.data[i] - '0', &n))
                        return false;
        *ret = n;
        return word.size > 0;
}

/* "rw,size=4k" begins with what it is mounted as. */
static bool is_readonly(Bytes options) {
        Bytes option;

        while (take_until(&options, ',', &option))
                if (is_word(option, "ro"))
                        return true;
        return false;
}

static int parse_line(Bytes line, MountinfoLine *ret) {
        MountinfoLine m = { 0 };
        Bytes word;

        if (!to_number(take_word(&line), &m.id) || !to_number(take_word(&line), &m.parent))
                return 0;
        m.device = take_word(&line);
        m.root = take_word(&line);
        m.mountpoint = take_word(&line);
        (void) take_word(&line);        /* options of the mount */
        do {
                word = take_word(&line);        /* optional fields */
                if (word.size == 0)
                        return 0;
                m.propagates |= begins(word, "shared:") || begins(word, "master:");
        } while (!is_word(word, "-"));
        m.type = take_word(&line);
        (void) take_until(&line, ' ', &word);
        if (m.type.size == 0 || !take_until(&line, ' ', &m.source))     /* which may be empty */
                return 0;
        m.readonly = is_readonly(take_word(&line));
        *ret = m;
        return 1;
}

int mountinfo_next(Bytes *text, MountinfoLine *ret) {
        Bytes line;

        assert(text && ret);
        while (take_until(text, '\n', &line))
                if (parse_line(line, ret))
                        return 1;
        return 0;
}

static bool is_octal(const uint8_t *digits) {
        return digits[0] >= '0' && digits[0] <= '3' && digits[1] >= '0' && digits[1] <= '7' &&
               digits[2] >= '0' && digits[2] <= '7';
}

bool mountinfo_unescape(Bytes text, char *out) {
        size_t used = 0;

        for (size_t i = 0; i < text.size; i++) {
                if (used + 1 >= PATH_MAX)
                        return false;
                if (text.data[i] == '\\' && i + 3 < text.size && is_octal(text.data + i + 1)) {
                        out[used++] = (char) ((text.data[i + 1] - '0') << 6 | (text.data[i + 2] - '0') << 3 |
                                              (text.data[i + 3] - '0'));
                        i += 3;
                } else {
                        out[used++] = (char) text.data[i];
                }
        }
        out[used] = '\0';
        return true;
}

bool mountinfo_leads_through(Bytes path, Bytes directory) {
        size_t n = directory.size;

        if (n > 0 && directory.data[n - 1] == '/')
                n--;                    /* the root */
        return n <= path.size && memcmp(path.data, directory.data, n) == 0 &&
               (n == path.size || path.data[n] == '/');
}
