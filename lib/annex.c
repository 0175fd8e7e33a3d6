/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "lib/annex.h"

static const char objects[] = "annex/objects/";
static const char pointer[] = "/annex/objects/";

static bool starts(Bytes s, const char *with) {
        size_t n = strlen(with);

        return s.size >= n && memcmp(s.data, with, n) == 0;
}

static Bytes behind(Bytes s, size_t n) {
        return BYTES(s.data + n, s.size - n);
}

static bool contains(Bytes s, const char *what) {
        return s.data && memmem(s.data, s.size, what, strlen(what));
}

typedef struct Key {
        Bytes backend, name;
        int64_t size;                   /* -1: it tells none */
        bool chunk;
} Key;

static bool take_number(Bytes *s, int64_t *ret) {
        int64_t n = 0;
        size_t i = 0;

        for (; i < s->size && isdigit(s->data[i]); i++)
                if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, s->data[i] - '0', &n))
                        return false;
        *s = behind(*s, i);
        *ret = n;
        return i > 0;
}

/* One of -sSIZE -mMTIME -SSIZE -CNUMBER. */
static bool take_field(Bytes *s, Key *ret) {
        char field;
        int64_t n;

        if (s->size < 2 || s->data[0] != '-' || !strchr("smSC", s->data[1]) || s->data[1] == '\0')
                return false;
        field = (char) s->data[1];
        *s = behind(*s, 2);
        if (!take_number(s, &n))
                return false;
        if (field == 's')
                ret->size = n;
        if (field == 'S' || field == 'C')
                ret->chunk = true;
        return true;
}

static bool parse(Bytes s, Key *ret) {
        size_t n = 0;

        *ret = (Key) { .size = -1 };
        if (s.size > ANNEX_KEY_MAX)
                return false;
        while (n < s.size && (isupper(s.data[n]) || isdigit(s.data[n]) || s.data[n] == '_'))
                n++;
        if (n == 0 || !isupper(s.data[0]))
                return false;
        ret->backend = BYTES(s.data, n);
        s = behind(s, n);
        while (!starts(s, "--"))
                if (!take_field(&s, ret))
                        return false;
        ret->name = behind(s, 2);
        return ret->name.size > 0 && !memchr(ret->name.data, '/', ret->name.size) &&
               !memchr(ret->name.data, '\n', ret->name.size);
}

bool annex_key_valid(Bytes name) {
        Key key;

        return parse(name, &key);
}

static int nibble(uint8_t c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool annex_key_digest(Bytes name, int64_t *ret_size, uint8_t ret_digest[ANNEX_DIGEST_SIZE]) {
        uint8_t digest[ANNEX_DIGEST_SIZE];
        bool extension;
        Key key;

        if (!parse(name, &key) || key.size < 0 || key.chunk)
                return false;
        extension = bytes_equal(key.backend, BYTES_STR("SHA256E"));
        if (!extension && !bytes_equal(key.backend, BYTES_STR("SHA256")))
                return false;
        /* behind the digest a key with extension has one, or nothing */
        if (key.name.size < 2 * sizeof(digest) ||
            (key.name.size > 2 * sizeof(digest) && (!extension || key.name.data[2 * sizeof(digest)] != '.')))
                return false;
        for (size_t i = 0; i < sizeof(digest); i++) {
                int high = nibble(key.name.data[2 * i]), low = nibble(key.name.data[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                digest[i] = (uint8_t) (high << 4 | low);
        }
        *ret_size = key.size;
        memcpy(ret_digest, digest, sizeof(digest));
        return true;
}

size_t annex_key_plain(Bytes name, uint8_t ret[ANNEX_KEY_MAX]) {
        static const char escaped[] = "sac", plain[] = "%&:";
        size_t n = 0;

        for (size_t i = 0; i < name.size && n < ANNEX_KEY_MAX; i++) {
                const char *e = name.data[i] == '&' && i + 1 < name.size && name.data[i + 1] != '\0'
                                ? strchr(escaped, name.data[i + 1]) : NULL;

                if (e) {
                        ret[n++] = (uint8_t) plain[e - escaped];
                        i++;
                } else {
                        ret[n++] = name.data[i] == '%' ? '/' : name.data[i];
                }
        }
        return n;
}

/* The last component, and what is before it without the slash; false: there is but one. */
static bool split(Bytes path, Bytes *ret_before, Bytes *ret_last) {
        const uint8_t *slash = path.data ? memrchr(path.data, '/', path.size) : NULL;

        if (!slash)
                return false;
        *ret_before = BYTES(path.data, (size_t) (slash - path.data));
        *ret_last = behind(path, ret_before->size + 1);
        return true;
}

Bytes annex_key_of_target(Bytes target) {
        Bytes folder, before, key, again;

        if (!split(target, &folder, &key) || !split(folder, &before, &again) || !bytes_equal(key, again) ||
            !contains(before, objects) || !annex_key_valid(key))
                return BYTES_NONE;
        return key;
}

Bytes annex_key_of_object(Bytes path) {
        if (!starts(path, ".git/") && !contains(path, "/.git/"))
                return BYTES_NONE;
        return annex_key_of_target(path);
}

Bytes annex_key_of_pointer(Bytes content) {
        const uint8_t *end;
        Bytes key;

        if (content.size > ANNEX_POINTER_MAX || !starts(content, pointer))
                return BYTES_NONE;
        key = behind(content, strlen(pointer));
        end = memchr(key.data, '\n', key.size);
        if (end)
                key.size = (size_t) (end - key.data);
        if (key.size > 0 && key.data[key.size - 1] == '\r')
                key.size--;
        return annex_key_valid(key) ? key : BYTES_NONE;
}
