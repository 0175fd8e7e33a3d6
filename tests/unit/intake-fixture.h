/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_TESTS_UNIT_INTAKE_FIXTURE_H
#define SCITRACE_TESTS_UNIT_INTAKE_FIXTURE_H

/* intake-fixture: an Intake on a store in a folder of its own, fed by hand; what it asks for is kept, and what it
 * records is read as lines. Include after tests/lib/unit.h. Not every test uses every word. */

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/intake/observe.h"
#include "daemon/query/query.h"

#define UNUSED __attribute__((unused))

enum { REQUESTS_MAX = 2048, ROOT_DIR = 1, ROOT_INODE = 2, DEVICE = 77 };

typedef struct Asked {
        uint32_t feed;
        FeedMessage m;
        char name[256];                 /* of a DIGEST or CHECK, or the path of a WATCH */
} Asked;

typedef struct Answer {
        int times;
        IntakeResult result;
        char dataset[65];
} Answer;

typedef struct Fixture {
        char dir[64];
        Intake *intake;
        Query *query;
        unsigned fed, consumed, resets;
        uint32_t feed, other;           /* the one that is fed, and one more that is open; 0: none */
        bool greets;                    /* the next one opened says HELLO by itself */
        Asked asked[REQUESTS_MAX];
        size_t n_asked;
        uint8_t frame[FEED_FRAME_MAX];
        size_t size;
        int64_t now, told;              /* µs; seq of the last event that was read */
        uint32_t token, walk;           /* of the dataset */
        char lines[65536];
} Fixture;

static UNUSED void on_request(void *userdata, uint32_t feed, const FeedMessage *m) {
        Fixture *f = userdata;
        Asked *a = &f->asked[f->n_asked++];
        Bytes name = m->type == FEED_WATCH ? m->WATCH.path : m->type == FEED_DIGEST ? m->DIGEST.name :
                     m->type == FEED_CHECK ? m->CHECK.name : BYTES("", 0);

        assert_true(feed == f->feed || feed == f->other);
        a->feed = feed;
        assert_true(f->n_asked < REQUESTS_MAX);
        a->m = *m;
        memcpy(a->name, name.data, name.size);
        a->name[name.size] = '\0';
}

static UNUSED void on_consumed(void *userdata, uint32_t feed, unsigned frames) {
        Fixture *f = userdata;

        assert_true(feed == f->feed || feed == f->other);
        f->consumed += frames;
}

static UNUSED void on_reset(void *userdata, uint32_t feed) {
        (void) feed;
        ((Fixture *) userdata)->resets++;
}

static UNUSED void feed_frame(Fixture *f) {
        uint8_t *copy = malloc(f->size);

        memcpy(copy, f->frame, f->size);
        assert_int_equal(intake_feed_frame(f->intake, f->feed, copy, f->size), 0);
        f->size = 0;
        f->fed++;
}

static UNUSED void put(Fixture *f, FeedMessage m) {
        assert_int_equal(feed_add(f->frame, &f->size, &m), 0);
}

static UNUSED void on_open(void *userdata, uint32_t feed) {
        Fixture *f = userdata;

        f->other = f->feed;
        f->feed = feed;
        if (!f->greets)
                return;
        put(f, (FeedMessage) { .type = FEED_HELLO, .HELLO = { .version = FEED_VERSION, .pid = 1 } });
        feed_frame(f);
}

static UNUSED void on_close(void *userdata, uint32_t feed) {
        Fixture *f = userdata;

        assert_true(feed == f->feed || feed == f->other);
        if (feed == f->feed)
                f->feed = f->other;
        f->other = 0;
        f->consumed = f->fed;
}

static UNUSED void on_answer(void *userdata, const IntakeResult *result) {
        Answer *a = userdata;

        a->times++;
        a->result = *result;
        snprintf(a->dataset, sizeof(a->dataset), "%s", result->dataset ? result->dataset : "");
}

static UNUSED void fixture_start(Fixture *f) {
        static const IntakeFeedOps ops = { .open = on_open, .close = on_close, .request = on_request,
                                           .consumed = on_consumed, .reset = on_reset };
        Store *store = NULL;
        char path[128];

        assert_int_equal(store_open(f->dir, &store), 0);
        snprintf(path, sizeof(path), "%s", store_path(store));
        assert_int_equal(intake_new(store, &f->intake), 0);
        intake_feed(f->intake, &ops, f);
        assert_int_equal(query_open(path, false, &f->query), 0);
        f->fed = f->consumed = f->resets = 0;
        f->n_asked = f->size = f->feed = f->other = 0;
        f->greets = false;
        assert_int_equal(intake_mounts(f->intake, NULL, 0), 0);
}

static UNUSED void fixture_stop(Fixture *f, bool clean) {
        f->query = query_close(f->query);
        f->intake = intake_free(f->intake, clean);
}

static UNUSED int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        snprintf(f->dir, sizeof(f->dir), "/tmp/scitrace-intake-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        f->now = now_usec(CLOCK_REALTIME);
        fixture_start(f);
        *state = f;
        return 0;
}

static UNUSED int fixture_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void) st;
        (void) type;
        (void) ftw;
        return remove(path);
}

static UNUSED int teardown(void **state) {
        Fixture *f = *state;

        fixture_stop(f, true);
        nftw(f->dir, fixture_unlink, 8, FTW_DEPTH | FTW_PHYS);
        free(f);
        return 0;
}

/* Runs callbacks until the counter has that value; what takes longer than a minute never comes. */
static UNUSED void wait_for(Fixture *f, const void *counter, unsigned value) {
        struct pollfd pfd = { .fd = intake_fd(f->intake), .events = POLLIN };
        unsigned now;

        while (memcpy(&now, counter, sizeof(now)), now != value) {
                assert_int_equal(poll(&pfd, 1, 60000), 1);
                intake_dispatch(f->intake);
        }
}

/* Returns when all that was queued before is done with. */
static UNUSED void sync_queue(Fixture *f) {
        Answer a = { 0 };

        assert_int_equal(intake_scan(f->intake, "no-such-dataset", on_answer, &a), 0);
        wait_for(f, &a.times, 1);
}

/* Feeds what was put, and returns when it is committed and told. */
static UNUSED void pass(Fixture *f) {
        feed_frame(f);
        if (f->feed) {
                wait_for(f, &f->consumed, f->fed);
        } else {
                sync_queue(f);
                f->consumed = f->fed;
        }
}

/* The first request of that type that was not taken yet. */
static UNUSED bool take(Fixture *f, FeedType type, Asked *ret) {
        for (size_t i = 0; i < f->n_asked; i++)
                if (f->asked[i].m.type == type) {
                        *ret = f->asked[i];
                        memmove(&f->asked[i], &f->asked[i + 1], (--f->n_asked - i) * sizeof(*ret));
                        return true;
                }
        return false;
}

static UNUSED Asked take_one(Fixture *f, FeedType type) {
        Asked a;

        assert_true(take(f, type, &a));
        return a;
}

/* What is asked for without a frame having been passed. */
static UNUSED Asked await_one(Fixture *f, FeedType type) {
        struct pollfd pfd = { .fd = intake_fd(f->intake), .events = POLLIN };
        Asked a;

        while (!take(f, type, &a)) {
                assert_int_equal(poll(&pfd, 1, 60000), 1);
                intake_dispatch(f->intake);
        }
        return a;
}

static UNUSED void expect_nothing_asked(Fixture *f) {
        for (size_t i = 0; i < f->n_asked; i++)
                print_message("# asked: %d %s\n", (int) f->asked[i].m.type, f->asked[i].name);
        assert_int_equal(f->n_asked, 0);
}

/* Observations. A file's digest is 32 times one byte, 0: none. */

static UNUSED FeedMessage state_of(Fixture *f, uint32_t dir, const char *name, uint64_t inode, uint8_t digest) {
        static uint8_t digests[256][32];

        memset(digests[digest], digest, 32);
        f->now += 1000;
        return (FeedMessage) {
                .type = FEED_STATE,
                .STATE = { .dir = dir, .name = BYTES_STR(name), .origin = ORIGIN_LIVE, .first = f->now, .last = f->now,
                           .count = 1, .inode = inode, .btime = 5, .mode = 0100644, .nlink = 1, .size = 10,
                           .mtime = f->now * 1000, .ctime = f->now * 1000,
                           .flags = digest ? FEED_FLAG_CONTENT : 0,
                           .digest = digest ? BYTES(digests[digest], 32) : BYTES_NONE,
                           .digest_source = digest ? DIGEST_SOURCE_READ : 0 },
        };
}

static UNUSED void put_file(Fixture *f, uint32_t dir, const char *name, uint64_t inode, uint8_t digest) {
        put(f, state_of(f, dir, name, inode, digest));
}

static UNUSED void put_directory(Fixture *f, uint32_t dir, const char *name, uint64_t inode, uint32_t id) {
        FeedMessage m = state_of(f, dir, name, inode, 0);

        m.STATE.mode = 040755;
        m.STATE.flags = FEED_FLAG_ADOPTED;
        put(f, m);
        put(f, (FeedMessage) { .type = FEED_DIR, .DIR = { .dir = id, .root = f->token, .parent = dir,
                                                          .name = BYTES_STR(name), .inode = inode, .btime = 5 } });
}

static UNUSED void put_gone(Fixture *f, uint32_t dir, const char *name, uint32_t count, uint32_t request) {
        put(f, (FeedMessage) { .type = FEED_GONE,
                               .GONE = { .dir = dir, .name = BYTES_STR(name), .request = request, .count = count,
                                         .origin = request ? ORIGIN_RECONCILE : ORIGIN_LIVE, .first = f->now,
                                         .last = f->now } });
}

static UNUSED void put_moved(Fixture *f, FeedType type, uint32_t old_dir, const char *old, uint32_t dir,
                             const char *name) {
        FeedMessage m = { .type = type };

        if (type == FEED_MOVED)
                m.MOVED = (Feed_MOVED) { .old_dir = old_dir, .old_name = BYTES_STR(old), .dir = dir,
                                         .name = BYTES_STR(name), .first = f->now, .last = f->now, .count = 1 };
        else
                m.EXCHANGED = (Feed_EXCHANGED) { .old_dir = old_dir, .old_name = BYTES_STR(old), .dir = dir,
                                                 .name = BYTES_STR(name), .first = f->now, .last = f->now,
                                                 .count = 1 };
        put(f, m);
}

static UNUSED void put_root(Fixture *f, uint32_t token, uint64_t inode) {
        put(f, (FeedMessage) { .type = FEED_ROOT,
                               .ROOT = { .root = token, .dir = ROOT_DIR, .inode = inode, .btime = 5,
                                         .fs_type = BYTES_STR("ext4"), .device = DEVICE } });
        put(f, (FeedMessage) { .type = FEED_DIR,
                               .DIR = { .dir = ROOT_DIR, .root = token, .name = BYTES("", 0), .inode = inode,
                                        .btime = 5 } });
}

static UNUSED void put_walk_end(Fixture *f, uint32_t walk) {
        put(f, (FeedMessage) { .type = FEED_WALK_END, .WALK_END = { .root = f->token, .walk = walk } });
}

static UNUSED void put_list(Fixture *f, FeedType type, uint32_t dir) {
        if (type == FEED_LIST_BEGIN)
                put(f, (FeedMessage) { .type = type, .LIST_BEGIN = { .dir = dir } });
        else
                put(f, (FeedMessage) { .type = type, .LIST_END = { .dir = dir } });
}

/* A watcher is there: at once, or as soon as one is needed. */
static UNUSED void hello(Fixture *f) {
        sync_queue(f);
        f->greets = true;
        if (f->feed == 0)
                return;
        put(f, (FeedMessage) { .type = FEED_HELLO, .HELLO = { .version = FEED_VERSION, .pid = 1 } });
        pass(f);
}

/* The dataset `data`, watched, walked, empty. */
static UNUSED void with_dataset(Fixture *f) {
        Answer added = { 0 };
        Asked watch;

        hello(f);
        assert_int_equal(intake_add(f->intake, BYTES_STR("/data"), NULL, 0, on_answer, &added), 0);
        watch = await_one(f, FEED_WATCH);
        f->token = watch.m.WATCH.root;
        f->walk = watch.m.WATCH.walk;
        put_root(f, f->token, ROOT_INODE);
        put_walk_end(f, f->walk);
        pass(f);
        assert_int_equal(added.times, 1);
        assert_int_equal(added.result.outcome, INTAKE_DONE);
        assert_string_equal(added.dataset, "data");
        expect_nothing_asked(f);
}

static UNUSED int event_line(void *userdata, const QueryEvent *e) {
        Fixture *f = userdata;
        size_t n = strlen(f->lines), room = sizeof(f->lines) - n;
        int printed;

        f->told = e->event.seq;
        if (e->event.kind == KIND_KEY)          /* each store begins with one */
                return 0;
        printed = snprintf(f->lines + n, room, "%s %.*s", kind_to_word((int) e->event.kind),
                           (int) e->path.size, (const char *) e->path.data);
        if (e->old_path.size > 0)
                printed += snprintf(f->lines + n + printed, room - (size_t) printed, " from %.*s",
                                    (int) e->old_path.size, (const char *) e->old_path.data);
        if (e->event.cause)
                printed += snprintf(f->lines + n + printed, room - (size_t) printed, " %s",
                                    cause_to_word((int) e->event.cause));
        if (e->event.count > 0)
                printed += snprintf(f->lines + n + printed, room - (size_t) printed, " x%d", (int) e->event.count);
        if (e->event.replaces > 0)
                printed += snprintf(f->lines + n + printed, room - (size_t) printed, " replaces");
        if (e->event.origin != ORIGIN_LIVE)
                printed += snprintf(f->lines + n + printed, room - (size_t) printed, " %s",
                                    origin_to_word((int) e->event.origin));
        snprintf(f->lines + n + printed, room - (size_t) printed, "\n");
        return 0;
}

/* The events since the last call. */
static UNUSED void expect_events(Fixture *f, const char *expected) {
        f->lines[0] = '\0';
        assert_int_equal(query_events(f->query, &(QueryEvents) { .after = f->told }, event_line, f), 0);
        assert_string_equal(f->lines, expected);
}

static UNUSED int file_line(void *userdata, const QueryFile *file) {
        Fixture *f = userdata;
        size_t n = strlen(f->lines);

        snprintf(f->lines + n, sizeof(f->lines) - n, "%.*s%s ", (int) file->path.size, (const char *) file->path.data,
                 file->type == TYPE_DIRECTORY ? "/" : file->digest.size ? "" : "?");
        return 0;
}

/* What is recorded now; a file without a known content has a question mark. */
static UNUSED void expect_files(Fixture *f, const char *expected) {
        f->lines[0] = '\0';
        assert_int_equal(query_files(f->query, "data", BYTES_NONE, 0, 0, file_line, f), 0);
        assert_string_equal(f->lines, expected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
