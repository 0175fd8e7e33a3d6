/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <stdbool.h>

#include "daemon/store/event.h"

enum { LINE_MAX_ = 4096 };

typedef struct Vector {
        Event event;
        uint8_t bytes[LINE_MAX_];
        size_t size;
        uint8_t store[LINE_MAX_];       /* what the event's runs of bytes borrow from */
        size_t used;
} Vector;

static Bytes keep(Vector *v, const char *text, bool hex) {
        uint8_t *start = v->store + v->used, *p = start;
        unsigned byte;

        while (*text) {
                if (hex || *text == '%') {
                        assert_int_equal(sscanf(text + !hex, "%2x", &byte), 1);
                        *p++ = (uint8_t) byte;
                        text += hex ? 2 : 3;
                } else
                        *p++ = (uint8_t) *text++;
        }
        v->used = (size_t) (p - v->store) + 1;
        return BYTES(start, (size_t) (p - start));
}

static int64_t number_of(const char *text) {
        if (strncmp(text, "0o", 2) == 0)
                return strtoll(text + 2, NULL, 8);
        return strtoll(text, NULL, 10);
}

static Cause cause_of(const char *word) {
        int cause = 1;

        while (strcmp(cause_to_word(cause), word) != 0)
                cause++;
        return (Cause) cause;
}

typedef struct Setter {
        const char *key;
        enum { I64, U32, RUN, HEX, ID, WORD_KIND, WORD_ORIGIN, WORD_TYPE, WORD_CAUSE, SOURCE } form;
        size_t offset;
} Setter;

#define AT(field) offsetof(Event, field)
static const Setter setters[] = {
        { "seq", I64, AT(seq) },
        { "first", I64, AT(first) },
        { "last", I64, AT(last) },
        { "boot-id", ID, AT(boot) },
        { "dataset-uuid", ID, AT(dataset_uuid) },
        { "kind", WORD_KIND, AT(kind) },
        { "origin", WORD_ORIGIN, AT(origin) },
        { "count", I64, AT(count) },
        { "node", I64, AT(node) },
        { "parent", I64, AT(parent) },
        { "name", RUN, AT(name) },
        { "old-parent", I64, AT(old_parent) },
        { "old-name", RUN, AT(old_name) },
        { "replaces", I64, AT(replaces) },
        { "inode", I64, AT(inode) },
        { "btime", I64, AT(btime) },
        { "type", WORD_TYPE, AT(type) },
        { "size", I64, AT(size) },
        { "mode", U32, AT(mode) },
        { "uid", U32, AT(uid) },
        { "gid", U32, AT(gid) },
        { "mtime", I64, AT(mtime) },
        { "digest", HEX, AT(digest) },
        { "digest-source", SOURCE, AT(digest_source) },
        { "target", RUN, AT(target) },
        { "process", I64, AT(process) },
        { "cause", WORD_CAUSE, AT(cause) },
        { "gap", I64, AT(gap) },
        { "detail", RUN, AT(detail) },
};

static void set_field(Vector *v, const Setter *s, const char *value) {
        char *field = (char *) &v->event + s->offset;

        switch (s->form) {
        case I64:
                *(int64_t *) field = number_of(value);
                break;
        case U32:
                *(uint32_t *) field = (uint32_t) number_of(value);
                break;
        case RUN:
        case HEX:
                *(Bytes *) field = keep(v, value, s->form == HEX);
                break;
        case ID:
                memcpy(field, keep(v, value, true).data, EVENT_ID_SIZE);
                break;
        case WORD_KIND:
                v->event.kind = (Kind) kind_from_word(value);
                break;
        case WORD_ORIGIN:
                v->event.origin = (Origin) origin_from_word(value);
                break;
        case WORD_TYPE:
                v->event.type = (Type) type_from_word(value);
                v->event.has_state = true;
                break;
        case WORD_CAUSE:
                v->event.cause = cause_of(value);
                break;
        case SOURCE:
                v->event.digest_source = strcmp(value, "read") == 0 ? DIGEST_SOURCE_READ : DIGEST_SOURCE_KEY;
                break;
        }
        if (strcmp(s->key, "inode") == 0)
                v->event.introduces = true;
}

static void read_vector(char *line, Vector *v) {
        char *colon = strstr(line, ": "), *word;
        Bytes b;

        assert_non_null(colon);
        *colon = 0;
        *v = (Vector) { 0 };
        colon[2 + strcspn(colon + 2, "\n")] = 0;
        b = keep(v, colon + 2, true);
        memcpy(v->bytes, b.data, b.size);
        v->size = b.size;
        while ((word = strsep(&line, " "))) {
                char *value = strchr(word, '=');
                size_t i = 0;

                *value++ = 0;
                while (i < ELEMENTS(setters) && strcmp(setters[i].key, word) != 0)
                        i++;
                assert_true(i < ELEMENTS(setters));
                set_field(v, &setters[i], value);
        }
}

static void for_each_vector(void (*fn)(Vector *v)) {
        static Vector v;
        static char line[LINE_MAX_];
        const char *source = getenv("SCITRACE_SOURCE");
        char path[4096];
        int n = 0;
        FILE *f;

        snprintf(path, sizeof(path), "%s/tests/data/event-vectors.txt", source ? source : ".");
        f = fopen(path, "r");
        assert_non_null(f);
        while (fgets(line, sizeof(line), f))
                if (line[0] != '#') {
                        read_vector(line, &v);
                        fn(&v);
                        n++;
                }
        fclose(f);
        assert_true(n >= 3);
}

static void check_format(Vector *v) {
        uint8_t *bytes = NULL;
        size_t size = 0;

        assert_int_equal(event_format(&v->event, &bytes, &size), 0);
        assert_int_equal(size, v->size);
        assert_memory_equal(bytes, v->bytes, size);
        free(bytes);
}

static void events_have_the_documented_bytes(void **state) {
        (void) state;
        for_each_vector(check_format);
}

static void check_parse(Vector *v) {
        Event e = { 0 };

        assert_int_equal(event_parse(BYTES(v->bytes, v->size), &e), 0);
        assert_int_equal(e.seq, v->event.seq);
        assert_int_equal(e.first, v->event.first);
        assert_int_equal(e.kind, v->event.kind);
        assert_int_equal(e.introduces, v->event.introduces);
        assert_int_equal(e.inode, v->event.inode);
        assert_int_equal(e.has_state, v->event.has_state);
        assert_int_equal(e.gid, v->event.gid);
        assert_true(bytes_equal(e.name, v->event.name));
        assert_true(bytes_equal(e.old_name, v->event.old_name));
        assert_true(bytes_equal(e.digest, v->event.digest));
        assert_true(bytes_equal(e.target, v->event.target));
        assert_true(bytes_equal(e.detail, v->event.detail));
}

static void the_bytes_are_read_back(void **state) {
        (void) state;
        for_each_vector(check_parse);
}

/* One byte changed: either refused, or another event whose bytes these are. */
static void check_mutations(Vector *v) {
        for (size_t i = 0; i < v->size; i++)
                for (int bit = 0; bit < 8; bit++) {
                        uint8_t *bytes = NULL;
                        size_t size = 0;
                        Event e;

                        v->bytes[i] ^= (uint8_t) (1 << bit);
                        if (event_parse(BYTES(v->bytes, v->size), &e) == 0) {
                                assert_int_equal(event_format(&e, &bytes, &size), 0);
                                assert_int_equal(size, v->size);
                                assert_memory_equal(bytes, v->bytes, size);
                                free(bytes);
                        }
                        v->bytes[i] ^= (uint8_t) (1 << bit);
                }
}

static void an_event_has_one_encoding(void **state) {
        (void) state;
        for_each_vector(check_mutations);
}

static void check_cut(Vector *v) {
        Event e = { .seq = 4711 };

        for (size_t size = 0; size < v->size; size++) {
                CLEANUP(freep) uint8_t *cut = malloc(size + 1);        /* so that reading past it is seen */

                memcpy(cut, v->bytes, size);
                assert_int_equal(event_parse(BYTES(cut, size), &e), -EBADMSG);
        }
        v->bytes[v->size] = 0;
        assert_int_equal(event_parse(BYTES(v->bytes, v->size + 1), &e), -EBADMSG);
        assert_int_equal(e.seq, 4711);
}

static void what_is_cut_or_longer_is_refused(void **state) {
        (void) state;
        for_each_vector(check_cut);
}

/* What its row keeps in one column each, and gives back. */
static void check_columns(Vector *v) {
        CLEANUP(freep) uint8_t *exact = NULL, *bytes = NULL;    /* exact: so that reading past it is seen */
        uint8_t buffer[EVENT_REST_MAX];
        const Event *was = &v->event;
        Event e = *was;
        size_t size;
        Bytes rest;

        if (was->count < 0 || was->count > EVENT_COUNT_MAX || was->old_name.size > 255)
                return;                 /* the store takes no such event */
        e.kind = 0;
        e.origin = 0;
        e.digest_source = DIGEST_SOURCE_NONE;
        e.count = e.replaces = e.old_parent = e.process = e.gap = 0;
        e.cause = CAUSE_NONE;
        e.old_name = BYTES_NONE;
        e.btime = event_btime(event_lived(was->btime, was->mtime), was->mtime);
        event_take_what(&e, event_what(was));
        rest = event_rest(was, buffer);
        if (rest.data) {
                exact = malloc(rest.size);
                memcpy(exact, rest.data, rest.size);
                assert_int_equal(event_take_rest(&e, BYTES(exact, 0)), -EBADMSG);
                assert_int_equal(event_take_rest(&e, BYTES(exact, 1)), rest.size > 1 && exact[0] != 32 ? -EBADMSG : 0);
                rest.data = exact;
        }
        assert_int_equal(event_take_rest(&e, rest), 0);
        assert_int_equal(event_format(&e, &bytes, &size), 0);
        assert_int_equal(size, v->size);
        assert_memory_equal(bytes, v->bytes, size);
}

static void its_columns_are_read_back(void **state) {
        Event e = { .kind = KIND_STORE_LOST, .origin = ORIGIN_IMPORT, .digest_source = DIGEST_SOURCE_KEY,
                    .count = EVENT_COUNT_MAX }, got = { 0 };

        (void) state;
        for_each_vector(check_columns);
        event_take_what(&got, event_what(&e));
        assert_int_equal(got.kind, e.kind);
        assert_int_equal(got.origin, e.origin);
        assert_int_equal(got.digest_source, e.digest_source);
        assert_int_equal(got.count, e.count);
        assert_int_equal(event_take_rest(&got, BYTES("\x40", 1)), -EBADMSG);    /* no such field */
        assert_int_equal(event_take_rest(&got, BYTES("\x01\x05\x78", 3)), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(events_have_the_documented_bytes),
                cmocka_unit_test(the_bytes_are_read_back),
                cmocka_unit_test(an_event_has_one_encoding),
                cmocka_unit_test(what_is_cut_or_longer_is_refused),
                cmocka_unit_test(its_columns_are_read_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
