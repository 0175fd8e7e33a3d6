/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/policy.h"
#include "policy/value.h"

/* What was warned of, "file:line: message" a line. */
typedef struct Warnings {
        char text[4096];
        int n;
} Warnings;

static void note(void *userdata, const char *file, int line, const char *message) {
        Warnings *w = userdata;
        size_t used = strlen(w->text);

        snprintf(w->text + used, sizeof(w->text) - used, "%s:%d: %s\n", file, line, message);
        w->n++;
}

static void check_defaults(const Policy *p) {
        assert_int_equal(p->settle_usec, 250000);
        assert_int_equal(p->write_max_usec, 5000000);
        assert_int_equal(p->sample_usec, 10000000);
        assert_int_equal(p->check_usec, 30000000);
        assert_int_equal(p->poll_rate, 1000);
        assert_int_equal(p->digest_max, 1 << 30);
        assert_int_equal(p->n_ignore, 0);
}

static void times_and_sizes_carry_units(void **state) {
        static const struct {
                const char *text;
                int64_t usec;
        } times[] = {
                { "250ms", 250000 },
                { "5s", 5000000 },
                { "5", 5000000 },
                { "2min", 120000000 },
                { "1h", 3600000000 },
                { "1min 30s", 90000000 },
                { "1min30s", 90000000 },
                { "7us", 7 },
                { "0", 0 },
                { "1d", 86400000000 },
                { "", -1 },
                { "s", -1 },
                { "-1s", -1 },
                { "1.5s", -1 },
                { "5 s", -1 },
                { "5sec", -1 },
                { "1m", -1 },
                { " 5s", -1 },
                { "9999999999999999999", -1 },
                { "9223372036854775807s", -1 },
                { "106751991d 106751991d", -1 },
        };
        static const struct {
                const char *text;
                int64_t bytes;
        } sizes[] = {
                { "0", 0 },
                { "4096", 4096 },
                { "64M", 64 << 20 },
                { "1G", 1 << 30 },
                { "1P", INT64_C(1) << 50 },
                { "", -1 },
                { "64m", -1 },
                { "1G 1G", -1 },
                { "8192P", -1 },
                { "1GB", -1 },
                { "-1", -1 },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
                int64_t got = -1;

                assert_int_equal(value_parse_time(times[i].text, &got), times[i].usec < 0 ? -EINVAL : 0);
                assert_int_equal(got, times[i].usec);
        }
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                int64_t got = -1;

                assert_int_equal(value_parse_size(sizes[i].text, &got), sizes[i].bytes < 0 ? -EINVAL : 0);
                assert_int_equal(got, sizes[i].bytes);
        }
}

static void events_may_be_kept_for_ever(void **state) {
        CLEANUP(policy_freep) Policy *p = NULL;

        (void) state;
        assert_int_equal(policy_new(&p), 0);
        assert_int_equal(p->keep_usec, INT64_MAX);
        assert_int_equal(policy_parse(p, "f", "[Retention]\nKeepEvents=90d\n", NULL, NULL), 0);
        assert_int_equal(p->keep_usec, 90 * INT64_C(86400000000));
        assert_int_equal(policy_parse(p, "f", "[Retention]\nKeepEvents=10ms\n", NULL, NULL), 0);
        assert_int_equal(p->keep_usec, 90 * INT64_C(86400000000));
        assert_int_equal(policy_parse(p, "f", "[Retention]\nKeepEvents=infinity\n", NULL, NULL), 0);
        assert_int_equal(p->keep_usec, INT64_MAX);
}

static void later_values_win_and_patterns_gather(void **state) {
        CLEANUP(policy_freep) Policy *p = NULL;
        Warnings w = { 0 };

        (void) state;
        assert_int_equal(policy_new(&p), 0);
        check_defaults(p);
        assert_int_equal(policy_parse(p, "a",
                                      "\xef\xbb\xbf[Dataset]\n"
                                      "# comment\n; comment\n\n"
                                      "SettleTime=1s\r\n"
                                      "  SettleTime = 2s \n"
                                      "[Ignore]\nPattern=lost\nPattern=\nPattern=*.tmp ; all\nPattern=/build: x/\n"
                                      "[Identify]\nDigestUpTo=0",
                                      note, &w), 0);
        assert_string_equal(w.text, "");
        assert_int_equal(p->settle_usec, 2000000);
        assert_int_equal(p->n_ignore, 2);
        assert_string_equal(p->ignore[0], "*.tmp ; all");
        assert_string_equal(p->ignore[1], "/build: x/");
        assert_int_equal(p->digest_max, 0);

        assert_int_equal(policy_parse(p, "b", "[Ignore]\nPattern=c\n[Dataset]\nSettleTime=10ms\n", note, &w),
                         0);
        assert_int_equal(p->n_ignore, 3);
        assert_int_equal(p->settle_usec, 10000);
}

static void what_is_bad_is_named_with_its_line_and_changes_nothing(void **state) {
        CLEANUP(policy_freep) Policy *p = NULL;
        Warnings w = { 0 };

        (void) state;
        assert_int_equal(policy_new(&p), 0);
        assert_int_equal(policy_parse(p, "f",
                                      "Stray=1\n"                       /* 1 */
                                      "[Dataset]\n"
                                      "SettleTime=9ms\n"                /* 3 */
                                      "SettleTime=fast\n"               /* 4 */
                                      "SetleTime=1s\n"                  /* 5 */
                                      "just words\n"                    /* 6 */
                                      "[Datset]\n"
                                      "SettleTime=1s\n"                 /* 8 */
                                      "[Metrics\n"                      /* 9 */
                                      "[Metrics]\n"
                                      "SampleInterval=1h 1s\n"          /* 11 */
                                      "no key",                         /* 12 */
                                      note, &w), 0);
        assert_string_equal(w.text,
                "f:1: \"Stray=\" stands before the first section ([Dataset], [Ignore], [Identify], [Watcher], "
                "[Retention], [Metrics]). "
                "The line is left out.\n"
                "f:3: [Dataset] SettleTime=9ms is not a time from 10ms to 60s. What was in force before stays.\n"
                "f:4: [Dataset] SettleTime=fast is not a time from 10ms to 60s. What was in force before stays.\n"
                "f:5: [Dataset] has no key \"SetleTime\"; it has SettleTime=, OpenVersionInterval=, PollInterval=. "
                "The line is left out.\n"
                "f:6: Neither [Section] nor Key=Value. The line is left out.\n"
                "f:8: There is no section [Datset], but [Dataset], [Ignore], [Identify], [Watcher], [Retention], "
                "[Metrics]. "
                "The line is left out.\n"
                "f:9: Neither [Section] nor Key=Value. The line is left out.\n"
                "f:11: [Metrics] SampleInterval=1h 1s is not a time from 1s to 1h. What was in force before stays.\n"
                "f:12: Neither [Section] nor Key=Value. The line is left out.\n");
        check_defaults(p);
}

static void an_overlong_line_is_left_out_whole(void **state) {
        CLEANUP(policy_freep) Policy *p = NULL;
        static char text[3 * POLICY_LINE_MAX];
        Warnings w = { 0 };
        char *end;

        (void) state;
        assert_int_equal(policy_new(&p), 0);
        end = stpcpy(text, "[Ignore]\nPattern=");
        memset(end, 'x', POLICY_LINE_MAX - 8);          /* fits exactly */
        end = stpcpy(end + POLICY_LINE_MAX - 8, "\nPattern=");
        memset(end, 'y', POLICY_LINE_MAX - 7);
        strcpy(end + POLICY_LINE_MAX - 7, "\nPattern=z\n");
        assert_int_equal(policy_parse(p, "f", text, note, &w), 0);
        assert_string_equal(w.text, "f:3: The line has more than 4096 bytes and is left out.\n");
        assert_int_equal(p->n_ignore, 2);
        assert_int_equal(strlen(p->ignore[0]), POLICY_LINE_MAX - 8);
        assert_string_equal(p->ignore[1], "z");
}

static void patterns_beyond_their_limit_are_refused(void **state) {
        CLEANUP(policy_freep) Policy *p = NULL;
        Warnings w = { 0 };
        char text[128];

        (void) state;
        assert_int_equal(policy_new(&p), 0);
        for (int i = 0; i < POLICY_IGNORE_MAX / 20; i++) {
                snprintf(text, sizeof(text), "[Ignore]\nPattern=pattern-%011d\n", i);
                assert_int_equal(policy_parse(p, "f", text, note, &w), 0);
        }
        assert_int_equal(w.n, 0);
        assert_int_equal(policy_parse(p, "f", "[Ignore]\nPattern=x\n", note, &w), 0);
        assert_int_equal(w.n, 1);
        assert_int_equal(p->n_ignore, POLICY_IGNORE_MAX / 20);
}

/* A file in the test's folder. */
typedef struct Place {
        char root[64], etc[80], lib[80];
        const char *dirs[4];
} Place;

static void put(const char *folder, const char *name, const char *text) {
        char path[256];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        f = fopen(path, "we");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
        assert_int_equal(chmod(path, 0644), 0);
}

static int set_up(void **state) {
        Place *place = calloc(1, sizeof(*place));
        char path[128];

        strcpy(place->root, "/tmp/test-policy.XXXXXX");
        assert_non_null(mkdtemp(place->root));
        snprintf(place->etc, sizeof(place->etc), "%s/etc", place->root);
        snprintf(place->lib, sizeof(place->lib), "%s/lib", place->root);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(mkdir(i ? place->lib : place->etc, 0755), 0);
                snprintf(path, sizeof(path), "%s/scitraced.conf.d", i ? place->lib : place->etc);
                assert_int_equal(mkdir(path, 0755), 0);
        }
        place->dirs[0] = place->etc;
        place->dirs[1] = "/nonexistent/scitrace";
        place->dirs[2] = place->lib;
        *state = place;
        return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        return remove(path);
}

static int tear_down(void **state) {
        Place *place = *state;

        assert_int_equal(nftw(place->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
        free(place);
        return 0;
}

static void the_first_folder_wins_and_dropins_come_by_name(void **state) {
        CLEANUP(policy_freep) Policy *p = NULL;
        Place *place = *state;
        Warnings w = { 0 };
        char path[256];

        put(place->lib, "scitraced.conf", "[Metrics]\nSampleInterval=2s\n[Ignore]\nPattern=lib\n");
        put(place->etc, "scitraced.conf", "[Ignore]\nPattern=etc\n");
        put(place->lib, "scitraced.conf.d/10-a.conf", "[Ignore]\nPattern=lib-10\n");
        put(place->etc, "scitraced.conf.d/10-a.conf", "[Ignore]\nPattern=etc-10\n");
        put(place->lib, "scitraced.conf.d/20-b.conf", "[Ignore]\nPattern=lib-20\n");
        put(place->lib, "scitraced.conf.d/30-c.conf", "[Ignore]\nPattern=lib-30\n");
        put(place->etc, "scitraced.conf.d/05-z.conf", "[Ignore]\nPattern=etc-05\n");
        put(place->etc, "scitraced.conf.d/notes.txt", "not ini\n");
        put(place->etc, "scitraced.conf.d/.hidden.conf", "not ini\n");
        snprintf(path, sizeof(path), "%s/scitraced.conf.d/20-b.conf", place->etc);
        assert_int_equal(symlink("/dev/null", path), 0);

        assert_int_equal(policy_load(place->dirs, getuid(), note, &w, &p), 0);
        assert_string_equal(w.text, "");
        assert_int_equal(p->sample_usec, 10000000);
        assert_int_equal(p->n_ignore, 4);
        assert_string_equal(p->ignore[0], "etc");
        assert_string_equal(p->ignore[1], "etc-05");
        assert_string_equal(p->ignore[2], "etc-10");
        assert_string_equal(p->ignore[3], "lib-30");
}

static void files_that_others_may_write_are_refused(void **state) {
        CLEANUP(policy_freep) Policy *p = NULL;
        Place *place = *state;
        Warnings w = { 0 };
        char path[256];

        put(place->etc, "scitraced.conf", "[Dataset]\nSettleTime=1s\n");
        put(place->lib, "scitraced.conf.d/10.conf", "[Dataset]\nOpenVersionInterval=1s\n");
        snprintf(path, sizeof(path), "%s/scitraced.conf", place->etc);
        assert_int_equal(chmod(path, 0664), 0);
        snprintf(path, sizeof(path), "%s/scitraced.conf.d", place->lib);
        assert_int_equal(chmod(path, 0757), 0);
        assert_int_equal(policy_load(place->dirs, getuid(), note, &w, &p), 0);
        check_defaults(p);
        assert_int_equal(w.n, 2);
        assert_non_null(strstr(w.text, "scitraced.conf:0: Others than its owner may write it (mode 0664)"));
        assert_non_null(
                strstr(w.text, "scitraced.conf.d:0: Others than its owner may write it (mode 0757)"));
}

static void files_of_a_stranger_are_refused(void **state) {
        CLEANUP(policy_freep) Policy *p = NULL;
        Place *place = *state;
        Warnings w = { 0 };
        char path[256];

        put(place->etc, "scitraced.conf", "[Dataset]\nSettleTime=1s\n");
        snprintf(path, sizeof(path), "%s/scitraced.conf", place->etc);
        if (getuid() == 0)
                assert_int_equal(chown(place->etc, 12345, 0), 0);
        assert_int_equal(policy_load(place->dirs, getuid() + 1, note, &w, &p), 0);
        check_defaults(p);
        assert_non_null(strstr(w.text, "etc:0: It belongs to uid "));
}

static void what_is_no_text_is_refused_and_a_fifo_does_not_hang(void **state) {
        CLEANUP(policy_freep) Policy *p = NULL;
        Place *place = *state;
        Warnings w = { 0 };
        char path[256];
        int fd;

        snprintf(path, sizeof(path), "%s/scitraced.conf.d/1.conf", place->etc);
        assert_int_equal(mkfifo(path, 0600), 0);
        put(place->etc, "scitraced.conf", "");
        snprintf(path, sizeof(path), "%s/scitraced.conf", place->etc);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(write(fd, "[A]\0\n", 5), 5);
        close(fd);
        put(place->etc, "scitraced.conf.d/2.conf", "");
        snprintf(path, sizeof(path), "%s/scitraced.conf.d/2.conf", place->etc);
        assert_int_equal(truncate(path, POLICY_FILE_MAX + 1), 0);
        assert_int_equal(policy_load(place->dirs, getuid(), note, &w, &p), 0);
        assert_int_equal(w.n, 3);
        assert_non_null(strstr(w.text, "NUL byte"));
        assert_non_null(strstr(w.text, "neither a file nor a folder"));
        assert_non_null(strstr(w.text, "more than 1048576 bytes"));
}

/* The shipped file, with its comment signs taken away, is the defaults; and it names every key. */
static void the_shipped_file_shows_the_defaults(void **state) {
        CLEANUP(policy_freep) Policy *p = NULL, *changed = NULL;
        static char path[4096], text[65536], bare[65536], *out = bare;
        Warnings w = { 0 };
        FILE *f;

        (void) state;
        snprintf(path, sizeof(path), "%s/policy/scitraced.conf", getenv("SCITRACE_SOURCE") ?: ".");
        f = fopen(path, "re");
        assert_non_null(f);
        text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
        fclose(f);
        assert_int_equal(policy_new(&p), 0);
        assert_int_equal(policy_parse(p, "shipped", text, note, &w), 0);
        check_defaults(p);

        for (const char *in = text; *in; in++)
                if (!(*in == '#' && in[1] != ' ' && in[1] != '\n'))
                        *out++ = *in;
        assert_int_equal(policy_new(&changed), 0);
        changed->settle_usec = changed->write_max_usec = changed->sample_usec = changed->digest_max =
                changed->check_usec = changed->poll_rate = -1;
        assert_int_equal(policy_parse(changed, "bare", bare, note, &w), 0);
        check_defaults(changed);
        assert_string_equal(w.text, "");
        assert_non_null(strstr(bare, "\nPattern=\n"));
}

/* The manual names each key of the shipped file with the same default. */
static void the_manual_has_every_key_and_its_default(void **state) {
        static char path[4096], man[65536], line[256], want[512];
        const char *source = getenv("SCITRACE_SOURCE") ?: ".";
        int keys = 0;
        FILE *f;

        (void) state;
        snprintf(path, sizeof(path), "%s/man/scitraced.conf.5", source);
        f = fopen(path, "re");
        assert_non_null(f);
        man[fread(man, 1, sizeof(man) - 1, f)] = '\0';
        fclose(f);
        snprintf(path, sizeof(path), "%s/policy/scitraced.conf", source);
        f = fopen(path, "re");
        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                char *value = strchr(line, '=');

                line[strcspn(line, "\n")] = '\0';
                if (line[0] == '[')
                        snprintf(want, sizeof(want), "\n.Sh %s\n", line);
                else if (line[0] == '#' && line[1] != ' ' && value)
                        snprintf(want, sizeof(want), "\n.It Va %.*s Ns Ar %s\n", (int) (value - line),
                                 line + 1, value[1] ? value + 1 : "PATTERN");
                else
                        continue;
                keys++;
                if (!strstr(man, want))
                        fail_msg("man/scitraced.conf.5 lacks: %s", want);
        }
        fclose(f);
        assert_in_range(keys, 11, 100);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(times_and_sizes_carry_units),
                cmocka_unit_test(events_may_be_kept_for_ever),
                cmocka_unit_test(later_values_win_and_patterns_gather),
                cmocka_unit_test(what_is_bad_is_named_with_its_line_and_changes_nothing),
                cmocka_unit_test(an_overlong_line_is_left_out_whole),
                cmocka_unit_test(patterns_beyond_their_limit_are_refused),
                cmocka_unit_test_setup_teardown(the_first_folder_wins_and_dropins_come_by_name, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(files_that_others_may_write_are_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(files_of_a_stranger_are_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_is_no_text_is_refused_and_a_fifo_does_not_hang, set_up,
                                                tear_down),
                cmocka_unit_test(the_shipped_file_shows_the_defaults),
                cmocka_unit_test(the_manual_has_every_key_and_its_default),
        };

        return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
