#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole daemon at a small work, killed or failed at its N-th change to its state folder; started again, its record
has all that was acknowledged, each event once, and the tree as it is. Speaks TAP.

FAULTS=all takes each N; FAULTS=kill:17,5:40 those; else a sample is taken, another one each day."""

import errno
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle                                                                   # noqa: E402
from life import Life                                                           # noqa: E402
from oracle import harness                                                      # noqa: E402

HOWS = {'kill': 'killed', 'torn': 'killed when half of it is written',
        f'{errno.EIO}': 'failed with EIO', f'{errno.ENOSPC}': 'failed with ENOSPC',
        f'{errno.EDQUOT}': 'failed with EDQUOT', f'{errno.EIO}+': 'failed with EIO from then on',
        f'{errno.ENOSPC}+': 'failed with ENOSPC from then on', f'{errno.EDQUOT}+': 'failed with EDQUOT from then on'}
SAMPLE = dict(zip(HOWS, (14, 4, 8, 6, 4, 4, 4, 3)))
KINDS = ('write', 'fsync', 'fdatasync', 'ftruncate', 'fallocate', 'rename', 'unlink')
FAULTS = os.environ.get('FAULTS', '')


def life(how, at, what=''):
    """How many changes there were, if it came to its end."""
    with tempfile.TemporaryDirectory(prefix='scitrace-writes-', dir=oracle.MEMORY) as top:
        one = Life(how, at, top, what)
        one.whole()
        return one.changes


def failing(_, kind):
    """The first of a kind, and another one, fails; with another errno each day."""
    errnos = errno.EIO, errno.ENOSPC, errno.EDQUOT
    day = int(time.time() / 86400) + KINDS.index(kind)
    for at in 1, 2 + day % 5:
        life(f'{errnos[day % 3]}', at, kind)


def points(total):
    """[(how, the changes that are meant)]"""
    if FAULTS in ('', 'all'):
        return [(how, oracle.sample(total, number)) for how, number in SAMPLE.items()]
    return [(how, [int(at)]) for how, at in (word.split(':') for word in FAULTS.split(','))]


def tests():
    counted = []
    yield 'a life without a fault', lambda: counted.append(life('none', 0))
    if FAULTS in ('', 'all'):
        yield 'each kind of change fails once', lambda: oracle.sweep('kind', KINDS, failing)
    for how, chosen in points(counted[0]) if counted else ():
        yield (f'the daemon is {HOWS[how]}, at a change to its folder: {len(chosen)} of {counted[0]}',
               lambda how=how, chosen=chosen: oracle.sweep(how, chosen, life))


harness.run(tests())
