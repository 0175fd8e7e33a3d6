/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <openssl/evp.h>

#include "daemon/identify/identify.h"
#include "lib/annex.h"
#include "tests/lib/identify.h"
#include "tests/lib/place.h"

enum { MIB = 1024 * 1024, SIZE = 3 * MIB + 777 };

/* Past the clock's tick: what is just written is racy, and a change in the same tick would not show. */
static void await_rest(const Place *p, const char *name) {
        int64_t end = now_usec(CLOCK_MONOTONIC) + 5 * (int64_t) USEC_PER_SEC;
        IdentifyContent content;
        IdentifyState state;
        int r;

        do {
                IdentifyReading reading = { 0 };

                r = identify_name(p->fd, name, &(IdentifyLimits) { 0 }, &reading, &state, &content);
        } while (r == IDENTIFY_E_RACY && now_usec(CLOCK_MONOTONIC) < end);
        assert_int_equal(r, IDENTIFY_DONE);
}

static uint8_t *make_file(const Place *p, const char *name, size_t size) {
        uint8_t *data = malloc(size);
        uint32_t x = 99;

        assert_non_null(data);
        for (size_t i = 0; i < size; i++) {
                x = x * 1664525 + 1013904223;
                data[i] = (uint8_t) (x >> 24);
        }
        place_write(p->fd, name, data, size);
        await_rest(p, name);
        return data;
}

static void assert_digest(const uint8_t *data, size_t size, const uint8_t digest[32]) {
        uint8_t expected[32];

        assert_int_equal(EVP_Digest(data, size, expected, NULL, EVP_sha256(), NULL), 1);
        assert_memory_equal(digest, expected, 32);
}

/* Ends a slice after so many bytes. */
static int until(void *userdata, int64_t done) {
        return done >= *(int64_t *) userdata;
}

static int slice(const Place *p, IdentifyReading *reading, int64_t end, IdentifyContent *content) {
        IdentifyLimits limits = { .pause = until, .userdata = &end };
        IdentifyState state;

        return identify_name(p->fd, "f", &limits, reading, &state, content);
}

static int open_descriptors(void) {
        int n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void a_digest_in_slices_is_that_of_the_whole(void **state) {
        IdentifyReading reading = { 0 };
        IdentifyContent content;
        Place *p = *state;
        uint8_t *data = make_file(p, "f", SIZE);
        int slices = 0, before = open_descriptors();
        int64_t end = 1;

        for (; slice(p, &reading, end, &content) == IDENTIFY_E_PAUSED; end += 200000, slices++) {
                assert_true(reading.done >= end && reading.done % 64 == 0);
                assert_int_equal(open_descriptors(), before);
        }
        assert_true(slices > 10);
        assert_digest(data, SIZE, content.digest);
        free(data);
}

static void a_reading_is_kept_as_bytes_and_goes_on_in_another_process(void **state) {
        uint8_t saved[IDENTIFY_READING_SIZE];
        IdentifyReading reading = { 0 }, again;
        IdentifyContent content;
        Place *p = *state;
        uint8_t *data = make_file(p, "f", SIZE), whole[32];

        assert_int_equal(slice(p, &reading, MIB, &content), IDENTIFY_E_PAUSED);
        identify_reading_save(&reading, saved);
        assert_true(identify_reading_load(BYTES(saved, sizeof(saved)), &again));
        assert_int_equal(again.done, MIB);
        assert_int_equal(slice(p, &again, INT64_MAX, &content), IDENTIFY_DONE);
        assert_digest(data, SIZE, content.digest);

        /* it did not read the beginning again: with another state there, another digest comes */
        assert_true(identify_reading_load(BYTES(saved, sizeof(saved)), &again));
        again.hash[0] ^= 1;
        assert_int_equal(slice(p, &again, INT64_MAX, &content), IDENTIFY_DONE);
        assert_int_equal(EVP_Digest(data, SIZE, whole, NULL, EVP_sha256(), NULL), 1);
        assert_memory_not_equal(content.digest, whole, 32);
        free(data);
}

static void a_damaged_reading_is_none(void **state) {
        uint8_t saved[IDENTIFY_READING_SIZE];
        IdentifyReading reading = { 0 }, again;
        IdentifyContent content;
        Place *p = *state;

        free(make_file(p, "f", SIZE));
        assert_int_equal(slice(p, &reading, MIB, &content), IDENTIFY_E_PAUSED);
        identify_reading_save(&reading, saved);
        for (size_t i = 0; i < sizeof(saved); i++) {
                saved[i] ^= 0x10;
                assert_false(identify_reading_load(BYTES(saved, sizeof(saved)), &again));
                saved[i] ^= 0x10;
        }
        assert_false(identify_reading_load(BYTES(saved, sizeof(saved) - 1), &again));
        assert_false(identify_reading_load(BYTES_NONE, &again));
        assert_true(identify_reading_load(BYTES(saved, sizeof(saved)), &again));
}

static void write_at(const Place *p, const char *data, off_t at) {
        int fd = openat(p->fd, "f", O_WRONLY | O_CLOEXEC);

        assert_int_equal(pwrite(fd, data, 1, at), 1);
        close(fd);
}

static void set_times_back(const Place *p) {
        struct stat st;

        assert_int_equal(fstatat(p->fd, "f", &st, 0), 0);
        write_at(p, "!", 5);
        assert_int_equal(utimensat(p->fd, "f", (struct timespec[]){ st.st_atim, st.st_mtim }, 0), 0);
}

static void append(const Place *p) {
        write_at(p, "x", SIZE);
}

static void shorten(const Place *p) {
        int fd = openat(p->fd, "f", O_WRONLY | O_CLOEXEC);

        assert_int_equal(ftruncate(fd, 10), 0);
        close(fd);
}

static void replace(const Place *p) {
        free(make_file(p, "g", SIZE));
        assert_int_equal(renameat(p->fd, "g", p->fd, "f"), 0);
}

static void what_changes_between_two_slices_is_no_version(void **state) {
        void (*const ways[])(const Place *) = { set_times_back, append, shorten, replace };
        Place *p = *state;

        for (size_t i = 0; i < ELEMENTS(ways); i++) {
                IdentifyReading reading = { 0 };
                IdentifyContent content;

                free(make_file(p, "f", SIZE));
                assert_int_equal(slice(p, &reading, MIB, &content), IDENTIFY_E_PAUSED);
                ways[i](p);
                assert_int_equal(slice(p, &reading, INT64_MAX, &content), IDENTIFY_E_CHANGED);
        }
}

/* Holes that begin and end anywhere do not keep a slice from ending. */
static void a_sparse_file_is_read_in_slices_too(void **state) {
        IdentifyReading reading = { 0 };
        IdentifyContent content;
        Place *p = *state;
        uint8_t *whole = calloc(1, 20 * MIB + 5);
        int fd = openat(p->fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644), slices = 0;
        int64_t end = 1;

        assert_int_equal(ftruncate(fd, 20 * MIB + 5), 0);
        assert_int_equal(pwrite(fd, "abc", 3, 9 * MIB + 12345), 3);
        close(fd);
        memcpy(whole + 9 * MIB + 12345, "abc", 3);
        await_rest(p, "f");
        for (; slice(p, &reading, end, &content) == IDENTIFY_E_PAUSED; end = reading.done + 1)
                slices++;
        assert_int_equal(slices, 160);
        assert_digest(whole, 20 * MIB + 5, content.digest);
        free(whole);
}

#define KEY "SHA256E-s6--5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03.txt"

static void a_pointer_file_tells_its_key(void **state) {
        static const char pointer[] = "/annex/objects/" KEY "\n";
        IdentifyReading reading = { 0 };
        IdentifyContent content;
        Place *p = *state;

        place_write(p->fd, "f", pointer, strlen(pointer));
        assert_true(slice(p, &reading, INT64_MAX, &content) >= 0);
        assert_int_equal(content.key_size, strlen(KEY));
        assert_memory_equal(content.key, KEY, strlen(KEY));
        assert_digest((const uint8_t *) pointer, strlen(pointer), content.digest);

        place_write(p->fd, "f", "plain text", 10);
        reading = (IdentifyReading) { 0 };
        assert_true(slice(p, &reading, INT64_MAX, &content) >= 0);
        assert_int_equal(content.key_size, 0);
}

static void an_object_is_known_by_its_key_unless_it_can_be_written(void **state) {
        static const char folder[] = ".git/annex/objects/mK/4w/" KEY;
        IdentifyState s = { .mode = S_IFREG | 0444, .nlink = 1, .size = 6 };
        uint8_t digest[32] = { 0 };

        (void) state;
        assert_true(identify_object(folder, KEY, &s, digest));
        assert_int_equal(digest[0], 0x58);
        assert_false(identify_object("mK/4w/" KEY, KEY, &s, digest));
        assert_false(identify_object(".git/annex/tmp", KEY, &s, digest));
        assert_false(identify_object(folder, "other", &s, digest));
        s.size = 7;
        assert_false(identify_object(folder, KEY, &s, digest));
        s.size = 6;
        s.mode = S_IFREG | 0644;
        assert_false(identify_object(folder, KEY, &s, digest));
        s.mode = S_IFREG | 0444;
        s.nlink = 2;                    /* annex.thin: the unlocked file itself */
        assert_false(identify_object(folder, KEY, &s, digest));
        s.nlink = 1;
        s.mode = S_IFLNK | 0444;
        assert_false(identify_object(folder, KEY, &s, digest));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                PLACE_TEST(a_digest_in_slices_is_that_of_the_whole),
                PLACE_TEST(a_reading_is_kept_as_bytes_and_goes_on_in_another_process),
                PLACE_TEST(a_damaged_reading_is_none),
                PLACE_TEST(what_changes_between_two_slices_is_no_version),
                PLACE_TEST(a_sparse_file_is_read_in_slices_too),
                PLACE_TEST(a_pointer_file_tells_its_key),
                cmocka_unit_test(an_object_is_known_by_its_key_unless_it_can_be_written),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
