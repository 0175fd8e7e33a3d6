/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ask DATABASE COUNT: puts each question so many times to a store that nobody has open, each time about something else
 * that is in it, and prints "QUESTION P50 P99 WORST ROWS LATE ASKED PAGES STEPS SUBJECT": microseconds, rows of all its
 * answers, how many of them the daemon would have given up, how many pages of the database the hundredth part of the
 * answers reads, or more, when it has none of them in memory, and the same of steps of SQLite's machine in thousands; and
 * what the answer with most steps was about. verify DATABASE: "EVENTS SECONDS" of verifying all of it, by one thread. */
#include <errno.h>
#include <stdio.h>

#include "daemon/query/private.h"

enum { SAMPLE = 4000, LIMIT = 100, PAGE = 512, DEADLINE = 2000000 };

typedef struct Sample {
        char *paths[SAMPLE];
        size_t n, met;
} Sample;

static Query *q;
static Sample files, directories;
static const char *dataset;
static int64_t first_usec, last_usec, newest, rows;
static uint64_t random_state = 7;
static char subject[8192];              /* what was asked about last */

static uint64_t dice(uint64_t n) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state % n;
}

static void must(int r, const char *what) {
        if (r == 0)
                return;
        fprintf(stderr, "ask: %s: %d\n", what, r);
        exit(1);
}

/* Each name has the same chance to be in it. */
static void keep(Sample *s, const QueryFile *f) {
        size_t at = s->n < SAMPLE ? s->n : dice(s->met + 1);

        s->met++;
        if (at >= SAMPLE)
                return;
        if (at == s->n)
                s->n++;
        free(s->paths[at]);
        if (asprintf(&s->paths[at], "/data/%s/%.*s", f->dataset, (int) f->path.size, (const char *) f->path.data) < 0)
                exit(1);
}

static int sample_file(void *userdata, const QueryFile *f) {
        (void) userdata;
        keep(f->type == TYPE_DIRECTORY ? &directories : &files, f);
        return 0;
}

static int edge(void *userdata, const QueryEvent *e) {
        *(int64_t *) userdata = e->event.last;
        newest = e->event.seq;
        return 1;
}

static int count_file(void *userdata, const QueryFile *f) {
        (void) userdata;
        (void) f;
        rows++;
        return 0;
}

static int count_event(void *userdata, const QueryEvent *e) {
        (void) userdata;
        (void) e;
        rows++;
        return 0;
}

static int count_dataset(void *userdata, const QueryDataset *d) {
        (void) userdata;
        (void) d;
        rows++;
        return 0;
}

static int count_stretch(void *userdata, const QueryStretch *s) {
        (void) userdata;
        (void) s;
        rows++;
        return 0;
}

static Bytes about(const Sample *s) {
        const char *path = s->paths[dice(s->n)];

        snprintf(subject, sizeof(subject), "%s", path);
        return BYTES_STR(path);
}

static Bytes file(void) {
        return about(&files);
}

static Bytes directory(void) {
        return about(&directories);
}

static int64_t some_time(void) {
        int64_t time = first_usec + (int64_t) dice((uint64_t) (last_usec - first_usec));
        size_t n = strlen(subject);

        snprintf(subject + n, sizeof(subject) - n, " @%lld", (long long) time);
        return time;
}

static int log_of(QueryEvents filter) {
        filter.limit = LIMIT;
        filter.reverse = true;
        return query_events(q, &filter, count_event, NULL);
}

static int ask_show(void) {
        return query_show(q, file(), 0, count_file, NULL);
}

static int ask_show_then(void) {
        Bytes path = file();

        return query_show(q, path, some_time(), count_file, NULL);
}

static int ask_files(void) {
        return query_files(q, NULL, directory(), 0, PAGE, count_file, NULL);
}

static int ask_files_then(void) {
        Bytes path = directory();

        return query_files(q, NULL, path, some_time(), PAGE, count_file, NULL);
}

static int ask_history(void) {
        return query_history(q, file(), LIMIT, count_event, NULL);
}

static int ask_log_of_file(void) {
        Bytes path = file();

        return log_of((QueryEvents) { .paths = &path, .n_paths = 1 });
}

static int ask_log_of_directory(void) {
        Bytes path = directory();

        return log_of((QueryEvents) { .paths = &path, .n_paths = 1 });
}

static int ask_log(void) {
        return log_of((QueryEvents) { .dataset = dataset });
}

static int ask_log_of_kind(void) {
        return log_of((QueryEvents) { .dataset = dataset, .kinds = 1U << KIND_DATASET_ADD });
}

static int ask_log_since(void) {
        return query_events(q, &(QueryEvents) { .dataset = dataset, .since = some_time(), .limit = LIMIT }, count_event,
                            NULL);
}

static int ask_log_until(void) {
        return log_of((QueryEvents) { .dataset = dataset, .until = some_time() });
}

static int ask_dashboard(void) {
        QueryTotals totals;
        int r = query_totals(q, &totals);

        if (r == 0)
                r = query_datasets(q, NULL, false, count_dataset, NULL);
        return r == 0 ? query_coverage(q, dataset, count_stretch, NULL) : r;
}

static int ask_proof(void) {
        CLEANUP(freep) char *text = NULL;
        int64_t seq = 1 + (int64_t) dice((uint64_t) newest);
        int r = query_prove(q, seq, &text);

        snprintf(subject, sizeof(subject), "%lld", (long long) seq);

        rows += text != NULL;
        return r == QUERY_E_UNSEALED ? 0 : r;
}

static const struct {
        const char *name, *dataset;
        int (*ask)(void);
} questions[] = {
        { "show of a file", "busy", ask_show },
        { "show of a file, as of a time", "busy", ask_show_then },
        { "files of a directory", "busy", ask_files },
        { "files of a directory, as of a time", "busy", ask_files_then },
        { "history of a file", "busy", ask_history },
        { "log of a file, the last 100", "busy", ask_log_of_file },
        { "log of the busiest dataset, the last 100", "busy", ask_log },
        { "log of a dataset that has rested for all of the year, the last 100", "still", ask_log },
        { "log of a dataset since a time, 100", "calm", ask_log_since },
        { "log of a dataset until a time, the last 100", "calm", ask_log_until },
        { "log of a dataset, of a kind of which there is one", "busy", ask_log_of_kind },
        { "log of a directory, the last 100", "busy", ask_log_of_directory },
        { "dashboard: totals, datasets, coverage", "busy", ask_dashboard },
        { "proof of an event", "busy", ask_proof },
};

static int by_size(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;

        return x < y ? -1 : x > y;
}

static double seconds(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* Of all statements since this was last asked. */
static double steps(void) {
        int64_t n = 0;

        for (sqlite3_stmt *stmt = NULL; (stmt = sqlite3_next_stmt(q->sql.db, stmt));)
                n += sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
        return (double) n / 1000;
}

static double hundredth(double *values, int n) {
        qsort(values, (size_t) n, sizeof(*values), by_size);
        return values[MIN_OF(n - 1, (int) (0.99 * n))];
}

/* Pages that are read from the file, with nothing in memory before: each costs a disk that is asked for it. */
static void put_counts(size_t which, int count) {
        double *read = calloc((size_t) count, sizeof(*read)), *stepped = calloc((size_t) count, sizeof(*stepped));
        double began = seconds(), most = -1;
        char worst[sizeof(subject)] = "";
        int n = 0, now, high;

        must(read && stepped ? 0 : -ENOMEM, "counts");
        while (n < count && (n < 3 || seconds() - began < 20)) {
                sqlite3_db_release_memory(q->sql.db);
                sqlite3_db_status(q->sql.db, SQLITE_DBSTATUS_CACHE_MISS, &now, &high, 1);
                steps();
                subject[0] = 0;
                query_deadline(q, DEADLINE);
                questions[which].ask();
                sqlite3_db_status(q->sql.db, SQLITE_DBSTATUS_CACHE_MISS, &now, &high, 1);
                read[n] = now;
                stepped[n] = steps();
                if (stepped[n] > most)
                        memcpy(worst, subject, sizeof(worst));
                most = MAX_OF(most, stepped[n]);
                n++;
        }
        printf("%.0f\t%.1f\t%s\n", hundredth(read, n), hundredth(stepped, n), worst);
        free(read);
        free(stepped);
}

static void put(size_t which, int count) {
        double *taken = calloc((size_t) count, sizeof(*taken)), began, all = seconds();
        int late = 0, n = 0, r;

        must(taken ? 0 : -ENOMEM, "times");
        dataset = questions[which].dataset;
        rows = 0;
        while (n < count && (n < 3 || seconds() - all < 20)) {  /* what is that slow needs no thousand answers */
                subject[0] = 0;
                query_deadline(q, DEADLINE);
                began = seconds();
                r = questions[which].ask();
                taken[n++] = seconds() - began;
                late += r == QUERY_E_DEADLINE;
                must(r == QUERY_E_DEADLINE || r == QUERY_E_TOO_EARLY || r == QUERY_E_NO_FILE ? 0 : r,
                     questions[which].name);
        }
        qsort(taken, (size_t) n, sizeof(*taken), by_size);
        printf("%s\t%.1f\t%.1f\t%.1f\t%lld\t%d\t%d\t", questions[which].name, 1e6 * taken[n / 2],
               1e6 * taken[MIN_OF(n - 1, (int) (0.99 * n))], 1e6 * taken[n - 1], (long long) rows, late, n);
        free(taken);
        put_counts(which, count);
        fflush(stdout);
}

static void verify(void) {
        VerifyResult result = { 0 };
        double began = seconds();

        must(query_verify(q, &(Verify) { 0 }, &result), "verify");
        printf("%lld %.6f %d\n", (long long) newest, seconds() - began, (int) result.outcome);
}

int main(int argc, char **argv) {
        if (argc != 3)
                return 2;
        must(query_open(argv[2][0] >= '0' && argv[2][0] <= '9' ? argv[1] : argv[2], true, &q), "open");
        must(query_events(q, &(QueryEvents) { 0 }, edge, &first_usec), "the first event");
        must(query_events(q, &(QueryEvents) { .reverse = true }, edge, &last_usec), "the last event");
        if (strcmp(argv[1], "verify") == 0) {
                verify();
        } else {
                must(query_files(q, "busy", BYTES_NONE, 0, 0, sample_file, NULL), "files");
                for (size_t i = 0; i < ELEMENTS(questions); i++)
                        put(i, atoi(argv[2]));
        }
        for (size_t i = 0; i < SAMPLE; i++) {
                free(files.paths[i]);
                free(directories.paths[i]);
        }
        query_close(q);
        return 0;
}
