/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_TESTS_LIB_FIBERS_H
#define SCITRACE_TESTS_LIB_FIBERS_H

/* fibers: threads that take turns. A test that is linked with THREADS_IN_TURN has the threads of the code under
 * test run in one, a step each, in an order that a seed decides: so what happens once in a million runs happens
 * again. A turn ends where a lock is taken or let go, where a condition or a descriptor is awaited, and before
 * each look at a file. CLOCK_MONOTONIC is nobody's: it goes on when all of them wait for it. Now and then one of
 * them gets no turn for a while, as on a machine that is busy. */

#include <stdint.h>

/** fibers_start() - the caller becomes the first of them. fibers_random() - the dice that decide all of it:
 *  less than `below`. fibers_turn() - lets others go on. */
void fibers_start(uint64_t seed);
unsigned fibers_random(unsigned below);
void fibers_turn(void);

#endif
