/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "daemon/control/memory.h"

static void a_process_has_memory_and_one_that_is_gone_has_none(void **state) {
        const pid_t here = getpid(), gone = 0x7fffffff;

        (void) state;
        assert_in_range(memory_of(&here, 1), 64 << 10, (int64_t) 1 << 40);
        assert_int_equal(memory_of(&gone, 1), 0);
        assert_int_equal(memory_of(NULL, 0), 0);
}

static void a_recent_answer_is_kept_for_a_second(void **state) {
        MemoryRecent m = { .lock = PTHREAD_MUTEX_INITIALIZER };
        const pid_t here = getpid();
        int64_t first;

        (void) state;
        assert_int_equal(memory_recent(&m, NULL, 0, 5), 0);
        assert_int_equal(memory_recent(&m, &here, 1, 5 + MEMORY_RECENT_USEC), 0);
        first = memory_recent(&m, &here, 1, 6 + MEMORY_RECENT_USEC);
        assert_true(first > 0);
        assert_int_equal(memory_recent(&m, NULL, 0, 7 + MEMORY_RECENT_USEC), first);
        assert_int_equal(memory_recent(&m, NULL, 0, 7 + 2 * MEMORY_RECENT_USEC), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_process_has_memory_and_one_that_is_gone_has_none),
                cmocka_unit_test(a_recent_answer_is_kept_for_a_second),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
