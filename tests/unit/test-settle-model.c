/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include "daemon/watch/settle.h"
#include "lib/names.h"

enum { QUIET = 250, OLDEST = 5000, MOST = 1000, SEEDS = 300, ROUNDS = 5, STEPS = 400 };

static Moment moment(int64_t now) {
        return (Moment) { now, now };
}

/* A small world of 3 x 5 names, whose operations arrive as notices some time after they were made; lookers that see
 * it as it is at that moment; and a record made of what is reported alone. When all has come to rest the record is the
 * world, and every operation has been counted once. */

enum { DIRS = 3, NAMES = 5, CELLS = DIRS * NAMES, BACKLOG = 64, FLIGHTS = 8 };

typedef struct Step {
        enum { STEP_CREATE, STEP_WRITE, STEP_UNLINK, STEP_MOVE, STEP_SWAP } what;
        int a, b;
} Step;

typedef struct World {
        Settle *s;
        int64_t now;
        unsigned seed;
        int world[CELLS], record[CELLS];        /* node, 0: none */
        int next_node;
        Step steps[BACKLOG];
        size_t n_steps;
        SettleJob flights[FLIGHTS];
        size_t n_flights;
        uint64_t operations, counted;
        uint32_t next_request;
        uint64_t open_requests;
} World;

static unsigned dice(World *w, unsigned sides) {
        w->seed = w->seed * 1103515245u + 12345u;
        return (w->seed >> 16) % sides;
}

static uint32_t dir_of(int cell) {
        return (uint32_t) (cell / NAMES + 1);
}

static Bytes name_of(int cell) {
        static const char *const names[NAMES] = { "a", "b", "c", "d", "e" };

        return BYTES(names[cell % NAMES], 1);
}

static void act(World *w) {
        Step step = { .a = (int) dice(w, CELLS), .b = (int) dice(w, CELLS) };
        int a = w->world[step.a], b = w->world[step.b];

        if (w->n_steps == BACKLOG)
                return;
        switch (dice(w, 6)) {
        case 0:
        case 1:
                step.what = a ? STEP_WRITE : STEP_CREATE;
                if (!a)
                        w->world[step.a] = ++w->next_node;
                break;
        case 2:
                step.what = STEP_UNLINK;
                if (!a)
                        return;
                w->world[step.a] = 0;
                break;
        case 3:
        case 4:
                step.what = STEP_MOVE;
                if (!a || step.a == step.b)
                        return;
                w->world[step.b] = a;
                w->world[step.a] = 0;
                break;
        default:
                step.what = STEP_SWAP;
                if (!a || !b || step.a == step.b)
                        return;
                w->world[step.a] = b;
                w->world[step.b] = a;
        }
        w->operations += step.what != STEP_WRITE;
        w->steps[w->n_steps++] = step;
}

/* What intake does with what is reported. */

static void record_state(World *w, int cell, int node) {
        for (int i = 0; i < CELLS; i++)
                if (w->record[i] == node)
                        w->record[i] = 0;
        w->record[cell] = node;
}

static void record_moved(World *w, int from, int to) {
        if (!w->record[from])
                return;
        w->record[to] = w->record[from];
        w->record[from] = 0;
}

static void record_exchanged(World *w, int a, int b) {
        int node = w->record[a];

        if (!node || !w->record[b])
                return;
        w->record[a] = w->record[b];
        w->record[b] = node;
}

static void answered(World *w, uint32_t request) {
        w->open_requests -= request != 0;
        while (settle_displaced(w->s) != 0)
                w->open_requests--;
}

static void notice_move(World *w, const Step *step) {
        SettleChange c;
        bool over = false;
        int r = settle_move(w->s, dir_of(step->a), name_of(step->a), dir_of(step->b), name_of(step->b), false,
                            moment(w->now), &c, &over);

        assert_true(r == 0 || r == SETTLE_E_FOLDED);
        if (r == 0)
                w->counted += c.count;
        if (over)
                w->record[step->a] = 0;
        else
                record_moved(w, step->a, step->b);
}

static void notice_swap(World *w, const Step *step) {
        SettleChange c;
        int moved = 0;
        int r = settle_swap(w->s, dir_of(step->a), name_of(step->a), dir_of(step->b), name_of(step->b),
                            moment(w->now), &c, &moved);

        assert_true(r == 0 || r == SETTLE_E_FOLDED);
        if (r == 0 || moved)
                w->counted += c.count;
        if (r == 0)
                record_exchanged(w, step->a, step->b);
        else if (moved == 1)
                record_moved(w, step->a, step->b);
        else if (moved == 2)
                record_moved(w, step->b, step->a);
}

static void notice(World *w) {
        Step step = w->steps[0];
        SettleNotice n = { .dir = dir_of(step.a), .name = name_of(step.a), .flags = SETTLE_CONTENT,
                           .origin = ORIGIN_LIVE };
        SettleChange c = { 0 };

        w->n_steps--;
        memmove(w->steps, w->steps + 1, w->n_steps * sizeof(*w->steps));
        switch (step.what) {
        case STEP_CREATE:
                n.flags |= SETTLE_NEW;
                n.count = 1;
                /* fall through */
        case STEP_WRITE:
                assert_int_equal(settle_touch(w->s, &n, moment(w->now)), 0);
                break;
        case STEP_UNLINK:
                settle_gone(w->s, n.dir, n.name, &c);
                w->counted += c.count + 1;
                w->record[step.a] = 0;
                break;
        case STEP_MOVE:
                notice_move(w, &step);
                break;
        case STEP_SWAP:
                notice_swap(w, &step);
        }
        answered(w, c.request);
}

static void ask(World *w) {
        int cell = (int) dice(w, CELLS);
        SettleNotice n = { .dir = dir_of(cell), .name = name_of(cell), .origin = ORIGIN_RECONCILE,
                           .request = ++w->next_request };

        assert_int_equal(settle_touch(w->s, &n, moment(w->now)), 0);
        w->open_requests++;
        answered(w, 0);
}

static void look(World *w) {
        size_t i = dice(w, (unsigned) w->n_flights);
        SettleJob job = w->flights[i];
        int cell = (int) (job.dir - 1) * NAMES + job.name[0] - 'a';
        bool again = w->world[cell] == 0 && job.change.tries < 1;

        w->flights[i] = w->flights[--w->n_flights];
        if (settle_fresh(w->s, &job) && !again) {
                w->counted += job.change.count;
                w->open_requests -= job.change.request != 0;
                if (w->world[cell])
                        record_state(w, cell, w->world[cell]);
                else
                        w->record[cell] = 0;
        }
        settle_done(w->s, &job, again, w->now);
        answered(w, 0);
}

/* What is due, or is of the directory of what was taken last. */
static int take(World *w, SettleJob *ret) {
        if (w->n_flights > 0 && dice(w, 2) == 0)
                return settle_next_of(w->s, w->now, w->flights[w->n_flights - 1].dir, ret);
        return settle_next(w->s, w->now, false, ret);
}

static void step(World *w) {
        switch (dice(w, 8)) {
        case 0:
        case 1:
                act(w);
                break;
        case 2:
        case 3:
                if (w->n_steps > 0)
                        notice(w);
                break;
        case 4:
                w->now += dice(w, QUIET);
                break;
        case 5:
                if (w->n_flights < FLIGHTS)
                        w->n_flights += (size_t) take(w, &w->flights[w->n_flights]);
                break;
        case 6:
                if (w->n_flights > 0)
                        look(w);
                break;
        default:
                if (dice(w, 4) == 0)
                        ask(w);
        }
}

static void come_to_rest(World *w) {
        uint32_t epoch;

        while (w->n_steps > 0)
                notice(w);
        epoch = settle_flush(w->s);
        for (int i = 0; !settle_flushed(w->s, epoch); i++) {
                assert_true(i < 10000);
                if (w->n_flights > 0)
                        look(w);
                if (w->n_flights < FLIGHTS &&
                    !settle_next(w->s, w->now, false, &w->flights[w->n_flights++])) {
                        w->n_flights--;
                        w->now += QUIET;
                }
        }
        assert_int_equal(settle_count(w->s), 0);
        assert_int_equal(w->n_flights, 0);
}

static void the_record_comes_to_equal_the_world(void **state) {
        (void) state;
        for (unsigned seed = 1; seed <= SEEDS; seed++) {
                World w = { .seed = seed, .now = 1 };

                assert_int_equal(settle_new(QUIET, OLDEST, MOST, &w.s), 0);
                for (int round = 0; round < ROUNDS; round++) {
                        for (int i = 0; i < STEPS; i++)
                                step(&w);
                        come_to_rest(&w);
                        if (memcmp(w.record, w.world, sizeof(w.world)) != 0)
                                fail_msg("seed %u, round %d: the record is not the world", seed, round);
                        if (w.counted != w.operations)
                                fail_msg("seed %u, round %d: %lu operations, %lu counted", seed, round,
                                         (unsigned long) w.operations, (unsigned long) w.counted);
                        assert_int_equal(w.open_requests, 0);
                }
                settle_free(w.s);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_record_comes_to_equal_the_world),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
