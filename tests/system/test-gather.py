#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""In a storm commits gather: each costs all the pages that its events touch."""

import os
import sqlite3
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness  # noqa: E402
from harness import check, diag, write  # noqa: E402

FILES, APART = 400, 0.005       # seconds
GATHER = 0.020                  # between commits at least, while only changes come


def commits(daemon, after):
    """Transactions with events after this one; the daemon has ended."""
    path = os.path.join(daemon.state, next(name for name in os.listdir(daemon.state) if name.endswith('.db')))
    store = sqlite3.connect(f'file:{path}?mode=ro', uri=True)
    try:
        return store.execute('SELECT count(*) FROM batch WHERE first_seq > ?', (after,)).fetchone()[0]
    finally:
        store.close()


def a_storm_of_changes_takes_few_commits():
    with harness.Daemon() as daemon:
        tree = os.path.join(daemon.top, 'tree')
        os.mkdir(tree)
        daemon.add(tree, 't')
        daemon.settle('t')
        before, began = daemon.newest(), time.monotonic()
        for number in range(FILES):
            write(os.path.join(tree, f'f{number}'), b'%d' % number)
            time.sleep(APART)
        daemon.at_rest('t', tree)
        taken = time.monotonic() - began
        daemon.stop()
        found = commits(daemon, before)
        diag(f'{FILES} files in {taken:.1f} s: {found} commits')
        check(found <= taken / GATHER + 20, f'{found} commits in {taken:.1f} s')


harness.run([a_storm_of_changes_takes_few_commits])
