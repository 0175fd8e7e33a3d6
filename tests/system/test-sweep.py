# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an overflow of the kernel's queue hid is found without walking what it cannot have hidden, and a storm of
overflows is no storm of walks."""

import os
import signal
import time

import harness
from harness import check, compare, diag, equal, fast, measured, snapshot, wait_for, write
from overflow import start_with_a_short_queue, while_stopped

QUIET = 300             # directories that nothing happens in
FILES = int(os.environ.get('FILES', '5000'))
SLACK = 2.5             # seconds; what is younger at an overflow may have been missed by it


class Stage:
    """A daemon with a short queue; two datasets that have been quiet for longer than a sweep looks back."""

    def __enter__(self):
        self.daemon = harness.Daemon()
        self.tree, self.other = (os.path.join(self.daemon.top, name) for name in ('tree', 'other'))
        for top in self.tree, self.other:
            for number in range(QUIET):
                os.makedirs(os.path.join(top, 'quiet', f'q{number}'))
                write(os.path.join(top, 'quiet', f'q{number}', 'file'), b'%d' % number)
            for name in 'abcd':
                os.makedirs(os.path.join(top, 'busy', name, 'below'))
                write(os.path.join(top, 'busy', name, 'below', 'old'), b'old')
        try:
            start_with_a_short_queue(self.daemon, self.tree)
        except BaseException:
            self.daemon.abandon()
            raise
        self.daemon.add(self.other, 'o')
        self.daemon.at_rest('t', self.tree)
        self.daemon.at_rest('o', self.other)
        time.sleep(SLACK)
        self.daemon.settle()            # the queue was empty just now
        return self

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)

    def busy(self, *names):
        return os.path.join(self.tree, 'busy', *names)

    def at_rest(self):
        status = self.daemon.at_rest('t', self.tree)
        self.daemon.closed('t')
        self.daemon.closed('o')
        compare(self.daemon.ctl('files', 'o'), snapshot(self.other))
        return status


def causes(gaps):
    return [gap['cause'] for gap in gaps if gap['cause'] != 'stalled']


@measured
def nothing_but_what_was_touched_is_walked():
    with Stage() as stage:
        daemon, before = stage.daemon, stage.daemon.newest()

        def work():
            for number in range(FILES):
                write(stage.busy('abcd'[number % 4], f'many-{number}'), b'%d' % number)
            os.mkdir(stage.busy('a', 'new'))
            os.mkdir(stage.busy('a', 'new', 'newer'))
            write(stage.busy('a', 'new', 'newer', 'file'), b'new')
            os.rename(stage.busy('b', 'below'), stage.busy('c', 'moved'))
            os.unlink(stage.busy('d', 'below', 'old'))
            with open(os.path.join(stage.tree, 'quiet', 'q7', 'file'), 'r+b') as file:
                file.write(b'x')
        while_stopped(daemon, work)
        woken = time.monotonic()
        wait_for(lambda: daemon.gaps('t'), 'a gap is opened')
        diag(f'gap after {time.monotonic() - woken:.2f} s')
        fast(time.monotonic() - woken < 1, 'the gap was not opened within a second')
        daemon.settle('t')
        status = stage.at_rest()
        diag({key: status[key] for key in ('overflows', 'swept', 'walkedAgain', 'walkedTwice')})
        # a, b, c, d, d/below, c/moved; not busy, not quiet, not q7, of which only the file changed
        equal(status['walkedAgain'], 6, 'directories walked again')
        check(status['swept'] >= 2 * QUIET, 'the datasets were not swept')
        equal(causes(daemon.gaps('t')), ['overflow'], 'gaps')
        rows = daemon.events(before)
        equal([row['path'] for row in rows if row.get('path', '').startswith('quiet')], ['quiet/q7/file'],
              'events of what was quiet')
        equal([row for row in rows if row['dataset'] == 'o' and not row['kind'].startswith('gap')], [],
              'events of the other dataset')
        equal([(row['kind'], row['path'], row.get('oldPath')) for row in rows if row['kind'] == 'rename'],
              [('rename', 'busy/c/moved', 'busy/b/below')], 'renames')
        moved = [row for row in rows if row.get('path', '').startswith('busy/c/moved/')]
        equal(moved, [], 'events below the directory that moved')
        after = daemon.newest()
        write(stage.busy('c', 'moved', 'live'), b'live')
        daemon.at_rest('t', stage.tree)
        equal([(row['kind'], row['path'], row['origin']) for row in daemon.events(after)],
              [('create', 'busy/c/moved/live', 'live')], 'events after it')


def what_left_the_tree_in_an_overflow_is_not_watched_any_more():
    with Stage() as stage:
        daemon, watches = stage.daemon, stage.daemon.status()['watches']
        outside = os.path.join(daemon.top, 'outside')

        def work():
            for number in range(200):
                write(stage.busy('a', f'many-{number}'))
            os.rename(stage.busy('b'), outside)
        while_stopped(daemon, work)
        wait_for(lambda: daemon.gaps('t'), 'a gap is opened')
        status = stage.at_rest()
        equal(status['watches'], watches - 2, 'watches')


@measured
def a_storm_of_overflows_is_one_gap_and_few_sweeps():
    with Stage() as stage:
        daemon = stage.daemon
        begin = daemon.status()['swept']
        turns, end = 0, time.monotonic() + 5
        while time.monotonic() < end:
            def work(turn=turns):
                for number in range(200):
                    write(stage.busy('abcd'[turn % 4], f'storm-{number}'), b'%d' % turn)
            while_stopped(daemon, work)
            turns += 1
            time.sleep(0.05)
        status = stage.at_rest()
        sweeps = (status['swept'] - begin) / (2 * QUIET)
        diag(f'{turns} turns, {status["overflows"]} overflows, {sweeps:.1f} sweeps')
        fast(status['overflows'] > 5, f'{turns} turns are no storm')
        check(sweeps < 5.5, f'{sweeps:.1f} sweeps')
        equal(causes(daemon.gaps('t')), ['overflow'], 'gaps')
        equal(causes(daemon.gaps('o')), ['overflow'], 'gaps')


def a_watcher_that_ends_in_a_sweep_leaves_it_to_the_next():
    with Stage() as stage:
        daemon = stage.daemon

        def work():
            for number in range(2000):
                write(stage.busy('abcd'[number % 4], f'many-{number}'), b'%d' % number)
        while_stopped(daemon, work)
        wait_for(lambda: daemon.gaps('t'), 'a gap is opened')
        os.kill(daemon.watcher(), signal.SIGKILL)
        wait_for(lambda: daemon.status()['watcherRestarts'] > 0, 'another watcher')
        daemon.settle('t')
        stage.at_rest()
        check('overflow' in causes(daemon.gaps('t')), 'coverage shows no overflow')


harness.run([nothing_but_what_was_touched_is_walked, what_left_the_tree_in_an_overflow_is_not_watched_any_more,
             a_storm_of_overflows_is_one_gap_and_few_sweeps, a_watcher_that_ends_in_a_sweep_leaves_it_to_the_next])
