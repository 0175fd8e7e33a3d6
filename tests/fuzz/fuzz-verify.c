/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ftw.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "daemon/store/reader.h"
#include "daemon/store/store.h"
#include "daemon/store/verify.h"
#include "tests/fuzz/fuzz.h"

enum { EVENTS = 300, NOW = 1800000000 };

static uint8_t *pristine;
static int64_t pristine_size;
static uint64_t pristine_said;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void) st, (void) type, (void) ftw;
        return remove(path);
}

static void must(bool good) {
        if (!good)
                abort();
}

/* What the rows say, as one number. False: they cannot be read. */
static bool say(sqlite3 *db, uint64_t *ret) {
        Reader *reader = NULL;
        uint8_t *bytes = NULL;
        size_t max = 0, n;
        uint64_t h = 1469598103934665603u;
        Event e;
        int k;

        must(reader_new(db, &reader) == 0);
        while ((k = reader_next(reader, &e)) == READER_EVENT) {
                must(event_put(&e, 0, &bytes, &max, &n) == 0);
                for (size_t i = 0; i < n; i++)
                        h = (h ^ bytes[i]) * 1099511628211u;
        }
        reader_free(reader);
        free(bytes);
        *ret = h;
        return k == 0;
}

static void add_events(Store *s) {
        StoreSeal seal;

        for (int i = 0; i < EVENTS; i++) {
                Event e = { .kind = KIND_CLOCK_STEP, .origin = ORIGIN_LIVE, .count = i, .first = i, .last = i,
                            .detail = BYTES("some words", 10) };

                must(store_append(s, &e, NULL) == 0);
        }
        must(store_seal(s, &seal) == 0);
        store_seal_done(&seal);
}

static sqlite3 *open_bytes(const uint8_t *data, int64_t size) {
        uint8_t *copy = sqlite3_malloc64((sqlite3_uint64) size);
        sqlite3 *db = NULL;

        must(copy && sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
        memcpy(copy, data, (size_t) size);
        must(sqlite3_deserialize(db, "main", copy, size, size, SQLITE_DESERIALIZE_FREEONCLOSE) == SQLITE_OK);
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        return db;
}

static void make_pristine(void) {
        char dir[] = "/tmp/scitrace-fuzz-XXXXXX";
        static const uint8_t boot[EVENT_ID_SIZE];
        FILE *file = tmpfile();
        Store *s = NULL;
        sqlite3 *db;

        must(mkdtemp(dir) && file && store_open(dir, &s) == 0);
        must(store_begin(s, NOW * (int64_t) USEC_PER_SEC, 1, boot) == 0);
        add_events(s);
        must(store_commit(s) == 0 && store_backup(s, fileno(file), &pristine_size, NULL) == 0);
        store_close(s);
        nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        pristine = malloc((size_t) pristine_size);
        must(pristine && pread(fileno(file), pristine, (size_t) pristine_size, 0) == pristine_size);
        fclose(file);
        db = open_bytes(pristine, pristine_size);
        must(say(db, &pristine_said));
        sqlite3_close(db);
}

/* A sealed store in which bytes are overwritten: six bytes of the input are where, and two others. Whatever it is then,
 * it is looked at without harm, and not called sound when the events say something else. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Verify v = { .now = (NOW + 1) * (int64_t) USEC_PER_SEC };
        VerifyResult result;
        uint8_t *bytes;
        uint64_t said;
        sqlite3 *db;

        if (!pristine)
                make_pristine();
        bytes = malloc((size_t) pristine_size);
        must(bytes != NULL);
        memcpy(bytes, pristine, (size_t) pristine_size);
        for (size_t i = 0; i + 6 <= size && i < 60; i += 6) {
                uint32_t at = (uint32_t) data[i] << 24 | (uint32_t) data[i + 1] << 16 | (uint32_t) data[i + 2] << 8 |
                              data[i + 3];

                at %= (uint32_t) pristine_size - 1;
                bytes[at] = data[i + 4];
                bytes[at + 1] = data[i + 5];
        }
        db = open_bytes(bytes, pristine_size);
        if (verify_run(db, &v, &result) == 0 && result.outcome == VERIFY_SOUND)
                must(say(db, &said) && said == pristine_said);
        sqlite3_close(db);
        free(bytes);
        return 0;
}
