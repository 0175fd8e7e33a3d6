# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an overflow of the kernel's queue hides is a gap, opened, reconciled and closed; at rest the record is equal."""

import os

import harness
from harness import check, diag, equal, wait_for, write
from overflow import QUEUE, start_with_a_short_queue, while_stopped
from operations import populate, start_writers

FILES = 3000


class Stage:
    def __enter__(self):
        self.daemon = harness.Daemon()
        self.tree = os.path.join(self.daemon.top, 'tree')
        os.makedirs(os.path.join(self.tree, 'quiet', 'corner'))
        populate(self.tree, 'overflow')
        try:
            start_with_a_short_queue(self.daemon, self.tree)
        except BaseException:
            self.daemon.abandon()
            raise
        self.daemon.at_rest('t', self.tree)
        return self.daemon, self.tree

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)


def overflow_gaps(daemon):
    return [gap for gap in daemon.gaps('t') if gap['cause'] == 'overflow']


def recovered(daemon, tree):
    wait_for(lambda: daemon.status()['overflows'] > 0, 'the overflow is noticed')
    daemon.settle('t')
    daemon.closed('t')
    status = daemon.at_rest('t', tree)
    check(overflow_gaps(daemon), 'coverage shows no overflow')
    equal([gap for gap in daemon.gaps('t') if gap['cause'] not in ('overflow', 'stalled')], [], 'other gaps')
    return status


def thousands_of_files_while_the_watcher_is_stopped():
    with Stage() as (daemon, tree):
        equal(daemon.gaps('t'), [], 'gaps before')
        equal(daemon.status()['overflows'], 0, 'overflows before')

        def work():
            for number in range(FILES):
                write(os.path.join(tree, 'd0', f'many-{number}'), b'%d' % number)
        while_stopped(daemon, work)
        recovered(daemon, tree)
        rows = [row for row in daemon.events() if row['kind'] == 'create' and row['origin'] == 'reconcile']
        check(rows, 'nothing was found by reconciliation')
        diag(f'{len(rows)} of {FILES} files were found by reconciliation, the others seen live')


def random_work_while_the_watcher_is_stopped():
    with Stage() as (daemon, tree):
        outside = os.path.join(daemon.top, 'outside')
        os.mkdir(outside)
        while_stopped(daemon, lambda: start_writers(tree, outside, 'overflow', 2, 600)())
        recovered(daemon, tree)


def random_work_in_an_overflowing_queue():
    """The watcher runs, but is stopped again and again for a moment."""
    with Stage() as (daemon, tree):
        outside = os.path.join(daemon.top, 'outside')
        os.mkdir(outside)
        for turn in range(6):
            while_stopped(daemon, lambda t=turn: start_writers(tree, outside, f'again:{t}', 2, 200)())
        recovered(daemon, tree)


def what_is_live_after_an_overflow_is_live_again():
    with Stage() as (daemon, tree):
        def work():
            for number in range(QUEUE * 4):
                write(os.path.join(tree, f'many-{number}'))
        while_stopped(daemon, work)
        recovered(daemon, tree)
        after = daemon.newest()
        write(os.path.join(tree, 'quiet', 'corner', 'new'), b'new')
        daemon.at_rest('t', tree)
        equal([(row['kind'], row.get('path'), row['origin']) for row in daemon.events(after)],
              [('create', 'quiet/corner/new', 'live')], 'events after the overflow')


harness.run([thousands_of_files_while_the_watcher_is_stopped, random_work_while_the_watcher_is_stopped,
             random_work_in_an_overflowing_queue, what_is_live_after_an_overflow_is_live_again])
