# SPDX-License-Identifier: LGPL-2.1-or-later
"""The record equals the tree under random operations of several writers, and a daemon that merely rescans does not
pass: no gap, nothing walked twice, every event live. More: SEEDS=1,2,3 OPS=5000 WRITERS=4 tests/system/test-random.py"""

import os
import random

import harness
from cases import seen_live
from harness import check, diag, equal
from operations import HOLDS, LINKS, MOVES, populate, start_writers

OPS = int(os.environ.get('OPS', '500'))
WRITERS = int(os.environ.get('WRITERS', '3'))
FIRST_WRITERS = int(os.environ.get('WRITERS', '1'))     # beside the first look
SEEDS = os.environ.get('SEEDS') or f'1,2,{random.SystemRandom().randrange(1 << 32)}'


class Stage:
    """A daemon, a tree, and a folder outside of it on the same file system."""

    def __init__(self):
        self.daemon = harness.Daemon()
        self.tree = os.path.join(self.daemon.top, 'tree')
        self.outside = os.path.join(self.daemon.top, 'outside')
        os.mkdir(self.tree)
        os.mkdir(self.outside)

    def __enter__(self):
        self.daemon.__enter__()
        return self.daemon, self.tree, self.outside

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)


def random_work_on_a_watched_tree(seed):
    with Stage() as (daemon, tree, outside):
        populate(tree, seed)
        daemon.add(tree, 't')
        daemon.at_rest('t', tree)
        first_look = daemon.newest()
        for burst in range(3):
            start_writers(tree, outside, f'{seed}:{burst}', WRITERS, OPS // 3, LINKS if burst < 2 else MOVES)()
            status = daemon.at_rest('t', tree)
        seen_live(daemon, 't', first_look, status)
        diag(f'{status["events"] - first_look} events by {WRITERS} writers')


def random_work_during_the_first_look(seed):
    with Stage() as (daemon, tree, outside):
        populate(tree, seed, directories=60)
        finish = start_writers(tree, outside, seed, FIRST_WRITERS, OPS, MOVES)
        daemon.add(tree, 't')
        finish()
        status = daemon.at_rest('t', tree)
        # One that moves while it is first looked at may be looked at again; the tree may not.
        check(status['walkedTwice'] <= 5, f'{status["walkedTwice"]} of {status["watches"]} directories walked twice')
        equal(daemon.gaps('t'), [], 'gaps')


def random_work_beside_another_dataset(seed):
    """Two datasets, and moves between them: each equals its tree."""
    with Stage() as (daemon, tree, outside):
        daemon.add(tree, 't')
        daemon.add(outside, 'o')
        finish = [start_writers(tree, outside, f'{seed}:t', 2, OPS // 2, HOLDS),
                  start_writers(outside, tree, f'{seed}:o', 2, OPS // 2, HOLDS)]
        for wait in finish:
            wait()
        daemon.settle()
        daemon.at_rest('t', tree)
        seen_live(daemon, 't', 0, daemon.at_rest('o', outside))


def tests():
    for seed in SEEDS.split(','):
        diag(f'seed {seed}: repeat with SEEDS={seed} OPS={OPS} WRITERS={WRITERS}')
        for function in (random_work_on_a_watched_tree, random_work_during_the_first_look,
                         random_work_beside_another_dataset):
            yield f'{function.__name__.replace("_", " ")}, seed {seed}', lambda f=function, s=seed: f(s)


harness.run(tests())
