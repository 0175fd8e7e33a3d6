# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each watcher must show that it still sees. One that hangs is replaced, with a gap; one whose daemon stood
still itself is not."""

import os
import signal
import time

import harness
from harness import alive, check, equal, fast, measured, wait_for, write
from operations import populate

INTERVAL = 1                            # seconds; three of them without an answer, and the watcher is replaced
SETTINGS = f'[Watcher]\nCheckInterval={INTERVAL}s\n'


class Stage:
    def __enter__(self):
        self.daemon = harness.Daemon(settings=SETTINGS).__enter__()
        self.tree = os.path.join(self.daemon.top, 'tree')
        populate(self.tree, 'canary', directories=5)
        self.daemon.add(self.tree, 't')
        self.daemon.at_rest('t', self.tree)
        return self

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)


@measured
def a_watcher_that_hangs_is_replaced():
    with Stage() as stage:
        watcher = stage.daemon.watcher()
        os.kill(watcher, signal.SIGSTOP)
        stopped = time.time() * 1e6
        before = stage.daemon.newest()
        write(os.path.join(stage.tree, 'unseen'), b'x')
        wait_for(lambda: stage.daemon.status()['watcherRestarts'] >= 1, 'it is replaced')
        wait_for(lambda: not alive(watcher), 'the one that hung is ended')
        stage.daemon.settle('t')
        gaps = stage.daemon.closed('t')
        equal([gap['cause'] for gap in gaps], ['stalled'], 'causes of the gaps')
        check(gaps[0]['fromUsec'] <= stopped < gaps[0]['untilUsec'], f'the gap {gaps[0]} is not about {stopped:.0f}')
        fast(gaps[0]['fromUsec'] >= stopped - 3e6 * INTERVAL, f'the gap {gaps[0]} begins long before {stopped:.0f}')
        found = [(row['kind'], row['origin']) for row in stage.daemon.events(before) if row.get('path') == 'unseen']
        equal(found[0], ('create', 'reconcile'), 'what happened meanwhile')
        stage.daemon.at_rest('t', stage.tree)


@measured
def a_daemon_that_stood_still_does_not_blame_its_watcher():
    with Stage() as stage:
        write(os.path.join(stage.tree, 'before'), b'x')
        os.kill(stage.daemon.process.pid, signal.SIGSTOP)
        write(os.path.join(stage.tree, 'meanwhile'), b'x')
        time.sleep(5 * INTERVAL)
        os.kill(stage.daemon.process.pid, signal.SIGCONT)
        stage.daemon.at_rest('t', stage.tree)
        time.sleep(2 * INTERVAL)        # for the checks that are due
        fast(stage.daemon.status()['watcherRestarts'] == 0, 'its watcher was replaced')
        equal(stage.daemon.gaps('t'), [], 'gaps')


harness.run([a_watcher_that_hangs_is_replaced, a_daemon_that_stood_still_does_not_blame_its_watcher])
