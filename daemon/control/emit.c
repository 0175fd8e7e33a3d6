/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "daemon/control/emit.h"
#include "lib/base64.h"
#include "lib/utf8.h"

void emit_done(Emit *e) {
        free(e->data);
        *e = (Emit) { 0 };
}

/* Room for size more bytes, or NULL. */
static char *room(Emit *e, size_t size) {
        if (e->failed)
                return NULL;
        if (e->allocated - e->size < size) {
                size_t want = MAX_OF(e->allocated * 2, e->size + size + 1024);
                char *p = realloc(e->data, want);

                if (!p) {
                        e->failed = true;
                        return NULL;
                }
                e->data = p;
                e->allocated = want;
        }
        return e->data + e->size;
}

void emit_raw(Emit *e, const char *text, size_t size) {
        char *p = room(e, size);

        if (!p)
                return;
        memcpy(p, text, size);
        e->size += size;
}

void emit_key(Emit *e, const char *key) {
        size_t size = strlen(key);
        char *p = room(e, size + 4);

        if (!p)
                return;
        if (e->size > 0 && p[-1] != '{')
                *p++ = ',';
        *p++ = '"';
        memcpy(p, key, size);
        p += size;
        *p++ = '"';
        *p++ = ':';
        e->size = (size_t) (p - e->data);
}

void emit_int(Emit *e, const char *key, int64_t value) {
        char digits[24], *p = digits + sizeof(digits);
        uint64_t v = value < 0 ? 0 - (uint64_t) value : (uint64_t) value;

        emit_key(e, key);
        do
                *--p = (char) ('0' + v % 10);
        while (v /= 10);
        if (value < 0)
                *--p = '-';
        emit_raw(e, p, (size_t) (digits + sizeof(digits) - p));
}

void emit_bool(Emit *e, const char *key, bool value) {
        emit_key(e, key);
        if (value)
                EMIT(e, "true");
        else
                EMIT(e, "false");
}

void emit_float(Emit *e, const char *key, double value) {
        char text[40];
        int n = 0;

        emit_key(e, key);
        if (!isfinite(value)) {
                EMIT(e, "null");
                return;
        }
        for (int precision = 15; precision <= 17; precision++) {
                n = snprintf(text, sizeof(text), "%.*g", precision, value);
                if (strtod(text, NULL) == value)
                        break;
        }
        emit_raw(e, text, (size_t) n);
}

void emit_word(Emit *e, const char *key, const char *value) {
        if (!value)
                return;
        emit_key(e, key);
        emit_string(e, BYTES_STR(value));
}

static void emit_base64(Emit *e, const char *key, Bytes value) {
        size_t size = base64_size(value.size);
        char name[64], *p;

        snprintf(name, sizeof(name), "%sBase64", key);
        emit_key(e, name);
        p = room(e, size + 2);
        if (!p)
                return;
        p[0] = '"';
        base64_format(value, p + 1);
        p[size + 1] = '"';
        e->size += size + 2;
}

void emit_bytes(Emit *e, const char *key, Bytes value) {
        if (!value.data)
                return;
        if (!utf8_valid(value)) {
                emit_base64(e, key, value);
                return;
        }
        emit_key(e, key);
        emit_string(e, value);
}

/* Bytes that stand in a string of ASCII as they are. */
static bool plain(uint8_t c) {
        return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static char *unit(char *p, unsigned v) {
        static const char hex[] = "0123456789abcdef";

        *p++ = '\\';
        *p++ = 'u';
        for (int shift = 12; shift >= 0; shift -= 4)
                *p++ = hex[v >> shift & 15];
        return p;
}

/* One code point that is not plain; 12 characters at most. */
static char *escape(char *p, uint32_t c) {
        if (c == '"' || c == '\\') {
                *p++ = '\\';
                *p++ = (char) c;
                return p;
        }
        if (c < 0x10000)
                return unit(p, c);
        c -= 0x10000;
        return unit(unit(p, 0xd800 | c >> 10), 0xdc00 | (c & 0x3ff));
}

void emit_string(Emit *e, Bytes value) {
        /* A byte becomes 6 characters at most; 4 bytes become a pair of units. */
        char *p = room(e, value.size * 6 + 2);

        if (!p)
                return;
        *p++ = '"';
        for (size_t i = 0; i < value.size;) {
                uint32_t c = 0xfffd;
                int n;

                if (plain(value.data[i])) {
                        *p++ = (char) value.data[i++];
                        continue;
                }
                n = utf8_next(BYTES(value.data + i, value.size - i), &c);
                p = escape(p, n > 0 ? c : 0xfffd);
                i += n > 0 ? (size_t) n : 1;
        }
        *p++ = '"';
        e->size = (size_t) (p - e->data);
}
