/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "daemon/intake/mounts.h"

static const char text[] =
        "2 1 0:20 / /proc rw - proc proc rw\n" /* moved to the root that was mounted after it */
        "1 0 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        "3 1 0:30 / /data rw shared:2 - xfs /dev/sdb rw\n"
        "nonsense\n"
        "4 3 0:31 / /data/in\\040side rw master:2 - fuse.bindfs /somewhere rw\n"
        "5 1 0:32 / /database rw - tmpfs tmpfs rw\n"
        "6 1 0:33 / /srv rw - btrfs /dev/sdc rw\n"
        "7 6 0:34 / /srv/deep/one rw - xfs /dev/sdd rw\n"
        "8 6 0:35 / /srv rw - btrfs /dev/sde rw\n"
        "9 1 0:36 / /opt/a/b rw - xfs /dev/sdf rw\n"
        "10 1 0:37 / /opt/a rw - xfs /dev/sdg rw\n";

static uint64_t device_at(const Mounts *m, const char *path) {
        const Mount *mount = mounts_find(m, BYTES_STR(path));

        return mount ? mount->device : 0;
}

static uint64_t device(unsigned major_, unsigned minor_) {
        return (uint64_t) major_ << 32 | minor_;
}

static void a_path_is_on_the_innermost_mount_on_its_way(void **state) {
        Mounts m;

        (void) state;
        assert_int_equal(mounts_parse(BYTES_STR(text), &m), 0);
        assert_int_equal(m.n, 10);
        assert_int_equal(device_at(&m, "/proc/1"), device(0, 20));
        assert_int_equal(device_at(&m, "/"), device(254, 0));
        assert_int_equal(device_at(&m, "/home/a"), device(254, 0));
        assert_int_equal(device_at(&m, "/data/in side/x"), device(0, 31));
        assert_int_equal(device_at(&m, "/data/in side"), device(0, 31));
        assert_int_equal(device_at(&m, "/data/in sidex"), device(0, 30));
        assert_int_equal(device_at(&m, "/database/x"), device(0, 32));  /* a name that only begins alike */
        mounts_done(&m);
}

static void a_mount_hides_what_is_mounted_at_its_place_and_beneath(void **state) {
        Mounts m;

        (void) state;
        assert_int_equal(mounts_parse(BYTES_STR(text), &m), 0);
        assert_int_equal(device_at(&m, "/srv/x"), device(0, 35));
        assert_int_equal(mounts_find(&m, BYTES_STR("/srv"))->id, 8);
        assert_int_equal(device_at(&m, "/srv/deep/one/x"), device(0, 35));
        assert_int_equal(device_at(&m, "/opt/a/b/x"), device(0, 37));
        mounts_done(&m);
}

static void whether_an_unmount_is_heard_of_is_known(void **state) {
        Mounts m;

        (void) state;
        assert_int_equal(mounts_parse(BYTES_STR(text), &m), 0);
        assert_true(mounts_find(&m, BYTES_STR("/x"))->propagates);
        assert_true(mounts_find(&m, BYTES_STR("/data/in side/x"))->propagates);
        assert_false(mounts_find(&m, BYTES_STR("/database"))->propagates);
        mounts_done(&m);
}

static void without_a_table_nothing_is_known(void **state) {
        Mounts m;

        (void) state;
        assert_int_equal(mounts_parse(BYTES_NONE, &m), 0);
        assert_null(mounts_find(&m, BYTES_STR("/x")));
        mounts_done(&m);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_path_is_on_the_innermost_mount_on_its_way),
                cmocka_unit_test(a_mount_hides_what_is_mounted_at_its_place_and_beneath),
                cmocka_unit_test(whether_an_unmount_is_heard_of_is_known),
                cmocka_unit_test(without_a_table_nothing_is_known),
        };

        return cmocka_run_group_tests_name("mounts", tests, NULL, NULL);
}
