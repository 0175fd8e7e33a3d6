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

/* Field by field, as docs/FORMATS.md numbers them. A field is an integer, or a run of bytes. */
typedef struct Field {
        bool integer, present;
        int64_t number;
        Bytes bytes;
} Field;

static Field number(int64_t n) {
        return (Field) { .integer = true, .present = true, .number = n };
}

static Field number_if(bool present, int64_t n) {
        return (Field) { .integer = true, .present = present, .number = n };
}

static Field run(Bytes b) {
        return (Field) { .present = b.data != NULL, .bytes = b };
}

static void fields_of(const Event *e, Field f[static FIELD_COUNT]) {
        Field *p = f;

        *p++ = number(e->seq);
        *p++ = number(e->first);
        *p++ = number(e->last);
        *p++ = run(BYTES(e->boot, EVENT_ID_SIZE));
        *p++ = run(BYTES(e->dataset_uuid, EVENT_ID_SIZE));
        *p++ = number(e->kind);
        *p++ = number(e->origin);
        *p++ = number(e->count);
        *p++ = number_if(e->node != 0, e->node);
        *p++ = number_if(e->parent != 0, e->parent);
        *p++ = run(e->name);
        *p++ = number_if(e->old_parent != 0, e->old_parent);
        *p++ = run(e->old_name);
        *p++ = number_if(e->replaces != 0, e->replaces);
        *p++ = number_if(e->introduces, (int64_t) e->inode);
        *p++ = number_if(e->introduces, e->btime);
        *p++ = number_if(e->has_state, e->type);
        *p++ = number_if(e->has_state, e->size);
        *p++ = number_if(e->has_state, e->mode);
        *p++ = number_if(e->has_state, e->uid);
        *p++ = number_if(e->has_state, e->gid);
        *p++ = number_if(e->has_state, e->mtime);
        *p++ = run(e->digest);
        *p++ = number_if(e->digest_source != 0, e->digest_source);
        *p++ = run(e->target);
        *p++ = number_if(e->process != 0, e->process);
        *p++ = number_if(e->cause != 0, e->cause);
        *p++ = number_if(e->gap != 0, e->gap);
        *p++ = run(e->detail);
        assert(p == f + FIELD_COUNT);
}

static size_t field_size(const Field *f) {
        if (!f->present)
                return LENGTH_SIZE;
        return LENGTH_SIZE + (f->integer ? INTEGER_SIZE : f->bytes.size);
}

static uint8_t *put(uint8_t *p, const void *data, size_t size) {
        if (size > 0)
                memcpy(p, data, size);
        return p + size;
}

static uint8_t *put_field(uint8_t *p, const Field *f) {
        uint32_t length = htobe32(f->present ? (uint32_t) (field_size(f) - LENGTH_SIZE) : ABSENT);
        uint64_t n = htobe64((uint64_t) f->number);

        p = put(p, &length, sizeof(length));
        if (!f->present)
                return p;
        return f->integer ? put(p, &n, sizeof(n)) : put(p, f->bytes.data, f->bytes.size);
}

int event_put(const Event *e, size_t before, uint8_t **buffer, size_t *max, size_t *ret_size) {
        Field fields[FIELD_COUNT];
        size_t size = before + 1;
        uint8_t *p;

        assert(e);
        assert(buffer);
        assert(ret_size);

        fields_of(e, fields);
        for (int i = 0; i < FIELD_COUNT; i++)
                size += field_size(&fields[i]);

        if (*max < size) {
                p = realloc(*buffer, 2 * size);
                if (!p)
                        return -ENOMEM;
                *buffer = p;
                *max = 2 * size;
        }
        p = *buffer + before;
        *p++ = VERSION;
        for (int i = 0; i < FIELD_COUNT; i++)
                p = put_field(p, &fields[i]);
        assert(p == *buffer + size);

        *ret_size = size;
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
