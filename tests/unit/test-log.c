/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "lib/log.h"
#include "lib/util.h"

/* Runs the statement with stderr turned into a pipe, and sets text to what it wrote. */
#define CAPTURE(text, statement)                                                \
        do {                                                                    \
                int pipe_fds[2], real_stderr = dup(STDERR_FILENO);              \
                ssize_t got_;                                                   \
                assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);               \
                dup2(pipe_fds[1], STDERR_FILENO);                               \
                statement;                                                      \
                dup2(real_stderr, STDERR_FILENO);                               \
                got_ = read(pipe_fds[0], text, sizeof(text) - 1);               \
                text[got_ > 0 ? got_ : 0] = '\0';                               \
                close(pipe_fds[0]);                                             \
                close(pipe_fds[1]);                                             \
                close(real_stderr);                                             \
        } while (0)

/* What the journal was given, a field a line. Shared with children. */
static char *journal;

/* The linker puts this in the place of sd_journal_sendv_with_location() (tests/unit/local.am). */
int __wrap_sd_journal_sendv_with_location(const char *file, const char *line, const char *func,
                                          const struct iovec *iov, int n);
int __wrap_sd_journal_sendv_with_location(const char *file, const char *line, const char *func,
                                          const struct iovec *iov, int n) {
        if (strcmp(func, "log_as_a_service") != 0 || strncmp(line, "CODE_LINE=", 10) != 0 ||
            !strstr(file, "tests/unit/test-log.c"))
                return -EINVAL;
        for (int i = 0; i < n; i++)
                snprintf(journal + strlen(journal), 65536 - strlen(journal), "%.*s\n", (int) iov[i].iov_len,
                         (char *) iov[i].iov_base);
        return 0;
}

/* In a child: whether stderr is the journal is found out once a process. */
static void log_as_a_service(void) {
        char stream[64];
        struct stat st;

        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        log_event(LOG_ERR, MSG_STORE_FULL, -ENOSPC, "Full: %d of %s\n", 7, "x", "A=%s%c%.1f", "b", 'c', 1.5,
                  "N=%zu:%lld", (size_t) 3, 1LL << 40, "P=%.*s", 2, "cde", "W=%*d", 3, 5, "LAST=%s",
                  "multi\nline");
        _exit(0);
}

static void in_the_journal_each_field_has_its_own_arguments(void **state) {
        int status = -1;
        pid_t pid;

        (void) state;
        journal = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(journal != MAP_FAILED);
        pid = fork();
        if (pid == 0)
                log_as_a_service();
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_string_equal(journal,
                            "A=bc1.5\nN=3:1099511627776\nP=cd\nW=  5\nLAST=multi\nline\n"
                            "MESSAGE=Full: 7 of x\\x0a (No space left on device)\nPRIORITY=3\n"
                            "MESSAGE_ID=e6869fe61e2d41be936df94c7c03af3a\nERRNO=28\n");
        munmap(journal, 65536);
}

static void a_sentence_goes_to_stderr_with_the_error_in_words(void **state) {
        char text[1024];
        int r = 0;

        (void) state;
        CAPTURE(text, r = log_event(LOG_ERR, MSG_NONE, -ENOSPC, "Store %s is full after %d rows", "db", 7,
                                    "SCITRACE_STORE=%s", "db"));
        assert_int_equal(r, -ENOSPC);
        assert_string_equal(text, "test-log: Store db is full after 7 rows (No space left on device)\n");
}

static void errno_survives_a_message(void **state) {
        char text[1024];

        (void) state;
        errno = ENOTTY;
        CAPTURE(text, log_event(LOG_INFO, MSG_NONE, 0, "Said"); assert_int_equal(errno, ENOTTY));
        assert_string_equal(text, "test-log: Said\n");
}

static void fields_of_any_type_do_not_disturb_each_other(void **state) {
        char text[1024];

        (void) state;
        CAPTURE(text, log_event(LOG_INFO, MSG_NONE, 0, "%s %c %.*s %.1f %lld %zu", "a", 'b', 2, "cde", 0.5,
                                1LL << 40, (size_t) 3, "F=%f", 1.5, "N=%jd", (intmax_t) 4, NULL));
        assert_string_equal(text, "test-log: a b cd 0.5 1099511627776 3\n");
}

static void control_characters_and_stray_bytes_are_escaped(void **state) {
        char buffer[64], text[1024];

        (void) state;
        assert_string_equal(log_escape("a\nb\x1b[1m\x7f", buffer, sizeof(buffer)), "a\\x0ab\\x1b[1m\\x7f");
        assert_string_equal(log_escape("\xff\xc3\xa4\xc2\x9b\xed\xa0\x80", buffer, sizeof(buffer)),
                            "\\xff\xc3\xa4\\xc2\\x9b\\xed\\xa0\\x80");
        assert_string_equal(log_escape("\xc0\x80\xe2\x82", buffer, sizeof(buffer)), "\\xc0\\x80\\xe2\\x82");
        assert_string_equal(log_escape("abc\n", buffer, 7), "abc");
        assert_string_equal(log_escape("abc\n", buffer, 8), "abc\\x0a");
        CAPTURE(text, log_event(LOG_INFO, MSG_NONE, 0, "File %s\n", "x\ny"));
        assert_string_equal(text, "test-log: File x\\x0ay\\x0a\n");
}

static void a_message_below_the_level_is_not_logged(void **state) {
        char text[1024];

        (void) state;
        CAPTURE(text, log_event(LOG_DEBUG, MSG_NONE, 0, "Detail"));
        assert_string_equal(text, "");
        assert_int_equal(log_set_level("7"), 0);
        CAPTURE(text, log_event(LOG_DEBUG, MSG_NONE, 0, "Detail"));
        assert_string_equal(text, "test-log: Detail\n");
        assert_int_equal(log_set_level("loud"), -EINVAL);
        assert_int_equal(log_set_level(""), -EINVAL);
        assert_int_equal(log_set_level("info"), 0);
}

static void the_eleventh_repeat_within_a_minute_is_only_counted(void **state) {
        LogLimit limit = { 0 };
        unsigned missed = 0;

        (void) state;
        for (int i = 0; i < LOG_REPEATS_MAX; i++)
                assert_int_equal(log_limit_take(&limit, 1000 + i, &missed), 1);
        assert_int_equal(log_limit_take(&limit, 59 * 1000000, &missed), 0);
        assert_int_equal(log_limit_take(&limit, 60 * 1000000, &missed), 0);
        assert_int_equal(missed, 0);
        assert_int_equal(log_limit_take(&limit, 60 * 1000000 + 1000, &missed), 1);
        assert_int_equal(missed, 2);
        assert_int_equal(log_limit_take(&limit, 61 * 1000000, &missed), 1);
        assert_int_equal(missed, 0);
}

static void what_was_left_out_is_summed_up(void **state) {
        char text[4096];
        size_t lines = 0;

        (void) state;
        CAPTURE(text, for (int i = 0; i < 25; i++) log_event(LOG_WARNING, MSG_OVERFLOW, 0, "Overflow %d", i);
                log_flush());
        for (const char *p = text; (p = strchr(p, '\n')); p++)
                lines++;
        assert_int_equal(lines, LOG_REPEATS_MAX + 1);
        assert_non_null(strstr(text, "\ntest-log: 15 more messages"));
        CAPTURE(text, log_flush());
        assert_string_equal(text, "");
}

/* Each entry of the catalog begins "-- ID", then headers, then three paragraphs. */
static void check_entry(const char *catalog, const char *hex) {
        static const char *const parts[] = { "\nSubject: ", "\n\nWhat happened: ", "\n\nWhy: ",
                                             "\n\nWhat to do: " };
        char head[64];
        const char *entry, *end;

        snprintf(head, sizeof(head), "\n-- %s\n", hex);
        entry = strstr(catalog, head);
        if (!entry)
                fail_msg("units/scitrace.catalog has no entry %s", hex);
        end = strstr(entry + 1, "\n-- ");
        for (size_t i = 0; i < ELEMENTS(parts); i++) {
                entry = strstr(entry, parts[i]);
                if (!entry || (end && entry > end))
                        fail_msg("units/scitrace.catalog: entry %s lacks \"%s\"", hex, parts[i]);
        }
}

static void each_message_id_has_a_catalog_entry_and_vice_versa(void **state) {
#define HEX_ITEM(name, hex) hex,
        static const char *const ids[] = { LOG_ID_TABLE(HEX_ITEM) };
        static char path[4096], text[65536];
        size_t entries = 0;
        FILE *f;

        (void) state;
        snprintf(path, sizeof(path), "%s/units/scitrace.catalog", getenv("SCITRACE_SOURCE") ?: ".");
        f = fopen(path, "re");
        assert_non_null(f);
        text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
        fclose(f);

        for (size_t i = 0; i < ELEMENTS(ids); i++) {
                check_entry(text, ids[i]);
                for (size_t j = 0; j < i; j++)
                        assert_string_not_equal(ids[i], ids[j]);
        }
        for (const char *p = text; (p = strstr(p, "\n-- ")); p++)
                entries++;
        assert_int_equal(entries, ELEMENTS(ids));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(in_the_journal_each_field_has_its_own_arguments), /* first: see there */
                cmocka_unit_test(a_sentence_goes_to_stderr_with_the_error_in_words),
                cmocka_unit_test(errno_survives_a_message),
                cmocka_unit_test(fields_of_any_type_do_not_disturb_each_other),
                cmocka_unit_test(control_characters_and_stray_bytes_are_escaped),
                cmocka_unit_test(a_message_below_the_level_is_not_logged),
                cmocka_unit_test(the_eleventh_repeat_within_a_minute_is_only_counted),
                cmocka_unit_test(what_was_left_out_is_summed_up),
                cmocka_unit_test(each_message_id_has_a_catalog_entry_and_vice_versa),
        };

        unsetenv("SCITRACE_LOG_LEVEL");
        unsetenv("JOURNAL_STREAM");
        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
