/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/path.h"
#include "lib/util.h"

static char top[4096];          /* a real path */

static void assert_cleaned(const char *path, const char *wanted) {
        char buf[256];

        snprintf(buf, sizeof(buf), "%s", path);
        path_clean(buf);
        assert_string_equal(buf, wanted);
}

static void letters_are_cleaned(void **state) {
        assert_cleaned("/", "/");
        assert_cleaned("//", "/");
        assert_cleaned("/a//b/./c/../d/", "/a/b/d");
        assert_cleaned("/../../a", "/a");
        assert_cleaned("/a/..", "/");
        assert_cleaned("/a/../b", "/b");
        assert_cleaned("/...", "/...");
        assert_cleaned("/.a/..b", "/.a/..b");
        assert_cleaned("/a/b/../../c", "/c");
}

/* wanted: beneath the test's folder. */
static void assert_absolute(const char *argument, PathEnd end, const char *wanted) {
        CLEANUP(freep) char *path = NULL, *whole = NULL;

        assert_true(asprintf(&whole, "%s%s", top, wanted) > 0);
        assert_int_equal(path_absolute(argument, end, &path), 0);
        assert_string_equal(path, whole);
}

static void the_working_folder_stands_before_a_relative_path(void **state) {
        assert_absolute("file", PATH_ITSELF, "/file");
        assert_absolute("./folder//file", PATH_ITSELF, "/folder/file");
        assert_absolute(".", PATH_ITSELF, "");
        assert_absolute("folder/", PATH_ITSELF, "/folder");
        assert_absolute("folder/..", PATH_ITSELF, "");
}

static void a_parent_that_is_a_link_is_followed(void **state) {
        assert_absolute("way/file", PATH_ITSELF, "/folder/file");
        assert_absolute("way/gone", PATH_ITSELF, "/folder/gone");
        assert_absolute("way/../file", PATH_ITSELF, "/file");
}

static void the_last_component_is_followed_only_when_asked(void **state) {
        assert_absolute("way", PATH_ITSELF, "/way");
        assert_absolute("way", PATH_FOLLOWED, "/folder");
        assert_absolute("way/.", PATH_ITSELF, "/folder");
        assert_absolute("nowhere", PATH_FOLLOWED, "/nowhere");
}

static void what_is_gone_is_cleaned_by_its_letters(void **state) {
        assert_absolute("way/gone/deep/../file", PATH_ITSELF, "/folder/gone/file");
        assert_absolute("gone/../file", PATH_ITSELF, "/file");
        assert_absolute("file/beneath", PATH_ITSELF, "/file/beneath");
}

static void bytes_stay_bytes(void **state) {
        json_t *object = json_object();

        assert_absolute("a\xff\nb", PATH_ITSELF, "/a\xff\nb");
        assert_int_equal(path_parameter(object, "/nowhere/\xc3\xbc", PATH_ITSELF), 0);
        assert_string_equal(json_string_value(json_object_get(object, "path")), "/nowhere/\xc3\xbc");
        json_object_clear(object);
        assert_int_equal(path_parameter(object, "/nowhere/\xff", PATH_ITSELF), 0);
        assert_null(json_object_get(object, "path"));
        assert_string_equal(json_string_value(json_object_get(object, "pathBase64")), "L25vd2hlcmUv/w==");
        json_decref(object);
}

static void nothing_is_no_path(void **state) {
        char *path = NULL;

        assert_int_equal(path_absolute("", PATH_ITSELF, &path), -ENOENT);
        assert_null(path);
}

static int make_folder(void **state) {
        char name[] = "/tmp/scitrace-path-XXXXXX";
        FILE *f;

        if (!mkdtemp(name) || !realpath(name, top) || chdir(top) < 0 || mkdir("folder", 0700) < 0 ||
            symlink("folder", "way") < 0)
                return -1;
        f = fopen("file", "w");
        return f ? fclose(f) : -1;
}

static int remove_folder(void **state) {
        return unlink("way") < 0 || unlink("file") < 0 || rmdir("folder") < 0 || chdir("/") < 0 ||
                               rmdir(top) < 0
                       ? -1
                       : 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(letters_are_cleaned),
                cmocka_unit_test(the_working_folder_stands_before_a_relative_path),
                cmocka_unit_test(a_parent_that_is_a_link_is_followed),
                cmocka_unit_test(the_last_component_is_followed_only_when_asked),
                cmocka_unit_test(what_is_gone_is_cleaned_by_its_letters),
                cmocka_unit_test(bytes_stay_bytes),
                cmocka_unit_test(nothing_is_no_path),
        };

        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
