/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "daemon/identify/identify.h"

enum { RACE_TRIES = 3000 };

/* A folder with a repository `ours`, and `theirs` beside it, made by git(1). */
typedef struct Place {
        char path[128];
} Place;

PRINTF_LIKE(2, 3) static void run(const Place *p, const char *format, ...) {
        char line[1024], command[2048];
        va_list ap;

        va_start(ap, format);
        vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        snprintf(command, sizeof(command), "cd '%s' && { %s; } >/dev/null 2>&1", p->path, line);
        if (system(command) != 0)
                fail_msg("%s", line);
}

static void read_line(const Place *p, const char *line, char ret[65]) {
        char command[2048];
        FILE *f;

        snprintf(command, sizeof(command), "cd '%s' && %s", p->path, line);
        f = popen(command, "re");
        assert_non_null(f);
        ret[0] = '\0';
        if (!fgets(ret, 65, f))
                ret[0] = '\0';
        ret[strcspn(ret, "\n")] = '\0';
        pclose(f);
}

static int setup(void **state) {
        static Place place;
        const char *where = getenv("TMPDIR");

        *state = &place;
        snprintf(place.path, sizeof(place.path), "%s/scitrace-git-XXXXXX", where ? where : "/tmp");
        if (!mkdtemp(place.path))
                return -1;
        setenv("HOME", place.path, 1);
        run(&place, "for i in ours theirs; do git init -q -b main $i; (cd $i; git config user.name a;"
                    "git config user.email a@b; echo $i >f; git add f; git commit -qm $i); done");
        return 0;
}

static int teardown(void **state) {
        run(*state, "rm -rf '%s'", ((Place *) *state)->path);
        return 0;
}

static int head(const Place *p, const char *name, bool *git, char commit[65]) {
        DatasetKind kind = DATASET_KIND_NONE;
        char path[256];
        int r;

        snprintf(path, sizeof(path), "%s/%s", p->path, name);
        r = identify_git_head(path, &kind, commit);
        if (r == 0)
                *git = kind != DATASET_KIND_PLAIN;
        return r;
}

/* What git(1) says is what we say. */
static void assert_head(const Place *p, const char *name) {
        char command[256], expected[65], commit[65] = "?";
        bool git = false;

        snprintf(command, sizeof(command), "git -C %s rev-parse -q --verify HEAD", name);
        read_line(p, command, expected);
        assert_int_equal(head(p, name, &git, commit), 0);
        assert_true(git);
        assert_string_equal(commit, expected);
}

static void assert_kind(const Place *p, const char *name, DatasetKind expected) {
        DatasetKind kind = DATASET_KIND_NONE;
        char path[256], commit[65];

        snprintf(path, sizeof(path), "%s/%s", p->path, name);
        assert_int_equal(identify_git_head(path, &kind, commit), 0);
        assert_int_equal(kind, expected);
}

static void the_kind_is_what_lies_there(void **state) {
        Place *p = *state;

        run(p, "cp -a ours kinds && mkdir none && mkdir none/.datalad && cp -a none/.datalad kinds/");
        run(p, "printf '[datalad \"dataset\"]\\n\\tid = 6a2c1f6e-0000-4000-8000-000000000000\\n' >none/.datalad/config");
        assert_kind(p, "none", DATASET_KIND_PLAIN);
        assert_kind(p, "kinds", DATASET_KIND_GIT);
        run(p, "mkdir kinds/.git/annex");
        assert_kind(p, "kinds", DATASET_KIND_ANNEX);
        run(p, "printf '[datalad \"datasets\"]\\nid = 1\\n[x]\\nid = 2\\n' >kinds/.datalad/config");
        assert_kind(p, "kinds", DATASET_KIND_ANNEX);
        run(p, "cp none/.datalad/config kinds/.datalad/");
        assert_kind(p, "kinds", DATASET_KIND_DATALAD);
        run(p, "rm kinds/.datalad/config && mkfifo kinds/.datalad/config");     /* nobody waits for a writer */
        assert_kind(p, "kinds", DATASET_KIND_ANNEX);
        run(p, "rmdir kinds/.git/annex && ln -s ../../theirs kinds/.git/annex");
        assert_kind(p, "kinds", DATASET_KIND_GIT);
        run(p, "rm -rf kinds none");
}

static void files_too_large_to_be_gits_are_not_read(void **state) {
        static const char *const files[] = { "HEAD", "packed-refs", "refs/heads/main", "commondir", "objects/info/alternates" };
        Place *p = *state;
        char commit[65];
        bool git;

        for (size_t i = 0; i < ELEMENTS(files); i++) {
                run(p, "rm -rf vast && cp -a ours vast && truncate -s 2T vast/.git/%s", files[i]);
                assert_int_equal(head(p, "vast", &git, commit), -EFBIG);
        }
        run(p, "rm -rf vast && cp -a ours vast && rm -r vast/.git && truncate -s 2T vast/.git");
        assert_int_equal(head(p, "vast", &git, commit), -EFBIG);
        run(p, "rm -rf vast && cp -a ours vast && head -c 100000 /dev/urandom >vast/.git/index");
        assert_head(p, "vast");         /* the index is not looked at */
        run(p, "head -c 100000 /dev/urandom >vast/.git/packed-refs && rm -f vast/.git/refs/heads/main");
        assert_true(head(p, "vast", &git, commit) <= 0);
        run(p, "rm -rf vast");
}

static void assert_refused(const Place *p, const char *name) {
        char commit[65] = "?";
        bool git = false;

        assert_int_equal(head(p, name, &git, commit), -EPERM);
        assert_false(git);
        assert_string_equal(commit, "?");
}

static void the_head_is_that_of_git(void **state) {
        Place *p = *state;
        char commit[65];
        bool git;

        assert_head(p, "ours");
        run(p, "cd ours && echo 2 >f && git commit -qam 2");
        assert_head(p, "ours");
        run(p, "cd ours && git checkout -q --detach HEAD~1");
        assert_head(p, "ours");
        run(p, "cd ours && git checkout -q -b deep/er/branch && git pack-refs --all");
        assert_head(p, "ours");
        run(p, "cd ours && git symbolic-ref refs/heads/alias refs/heads/main");
        run(p, "git -C ours symbolic-ref HEAD refs/heads/alias");
        assert_head(p, "ours");
        run(p, "cd ours && git checkout -q --orphan empty");
        assert_int_equal(head(p, "ours", &git, commit), 0);
        assert_true(git);
        assert_string_equal(commit, "");
}

static void a_plain_folder_has_none(void **state) {
        Place *p = *state;
        char commit[65] = "?";
        bool git = true;

        run(p, "mkdir plain half && mkdir half/.git");
        assert_int_equal(head(p, "plain", &git, commit), 0);
        assert_false(git);
        assert_string_equal(commit, "");
        git = true;
        assert_int_equal(head(p, "half", &git, commit), 0);
        assert_false(git);
        assert_int_equal(head(p, "absent", &git, commit), -ENOENT);

        /* a folder beneath a repository is none itself */
        run(p, "mkdir ours/sub");
        git = true;
        assert_int_equal(head(p, "ours/sub", &git, commit), 0);
        assert_false(git);
}

static void another_owner_s_repository_is_read(void **state) {
        Place *p = *state;

        if (geteuid() != 0)
                skip();                 /* only root can give files away */
        run(p, "git -C ours rev-parse HEAD >expected && chown -R 12345 ours");

        char expected[65], commit[65];
        bool git;

        read_line(p, "cat expected", expected);
        assert_int_equal(head(p, "ours", &git, commit), 0);
        assert_string_equal(commit, expected);
}

static void a_git_file_that_leads_out_is_refused(void **state) {
        Place *p = *state;

        run(p, "mkdir a b && echo 'gitdir: %s/theirs/.git' >a/.git && echo 'gitdir: ../theirs/.git' >b/.git",
            p->path);
        assert_refused(p, "a");
        assert_refused(p, "b");
        run(p, "cd ours && git worktree add -q ../tree");       /* its folder is beneath ours */
        assert_refused(p, "tree");
}

static void a_git_file_that_stays_beneath_is_followed(void **state) {
        Place *p = *state;
        char expected[65], commit[65];
        bool git;

        run(p, "git init -q --separate-git-dir ours/real ours");
        run(p, "cat ours/.git; test -f ours/.git");
        read_line(p, "git -C ours rev-parse HEAD", expected);
        assert_int_equal(head(p, "ours", &git, commit), 0);
        assert_true(git);
        assert_string_equal(commit, expected);
}

static void symbolic_links_in_it_are_refused(void **state) {
        static const char *const swaps[] = {
                "mv .git ../moved && ln -s ../moved .git",
                "ln -sf ../../theirs/.git/HEAD .git/HEAD",
                "ln -sf ../../../../theirs/.git/refs/heads/main .git/refs/heads/main",
                "rm -r .git/refs/heads && ln -s ../../../theirs/.git/refs/heads .git/refs/heads",
                "ln -sf ../../theirs/.git/HEAD .git/packed-refs",
                "ln -sf ../../theirs/.git/HEAD .git/commondir",
        };
        Place *p = *state;

        for (size_t i = 0; i < ELEMENTS(swaps); i++) {
                run(p, "rm -rf again moved && cp -a ours again && cd again && %s", swaps[i]);
                assert_refused(p, "again");
        }
}

static void a_fifo_in_it_makes_nobody_wait(void **state) {
        static const char *const names[] = { "HEAD", "packed-refs", "commondir", "refs/heads/main",
                                             "objects/info/alternates" };
        Place *p = *state;

        for (size_t i = 0; i < ELEMENTS(names); i++) {
                run(p, "rm -rf again && cp -a ours again && cd again/.git && rm -f %s && mkfifo %s",
                    names[i], names[i]);
                assert_refused(p, "again");
        }
        /* the configuration is not read at all, nor what it includes */
        run(p, "rm -rf again && cp -a ours again && rm again/.git/config && mkfifo again/.git/config");
        char expected[65], commit[65];
        bool git;

        read_line(p, "git -C ours rev-parse HEAD", expected);
        assert_int_equal(head(p, "again", &git, commit), 0);
        assert_string_equal(commit, expected);
}

static void a_common_folder_outside_is_refused(void **state) {
        Place *p = *state;

        run(p, "echo ../../theirs/.git >ours/.git/commondir");
        assert_refused(p, "ours");
        run(p, "echo '%s/theirs/.git' >ours/.git/commondir", p->path);
        assert_refused(p, "ours");
}

static void objects_borrowed_from_outside_are_refused(void **state) {
        Place *p = *state;

        run(p, "git clone -q --shared theirs clone");
        assert_refused(p, "clone");
        run(p, "echo ../../../theirs/.git/objects >clone/.git/objects/info/alternates");
        assert_refused(p, "clone");
        run(p, "git clone -q --bare theirs ours/inner");
        run(p, "echo ../../inner/objects >ours/.git/objects/info/alternates");
        assert_head(p, "ours");
}

static void nonsense_in_it_is_an_error(void **state) {
        Place *p = *state;
        char commit[65];
        bool git;

        run(p, "echo nonsense >ours/.git/HEAD");
        assert_int_equal(head(p, "ours", &git, commit), -EBADMSG);
        run(p, "cd ours/.git && echo 'ref: refs/heads/a' >refs/heads/b && echo 'ref: refs/heads/b' >refs/heads/a &&"
               "cp refs/heads/a HEAD");
        assert_int_equal(head(p, "ours", &git, commit), -ELOOP);
        run(p, "printf 'ref: refs/heads/../../../../theirs/.git/refs/heads/main\\n' >ours/.git/HEAD");
        assert_true(head(p, "ours", &git, commit) < 0);
}

/* ours/.git is swapped all the time with a link to the other repository's: that one's commit never comes. */
typedef struct Exchanger {
        char a[256], b[256];
        atomic_bool stop;
} Exchanger;

static void *exchange(void *userdata) {
        Exchanger *e = userdata;

        while (!e->stop)
                (void) renameat2(AT_FDCWD, e->a, AT_FDCWD, e->b, RENAME_EXCHANGE);
        return NULL;
}

static void a_swapped_repository_never_tells_the_other_s_commit(void **state) {
        char theirs[65], commit[65];
        static Exchanger e;
        Place *p = *state;
        pthread_t thread;
        bool git;

        run(p, "ln -s ../theirs/.git ours/link");
        read_line(p, "git -C theirs rev-parse HEAD", theirs);
        snprintf(e.a, sizeof(e.a), "%s/ours/.git", p->path);
        snprintf(e.b, sizeof(e.b), "%s/ours/link", p->path);
        assert_int_equal(pthread_create(&thread, NULL, exchange, &e), 0);
        for (int i = 0; i < RACE_TRIES; i++) {
                int r = head(p, "ours", &git, commit);

                assert_true(r == 0 || r == -EPERM || r == -EAGAIN);
                assert_true(r != 0 || strcmp(commit, theirs) != 0);
        }
        e.stop = true;
        pthread_join(thread, NULL);
}

static IdentifyIgnore *ignore_of(const char *patterns) {
        IdentifyIgnore *i = NULL;

        assert_int_equal(identify_ignore_new(BYTES_STR(patterns), &i), 0);
        return i;
}

static void patterns_are_those_of_gitignore(void **state) {
        static const struct {
                const char *path;
                bool directory, ignored;
        } cases[] = {
                { "a.tmp", false, true },          { "deep/down/a.tmp", false, true },
                { "keep.tmp", false, false },      { "build", true, true },
                { "build", false, false },         { "x/build", true, false },
                { "sub/x", false, true },          { "sub/a/b/x", false, true },
                { "sub/a/b/y", false, false },     { "\xE9\xFF.tmp", false, true },
                { "new\nline.tmp", false, true },  { "#c", false, true },
                { "with space ", false, true },    { "with space", false, false },
                { "", true, false },               { ".", true, false },
        };
        IdentifyIgnore *i = ignore_of("# a comment\n*.tmp\n/build/\n!keep.tmp\n\nsub/**/x\n\\#c\n"
                                      "with space\\ ");

        (void) state;
        for (size_t n = 0; n < ELEMENTS(cases); n++)
                if (identify_ignored(i, cases[n].path, cases[n].directory) != cases[n].ignored)
                        fail_msg("%s", cases[n].path);
        identify_ignore_free(i);
}

static void the_git_folder_is_not_ignored_unless_told(void **state) {
        IdentifyIgnore *i = ignore_of("*.tmp");

        (void) state;
        assert_false(identify_ignored(i, ".git", true));
        assert_false(identify_ignored(i, ".git/HEAD", false));
        assert_false(identify_ignored(i, "sub/.git", true));
        identify_ignore_free(i);
        i = ignore_of(".git/");
        assert_true(identify_ignored(i, ".git", true));
        identify_ignore_free(i);
}

static void no_pattern_ignores_nothing(void **state) {
        IdentifyIgnore *i = ignore_of("");

        (void) state;
        assert_false(identify_ignored(i, "a.tmp", false));
        assert_false(identify_ignored(i, ".git", true));
        identify_ignore_free(i);
        assert_int_equal(identify_ignore_new(BYTES_NONE, &i), 0);
        assert_false(identify_ignored(i, "a", false));
        identify_ignore_free(i);
        assert_int_equal(identify_ignore_new(BYTES("a\0b", 3), &i), -EINVAL);
        assert_null(identify_ignore_free(NULL));
}

static void *match_many(void *userdata) {
        long wrong = 0;
        char path[32];

        for (int i = 0; i < 2000; i++) {
                snprintf(path, sizeof(path), "d%d/f%d.%s", i % 7, i, i % 2 ? "tmp" : "txt");
                wrong += identify_ignored(userdata, path, false) != (i % 2);
        }
        return (void *) wrong;
}

static void several_threads_match_at_once(void **state) {
        IdentifyIgnore *i = ignore_of("*.tmp");
        pthread_t threads[4];
        void *wrong;

        (void) state;
        for (size_t n = 0; n < ELEMENTS(threads); n++)
                assert_int_equal(pthread_create(&threads[n], NULL, match_many, i), 0);
        for (size_t n = 0; n < ELEMENTS(threads); n++) {
                pthread_join(threads[n], &wrong);
                assert_null(wrong);
        }
        identify_ignore_free(i);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(the_head_is_that_of_git),
                TEST(the_kind_is_what_lies_there),
                TEST(files_too_large_to_be_gits_are_not_read),
                TEST(a_plain_folder_has_none),
                TEST(another_owner_s_repository_is_read),
                TEST(a_git_file_that_leads_out_is_refused),
                TEST(a_git_file_that_stays_beneath_is_followed),
                TEST(symbolic_links_in_it_are_refused),
                TEST(a_fifo_in_it_makes_nobody_wait),
                TEST(a_common_folder_outside_is_refused),
                TEST(objects_borrowed_from_outside_are_refused),
                TEST(nonsense_in_it_is_an_error),
                TEST(a_swapped_repository_never_tells_the_other_s_commit),
                cmocka_unit_test(patterns_are_those_of_gitignore),
                cmocka_unit_test(the_git_folder_is_not_ignored_unless_told),
                cmocka_unit_test(no_pattern_ignores_nothing),
                cmocka_unit_test(several_threads_match_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
