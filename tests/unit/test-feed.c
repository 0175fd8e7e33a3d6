/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <stdbool.h>

#include "lib/feed.h"

enum { ROUNDS = 200, RUN_MAX = 1000 };

/* A seeded generator of our own, so that a failure comes back on every machine. */
static uint64_t seed = 20261124;
static uint8_t pool[RUN_MAX];

static uint64_t draw(void) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return seed >> 24 ^ seed << 40;
}

static void draw_U8(uint8_t *ret) {
        *ret = (uint8_t) draw();
}

static void draw_U16(uint16_t *ret) {
        *ret = (uint16_t) draw();
}

static void draw_U32(uint32_t *ret) {
        *ret = (uint32_t) draw();
}

static void draw_U64(uint64_t *ret) {
        *ret = draw();
}

static void draw_I64(int64_t *ret) {
        *ret = (int64_t) draw();
}

static void draw_BYTES(Bytes *ret) {
        size_t size = draw() % (RUN_MAX + 1);

        *ret = draw() % 4 == 0 ? BYTES_NONE : draw() % 4 == 0 ? BYTES(pool, 0) : BYTES(pool, size);
}

static void same_number(uint64_t a, uint64_t b) {
        assert_true(a == b);
}

static void same_BYTES(Bytes a, Bytes b) {
        assert_true(bytes_equal(a, b));
}

#define same_U8 same_number
#define same_U16 same_number
#define same_U32 same_number
#define same_U64 same_number
#define same_I64(a, b) same_number((uint64_t) (a), (uint64_t) (b))

/* The test walks the table by names, not by offsets as feed.c does: a wrong offset there shows here. */
static void draw_message(FeedType type, FeedMessage *ret) {
        *ret = (FeedMessage) { .type = type };
        switch (type) {
#define F(kind, field) draw_##kind(&here->field);
#define M(name, number, direction, ...)            \
        case FEED_##name: {                        \
                Feed_##name *here = &ret->name;    \
                __VA_ARGS__                        \
                break;                             \
        }
                FEED_TABLE(M)
#undef M
#undef F
        }
}

static void assert_same(const FeedMessage *a, const FeedMessage *b) {
        assert_int_equal(a->type, b->type);
        switch (a->type) {
#define F(kind, field) same_##kind(left->field, right->field);
#define M(name, number, direction, ...)            \
        case FEED_##name: {                        \
                const Feed_##name *left = &a->name;\
                const Feed_##name *right = &b->name;\
                __VA_ARGS__                        \
                break;                             \
        }
                FEED_TABLE(M)
#undef M
#undef F
        }
}

static const FeedType types[] = {
#define M(name, number, direction, ...) FEED_##name,
        FEED_TABLE(M)
#undef M
};

static int setup(void **state) {
        (void) state;
        for (size_t i = 0; i < sizeof(pool); i++)
                pool[i] = (uint8_t) draw();
        return 0;
}

/* Exactly as large as it says, so that the address sanitizer sees a byte read past its end. */
static Bytes exact_copy(const uint8_t *data, size_t size) {
        uint8_t *copy = malloc(size ? size : 1);

        assert_non_null(copy);
        memcpy(copy, data, size);
        return BYTES(copy, size);
}

static void every_message_comes_back_as_it_was(void **state) {
        static uint8_t frame[FEED_FRAME_MAX], again[FEED_FRAME_MAX];
        FeedMessage in, out;

        (void) state;
        for (int round = 0; round < ROUNDS; round++)
                for (size_t i = 0; i < ELEMENTS(types); i++) {
                        size_t size = 0, offset = 0, size_again = 0;

                        draw_message(types[i], &in);
                        assert_int_equal(feed_add(frame, &size, &in), 0);
                        assert_int_equal(feed_next(BYTES(frame, size), &offset, &out), 1);
                        assert_int_equal(offset, size);
                        assert_same(&in, &out);
                        assert_int_equal(feed_next(BYTES(frame, size), &offset, &out), 0);
                        assert_int_equal(feed_add(again, &size_again, &out), 0);
                        assert_int_equal(size_again, size);
                        assert_memory_equal(again, frame, size);
                }
}

static void a_frame_holds_many_messages_in_order(void **state) {
        static uint8_t frame[FEED_FRAME_MAX];
        FeedMessage sent[2 * ELEMENTS(types)], got;
        size_t size = 0, offset = 0;

        (void) state;
        for (size_t i = 0; i < ELEMENTS(sent); i++) {
                draw_message(types[i % ELEMENTS(types)], &sent[i]);
                assert_int_equal(feed_add(frame, &size, &sent[i]), 0);
        }
        for (size_t i = 0; i < ELEMENTS(sent); i++) {
                assert_int_equal(feed_next(BYTES(frame, size), &offset, &got), 1);
                assert_same(&sent[i], &got);
        }
        assert_int_equal(feed_next(BYTES(frame, size), &offset, &got), 0);
}

static void a_truncated_message_is_refused(void **state) {
        static uint8_t frame[FEED_FRAME_MAX];
        FeedMessage m, out;

        (void) state;
        for (size_t i = 0; i < ELEMENTS(types); i++) {
                size_t size = 0;

                draw_message(types[i], &m);
                assert_int_equal(feed_add(frame, &size, &m), 0);
                for (size_t cut = 1; cut < size; cut++) {
                        Bytes copy = exact_copy(frame, cut);
                        size_t offset = 0;

                        assert_int_equal(feed_next(copy, &offset, &out), -EBADMSG);
                        assert_int_equal(offset, 0);
                        free((void *) copy.data);
                }
        }
}

/* The header tells another length than the fields need: too short at any place, or with bytes left over. */
static void a_body_of_another_length_is_refused(void **state) {
        static uint8_t frame[FEED_FRAME_MAX];
        FeedMessage m, out;

        (void) state;
        for (size_t i = 0; i < ELEMENTS(types); i++) {
                size_t size = 0;

                draw_message(types[i], &m);
                assert_int_equal(feed_add(frame, &size, &m), 0);
                for (size_t body = 0; body <= size; body++) {
                        Bytes copy = exact_copy(frame, 4 + body);
                        size_t offset = 0;

                        ((uint8_t *) copy.data)[2] = (uint8_t) body;
                        ((uint8_t *) copy.data)[3] = (uint8_t) (body >> 8);
                        assert_int_equal(feed_next(copy, &offset, &out), body == size - 4 ? 1 : -EBADMSG);
                        free((void *) copy.data);
                }
        }
}

static void an_unknown_type_is_refused(void **state) {
        static uint8_t frame[4];
        static bool known[UINT16_MAX + 1];
        FeedMessage m = { .type = 0 };
        size_t size = 0;

        (void) state;
        for (size_t i = 0; i < ELEMENTS(types); i++)
                known[types[i]] = true;
        assert_int_equal(feed_add(frame, &size, &m), -EINVAL);
        assert_int_equal(size, 0);
        for (unsigned type = 0; type <= UINT16_MAX; type++) {
                if (known[type])
                        continue;
                frame[0] = (uint8_t) type;
                frame[1] = (uint8_t) (type >> 8);
                assert_int_equal(feed_next(BYTES(frame, 4), &(size_t){ 0 }, &m), -EBADMSG);
        }
}

static void a_full_frame_takes_no_more_and_stays_as_it_is(void **state) {
        static uint8_t frame[FEED_FRAME_MAX];
        FeedMessage m = { .type = FEED_UNWATCH, .UNWATCH.root = 7 }, out;
        size_t size = 0, offset = 0, taken = 0, seen = 0;
        int r;

        (void) state;
        while ((r = feed_add(frame, &size, &m)) == 0)
                taken++;
        assert_int_equal(r, FEED_E_FULL);
        assert_int_equal(size, FEED_FRAME_MAX);         /* 8 bytes each: filled to the last one */
        assert_int_equal(taken, FEED_FRAME_MAX / 8);
        while (feed_next(BYTES(frame, size), &offset, &out) == 1)
                seen++;
        assert_int_equal(seen, taken);
}

/* What is left at the end is less than a message, by one byte at least and by all but one at most. */
static void a_frame_is_never_overrun(void **state) {
        FeedMessage m = { .type = FEED_UNWATCH }, odd = { .type = FEED_EXCLUDE };

        (void) state;
        for (size_t extra = 0; extra < 8; extra++) {
                uint8_t *frame = malloc(FEED_FRAME_MAX);
                size_t size = 0;

                assert_non_null(frame);
                odd.EXCLUDE.path = BYTES(pool, extra);
                assert_int_equal(feed_add(frame, &size, &odd), 0);
                while (feed_add(frame, &size, &m) == 0)
                        ;
                assert_true(size <= FEED_FRAME_MAX && size > FEED_FRAME_MAX - 8);
                free(frame);
        }
}

static void a_message_that_fits_nowhere_is_not_taken(void **state) {
        static uint8_t frame[FEED_FRAME_MAX], run[2 * FEED_FRAME_MAX];
        FeedMessage m = { .type = FEED_EXCLUDE };
        size_t size = 0;

        (void) state;
        m.EXCLUDE.path = BYTES(run, FEED_BODY_MAX - 2);
        assert_int_equal(feed_add(frame, &size, &m), 0);
        assert_int_equal(size, 4 + FEED_BODY_MAX);
        for (size_t i = FEED_BODY_MAX - 1; i <= sizeof(run); i += i < FEED_BODY_MAX + 2 ? 1 : 61) {
                m.EXCLUDE.path.size = i;
                assert_int_equal(feed_add(frame, &size, &m), -EMSGSIZE);
        }
        m.EXCLUDE.path.size = SIZE_MAX - 1;
        assert_int_equal(feed_add(frame, &size, &m), -EMSGSIZE);
        assert_int_equal(size, 4 + FEED_BODY_MAX);
}

static void a_body_over_the_limit_is_refused(void **state) {
        static uint8_t frame[FEED_FRAME_MAX];
        size_t size = FEED_BODY_MAX + 1;
        FeedMessage m;

        (void) state;
        frame[0] = FEED_EXCLUDE;
        frame[2] = (uint8_t) size;
        frame[3] = (uint8_t) (size >> 8);
        frame[4] = (uint8_t) (size - 2);
        frame[5] = (uint8_t) ((size - 2) >> 8);
        assert_int_equal(feed_next(BYTES(frame, 4 + size), &(size_t){ 0 }, &m), -EBADMSG);
}

static void the_wire_is_little_endian(void **state) {
        static const uint8_t expected[] = { 34, 0, 30, 0, 4, 3, 2, 1, 2, 8, 7, 6, 5, 3, 0, '/', 'a', 0xFF,
                                            9, 8, 0, 0, 0, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                            0xFF };
        static uint8_t frame[FEED_FRAME_MAX];
        FeedMessage m = { .type = FEED_WATCH };
        size_t size = 0;

        (void) state;
        m.WATCH = (Feed_WATCH) { .root = 0x01020304, .origin = 2, .walk = 0x05060708,
                                 .path = BYTES("/a\xFF", 3), .inode = 0x0809, .btime = -2 };
        assert_int_equal(feed_add(frame, &size, &m), 0);
        assert_int_equal(size, sizeof(expected));
        assert_memory_equal(frame, expected, sizeof(expected));
}

static void an_absent_run_is_not_an_empty_one(void **state) {
        static uint8_t frame[FEED_FRAME_MAX];
        FeedMessage m = { .type = FEED_EXCLUDE }, out;
        size_t size = 0, offset = 0;

        (void) state;
        assert_int_equal(feed_add(frame, &size, &m), 0);
        m.EXCLUDE.path = BYTES("", 0);
        assert_int_equal(feed_add(frame, &size, &m), 0);
        assert_int_equal(feed_next(BYTES(frame, size), &offset, &out), 1);
        assert_null(out.EXCLUDE.path.data);
        assert_int_equal(feed_next(BYTES(frame, size), &offset, &out), 1);
        assert_non_null(out.EXCLUDE.path.data);
        assert_int_equal(out.EXCLUDE.path.size, 0);
}

/* Good frames with bytes changed: whatever is taken encodes to exactly what was read. */
static void what_is_taken_encodes_to_the_same_bytes(void **state) {
        static uint8_t frame[FEED_FRAME_MAX], again[FEED_FRAME_MAX];
        size_t taken = 0;
        FeedMessage m;

        (void) state;
        for (int round = 0; round < 20000; round++) {
                size_t size = 0, size_again = 0, offset = 0;

                draw_message(types[draw() % ELEMENTS(types)], &m);
                assert_int_equal(feed_add(frame, &size, &m), 0);
                for (uint64_t n = draw() % 4; n > 0; n--)
                        frame[draw() % size] = (uint8_t) draw();
                if (feed_next(BYTES(frame, size), &offset, &m) != 1)
                        continue;
                taken++;
                assert_int_equal(feed_add(again, &size_again, &m), 0);
                assert_int_equal(size_again, offset);
                assert_memory_equal(again, frame, offset);
        }
        assert_true(taken > 1000);
}

/* docs/FORMATS.md has a row a message: "| number | NAME | down | field kind, field kind |". */
static void the_document_has_the_same_messages(void **state) {
        const char *source = getenv("SCITRACE_SOURCE");
        char path[4096], text[1 << 16], row[1024];
        size_t n;
        FILE *f;

        (void) state;
        snprintf(path, sizeof(path), "%s/docs/FORMATS.md", source ? source : ".");
        f = fopen(path, "r");
        assert_non_null(f);
        n = fread(text, 1, sizeof(text) - 1, f);
        text[n] = '\0';
        fclose(f);

#define WORD_U8 "u8"
#define WORD_U16 "u16"
#define WORD_U32 "u32"
#define WORD_U64 "u64"
#define WORD_I64 "i64"
#define WORD_BYTES "bytes"
#define WORD_D "down"
#define WORD_U "up"
#define F(kind, field) #field " " WORD_##kind ", "
#define M(name, number, direction, ...) "| " #number " | " #name " | " WORD_##direction " | " __VA_ARGS__,
        static const char *const rows[] = { FEED_TABLE(M) };
#undef M
#undef F

        for (size_t i = 0; i < ELEMENTS(rows); i++) {
                snprintf(row, sizeof(row), "\n%.*s |\n", (int) strlen(rows[i]) - 2, rows[i]);
                if (!strstr(text, row))
                        fail_msg("docs/FORMATS.md lacks:%s", row);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_message_comes_back_as_it_was),
                cmocka_unit_test(a_frame_holds_many_messages_in_order),
                cmocka_unit_test(a_truncated_message_is_refused),
                cmocka_unit_test(a_body_of_another_length_is_refused),
                cmocka_unit_test(an_unknown_type_is_refused),
                cmocka_unit_test(a_full_frame_takes_no_more_and_stays_as_it_is),
                cmocka_unit_test(a_frame_is_never_overrun),
                cmocka_unit_test(a_message_that_fits_nowhere_is_not_taken),
                cmocka_unit_test(a_body_over_the_limit_is_refused),
                cmocka_unit_test(the_wire_is_little_endian),
                cmocka_unit_test(an_absent_run_is_not_an_empty_one),
                cmocka_unit_test(what_is_taken_encodes_to_the_same_bytes),
                cmocka_unit_test(the_document_has_the_same_messages),
        };

        return cmocka_run_group_tests(tests, setup, NULL);
}
