/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/event.h"

enum {
        VERSION = 1,
        LENGTH_SIZE = 4,
        INTEGER_SIZE = 8,
        FIELD_COUNT = 29,
};
#define ABSENT UINT32_C(0xFFFFFFFF)

/* Field by field, as docs/FORMATS.md numbers them: an integer, or a run of bytes. */
static uint8_t *put_length(uint8_t *p, uint32_t length) {
        uint32_t n = htobe32(length);

        memcpy(p, &n, LENGTH_SIZE);
        return p + LENGTH_SIZE;
}

static uint8_t *put_number(uint8_t *p, bool present, int64_t number) {
        uint64_t n = htobe64((uint64_t) number);

        p = put_length(p, present ? INTEGER_SIZE : ABSENT);
        if (!present)
                return p;
        memcpy(p, &n, INTEGER_SIZE);
        return p + INTEGER_SIZE;
}

static uint8_t *put_run(uint8_t *p, Bytes b) {
        p = put_length(p, b.data ? (uint32_t) b.size : ABSENT);
        if (b.data && b.size > 0)
                memcpy(p, b.data, b.size);
        return b.data ? p + b.size : p;
}

static uint8_t *put_head(uint8_t *p, const Event *e) {
        p = put_number(p, true, e->seq);
        p = put_number(p, true, e->first);
        p = put_number(p, true, e->last);
        p = put_run(p, BYTES(e->boot, EVENT_ID_SIZE));
        p = put_run(p, BYTES(e->dataset_uuid, EVENT_ID_SIZE));
        p = put_number(p, true, e->kind);
        p = put_number(p, true, e->origin);
        p = put_number(p, true, e->count);
        p = put_number(p, e->node != 0, e->node);
        p = put_number(p, e->parent != 0, e->parent);
        p = put_run(p, e->name);
        p = put_number(p, e->old_parent != 0, e->old_parent);
        p = put_run(p, e->old_name);
        return put_number(p, e->replaces != 0, e->replaces);
}

static uint8_t *put_node(uint8_t *p, const Event *e) {
        p = put_number(p, e->introduces, (int64_t) e->inode);
        p = put_number(p, e->introduces, e->btime);
        p = put_number(p, e->has_state, e->type);
        p = put_number(p, e->has_state, e->size);
        p = put_number(p, e->has_state, e->mode);
        p = put_number(p, e->has_state, e->uid);
        p = put_number(p, e->has_state, e->gid);
        return put_number(p, e->has_state, e->mtime);
}

static uint8_t *put_rest(uint8_t *p, const Event *e) {
        p = put_run(p, e->digest);
        p = put_number(p, e->digest_source != 0, e->digest_source);
        p = put_run(p, e->target);
        p = put_number(p, e->process != 0, e->process);
        p = put_number(p, e->cause != 0, e->cause);
        p = put_number(p, e->gap != 0, e->gap);
        return put_run(p, e->detail);
}

int event_put(const Event *e, size_t before, uint8_t **buffer, size_t *max, size_t *ret_size) {
        size_t most;
        uint8_t *p;

        assert(e);
        assert(buffer);
        assert(ret_size);

        most = before + 1 + FIELD_COUNT * (LENGTH_SIZE + INTEGER_SIZE) + 2 * (size_t) EVENT_ID_SIZE +
               e->name.size + e->old_name.size + e->digest.size + e->target.size + e->detail.size;
        if (*max < most) {
                p = realloc(*buffer, 2 * most);
                if (!p)
                        return -ENOMEM;
                *buffer = p;
                *max = 2 * most;
        }
        p = *buffer + before;
        *p++ = VERSION;
        p = put_rest(put_node(put_head(p, e), e), e);
        *ret_size = (size_t) (p - *buffer);
        assert(*ret_size <= most);
        return 0;
}

int event_format(const Event *e, uint8_t **ret, size_t *ret_size) {
        uint8_t *bytes = NULL;
        size_t max = 0;
        int r;

        assert(ret);
        r = event_put(e, 0, &bytes, &max, ret_size);
        if (r == 0)
                *ret = bytes;
        return r;
}

/* Reading. Each take_X() moves past one field; the first that is wrong makes all that follow fail. */
typedef struct Reader {
        Bytes rest;
        bool bad;
} Reader;

static Bytes take(Reader *r) {
        uint32_t length;
        Bytes b;

        if (r->bad || r->rest.size < LENGTH_SIZE)
                goto bad;
        memcpy(&length, r->rest.data, sizeof(length));
        length = be32toh(length);
        r->rest = BYTES(r->rest.data + LENGTH_SIZE, r->rest.size - LENGTH_SIZE);
        if (length == ABSENT)
                return BYTES_NONE;
        if (length > r->rest.size)
                goto bad;
        b = BYTES(r->rest.data, length);
        r->rest = BYTES(r->rest.data + length, r->rest.size - length);
        return b;
bad:
        r->bad = true;
        return BYTES_NONE;
}

/* An integer in [min, max]; absent yields false and 0. */
static bool take_number(Reader *r, int64_t min, int64_t max, int64_t *ret) {
        Bytes b = take(r);
        uint64_t n;

        *ret = 0;
        if (!b.data)
                return false;
        if (b.size != INTEGER_SIZE) {
                r->bad = true;
                return false;
        }
        memcpy(&n, b.data, sizeof(n));
        *ret = (int64_t) be64toh(n);
        if (*ret < min || *ret > max)
                r->bad = true;
        return true;
}

static int64_t take_needed(Reader *r, int64_t min, int64_t max) {
        int64_t n;

        if (!take_number(r, min, max, &n))
                r->bad = true;
        return n;
}

/* A number that is absent when it is 0, so that a 0 that is present would be a second encoding. */
static int64_t take_optional(Reader *r, int64_t max) {
        int64_t n;

        if (take_number(r, INT64_MIN, max, &n) && n == 0)
                r->bad = true;
        return n;
}

/* A number that is present exactly when `present`. */
static int64_t take_if(Reader *r, bool present, int64_t min, int64_t max) {
        int64_t n;

        if (take_number(r, min, max, &n) != present)
                r->bad = true;
        return n;
}

static int64_t take_word(Reader *r, const char *(*to_word)(int), bool needed) {
        int64_t n = needed ? take_needed(r, 1, INT16_MAX) : take_optional(r, INT16_MAX);

        if ((needed || n != 0) && (n < 0 || !to_word((int) n)))
                r->bad = true;
        return n;
}

static void take_id(Reader *r, uint8_t ret[static EVENT_ID_SIZE]) {
        Bytes b = take(r);

        if (b.size == EVENT_ID_SIZE)
                memcpy(ret, b.data, EVENT_ID_SIZE);
        else
                r->bad = true;
}

static void take_head(Reader *r, Event *e) {
        e->seq = take_needed(r, INT64_MIN, INT64_MAX);
        e->first = take_needed(r, INT64_MIN, INT64_MAX);
        e->last = take_needed(r, INT64_MIN, INT64_MAX);
        take_id(r, e->boot);
        take_id(r, e->dataset_uuid);
        e->kind = (Kind) take_word(r, kind_to_word, true);
        e->origin = (Origin) take_word(r, origin_to_word, true);
        e->count = take_needed(r, INT64_MIN, INT64_MAX);
        e->node = take_optional(r, INT64_MAX);
        e->parent = take_optional(r, INT64_MAX);
        e->name = take(r);
        e->old_parent = take_optional(r, INT64_MAX);
        e->old_name = take(r);
        e->replaces = take_optional(r, INT64_MAX);
}

static void take_node(Reader *r, Event *e) {
        int64_t n;

        e->introduces = take_number(r, INT64_MIN, INT64_MAX, &n);
        e->inode = (uint64_t) n;
        e->btime = take_if(r, e->introduces, INT64_MIN, INT64_MAX);
        e->has_state = take_number(r, 1, INT16_MAX, &n);
        e->type = (Type) n;
        if (e->has_state && !type_to_word(e->type))
                r->bad = true;
        e->size = take_if(r, e->has_state, INT64_MIN, INT64_MAX);
        e->mode = (uint32_t) take_if(r, e->has_state, 0, UINT32_MAX);
        e->uid = (uint32_t) take_if(r, e->has_state, 0, UINT32_MAX);
        e->gid = (uint32_t) take_if(r, e->has_state, 0, UINT32_MAX);
        e->mtime = take_if(r, e->has_state, INT64_MIN, INT64_MAX);
}

static void take_rest(Reader *r, Event *e) {
        e->digest = take(r);
        if (e->digest.data && e->digest.size != EVENT_DIGEST_SIZE)
                r->bad = true;
        e->digest_source = (DigestSource) take_word(r, digest_source_to_word, false);
        e->target = take(r);
        e->process = take_optional(r, INT64_MAX);
        e->cause = (Cause) take_word(r, cause_to_word, false);
        e->gap = take_optional(r, INT64_MAX);
        e->detail = take(r);
}

int event_parse(Bytes bytes, Event *ret) {
        Event e = { 0 };
        Reader r;

        assert(ret);

        if (bytes.size < 1 || bytes.data[0] != VERSION)
                return -EBADMSG;
        r = (Reader) { .rest = BYTES(bytes.data + 1, bytes.size - 1) };
        take_head(&r, &e);
        take_node(&r, &e);
        take_rest(&r, &e);
        if (r.bad || r.rest.size != 0)
                return -EBADMSG;

        *ret = e;
        return 0;
}

int64_t event_what(const Event *e) {
        int64_t source = (int64_t) e->digest_source << (EVENT_KIND_BITS + EVENT_ORIGIN_BITS);

        assert(e->count >= 0 && e->count <= EVENT_COUNT_MAX);
        return e->count << EVENT_COUNT_SHIFT | source | (int64_t) e->origin << EVENT_KIND_BITS | e->kind;
}

void event_take_what(Event *e, int64_t what) {
        e->kind = (Kind) (what & ((1 << EVENT_KIND_BITS) - 1));
        what >>= EVENT_KIND_BITS;
        e->origin = (Origin) (what & ((1 << EVENT_ORIGIN_BITS) - 1));
        what >>= EVENT_ORIGIN_BITS;
        e->digest_source = (DigestSource) (what & ((1 << EVENT_SOURCE_BITS) - 1));
        e->count = what >> EVENT_SOURCE_BITS;
}

enum { REST_NUMBERS = 5, REST_OLD_NAME = 1 << REST_NUMBERS, REST_BITS = 2 * REST_OLD_NAME - 1 };

/* The first byte says which there are; a number is groups of seven bits, the lowest first. */
Bytes event_rest(const Event *e, uint8_t buffer[static EVENT_REST_MAX]) {
        const int64_t numbers[REST_NUMBERS] = { e->replaces, e->old_parent, e->process, e->cause, e->gap };
        uint8_t *p = buffer + 1;

        assert(e->old_name.size <= 255);
        buffer[0] = e->old_name.data ? REST_OLD_NAME : 0;
        for (size_t i = 0; i < REST_NUMBERS; i++) {
                uint64_t n = (uint64_t) numbers[i];

                if (n == 0)
                        continue;
                buffer[0] |= (uint8_t) (1 << i);
                for (; n > 0x7f; n >>= 7)
                        *p++ = (uint8_t) (n | 0x80);
                *p++ = (uint8_t) n;
        }
        if (buffer[0] == 0)
                return BYTES_NONE;
        if (e->old_name.size > 0)
                memcpy(p, e->old_name.data, e->old_name.size);
        return BYTES(buffer, (size_t) (p - buffer) + e->old_name.size);
}

static int take_groups(Bytes *rest, int64_t *ret) {
        uint64_t n = 0;

        for (unsigned shift = 0; rest->size > 0 && shift < 64; shift += 7) {
                uint8_t byte = rest->data[0];

                *rest = BYTES(rest->data + 1, rest->size - 1);
                n |= (uint64_t) (byte & 0x7f) << shift;
                if (byte < 0x80) {
                        *ret = (int64_t) n;
                        return 0;
                }
        }
        return -EBADMSG;
}

int event_take_rest(Event *e, Bytes rest) {
        int64_t numbers[REST_NUMBERS] = { 0 };
        uint8_t has;

        if (!rest.data)
                return 0;
        if (rest.size == 0 || rest.data[0] > REST_BITS)
                return -EBADMSG;
        has = rest.data[0];
        rest = BYTES(rest.data + 1, rest.size - 1);
        for (size_t i = 0; i < REST_NUMBERS; i++)
                if (has & 1 << i && take_groups(&rest, &numbers[i]) < 0)
                        return -EBADMSG;
        if (!(has & REST_OLD_NAME) && rest.size > 0)
                return -EBADMSG;
        e->replaces = numbers[0];
        e->old_parent = numbers[1];
        e->process = numbers[2];
        e->cause = (Cause) numbers[3];
        e->gap = numbers[4];
        e->old_name = has & REST_OLD_NAME ? rest : BYTES_NONE;
        return 0;
}
