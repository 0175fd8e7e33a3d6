# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 of each process and of all, a watcher that hangs, a clean stop: coverage shows each, reconciliation closes
it, and at rest the record equals the tree."""

import os
import signal

import harness
from harness import check, equal, wait_for, write
from operations import LINKS, MOVES, Writer, populate, start_writers


class Stage:
    def __enter__(self):
        self.daemon = harness.Daemon().__enter__()
        self.tree = os.path.join(self.daemon.top, 'tree')
        self.outside = os.path.join(self.daemon.top, 'outside')
        os.mkdir(self.tree)
        os.mkdir(self.outside)
        populate(self.tree, 'kill')
        self.daemon.add(self.tree, 't')
        self.daemon.at_rest('t', self.tree)
        equal(self.daemon.gaps('t'), [], 'gaps before')
        return self

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)

    def writers(self, seed, operations=300, without=LINKS):
        return start_writers(self.tree, self.outside, seed, 2, operations, without)

    def recovered(self, *causes):
        self.daemon.settle('t')
        gaps = self.daemon.closed('t')
        found = {gap['cause'] for gap in gaps}
        check(found & set(causes), f'coverage shows {sorted(found)}, none of {causes}')
        return self.daemon.at_rest('t', self.tree)


def rows(events):
    return [(row['kind'], row.get('path')) for row in events]


def the_watcher_is_killed_at_rest():
    with Stage() as stage:
        before = stage.daemon.newest()
        stage.daemon.kill('watcher')
        wait_for(lambda: stage.daemon.status()['watcherRestarts'] == 1, 'another watcher is started')
        stage.recovered('watcher-lost')
        equal(rows(stage.daemon.events(before)), [('gap-open', None), ('gap-close', None)], 'events of the kill')


def the_watcher_is_killed_during_writes():
    with Stage() as stage:
        for turn in range(4):
            finish = stage.writers(f'watcher:{turn}')
            start = stage.daemon.status()['watcherRestarts']
            stage.daemon.kill('watcher')
            wait_for(lambda s=start: stage.daemon.status()['watcherRestarts'] > s, 'another watcher is started')
            finish()
        stage.recovered('watcher-lost')


def the_daemon_is_killed_during_writes():
    with Stage() as stage:
        for turn in range(3):
            finish = stage.writers(f'daemon:{turn}', without=LINKS if turn < 2 else MOVES)
            stage.daemon.kill('daemon')
            finish()
            stage.daemon.start()
        stage.recovered('crashed')


def both_are_killed_during_writes():
    with Stage() as stage:
        for turn in range(3):
            finish = stage.writers(f'both:{turn}')
            stage.daemon.kill('both')
            stage.daemon.start()
            finish()
        stage.recovered('crashed')


def killed_in_the_first_look():
    with harness.Daemon() as daemon:
        tree = os.path.join(daemon.top, 'tree')
        populate(tree, 'first', directories=120)
        daemon.add(tree, 't')
        daemon.kill('both')
        Writer(tree, daemon.top, 'first', without=LINKS + MOVES).work(50)
        daemon.start()
        daemon.settle('t')
        daemon.closed('t')
        daemon.at_rest('t', tree)


def a_file_is_changed_behind_the_back_with_its_size_and_mtime_kept():
    with Stage() as stage:
        path = os.path.join(stage.tree, 'd0', 'e0', 'f0')
        write(path, b'before')
        stage.daemon.at_rest('t', stage.tree)
        info = os.stat(path)
        stage.daemon.kill('both')
        write(path, b'beyond')
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
        stage.daemon.start()
        before = stage.daemon.newest()
        stage.recovered('crashed')
        changed = [row for row in stage.daemon.events() if row.get('path') == 'd0/e0/f0'][-1]
        equal((changed['kind'], changed['origin']), ('modify', 'reconcile'), f'its newest event (of {before})')


def a_clean_stop_is_a_gap_of_its_own():
    with Stage() as stage:
        stage.daemon.stop()
        stage.writers('stopped')()
        stage.daemon.start()
        stage.recovered('stopped')
        equal({gap['cause'] for gap in stage.daemon.gaps('t')}, {'stopped'}, 'causes')
        late = [row for row in stage.daemon.events() if row['origin'] == 'live' and row.get('path')]
        check(not late, f'what was found after the stop is called live: {late[:1]}')


def a_restart_on_an_unchanged_tree_writes_no_event_but_its_gap():
    with Stage() as stage:
        for cause in ('stopped', 'crashed'):
            before = stage.daemon.newest()
            files = stage.daemon.ctl('files', 't')
            if cause == 'stopped':
                stage.daemon.stop()
            else:
                stage.daemon.kill('both')
            stage.daemon.start()
            stage.recovered(cause)
            equal(rows(stage.daemon.events(before)), [('gap-open', None), ('gap-close', None)], f'events ({cause})')
            equal(stage.daemon.ctl('files', 't'), files, 'the files')


def a_gap_spans_what_could_have_been_missed():
    """It begins no later than the last thing seen before, and ends no earlier than the new start."""
    with Stage() as stage:
        last = max(row['timeUsec'] for row in stage.daemon.events())
        stage.daemon.kill('both')
        stage.daemon.start()
        stage.recovered('crashed')
        gap = stage.daemon.gaps('t')[0]
        closing = [row for row in stage.daemon.events() if row['seq'] == gap['closedBy']]
        equal([row['kind'] for row in closing], ['gap-close'], 'the event that closed it')
        check(gap['fromUsec'] <= last + 60 * 1000 * 1000 and gap['untilUsec'] > gap['fromUsec'],
              f'the gap {gap} does not follow the last event at {last}')


def a_stopped_watcher_is_said_to_stall():
    with Stage() as stage:
        watcher = stage.daemon.watcher()
        os.kill(watcher, signal.SIGSTOP)
        write(os.path.join(stage.tree, 'unseen'), b'x')
        done = stage.daemon.ctl_run('settle', 't', '--timeout', '2')
        os.kill(watcher, signal.SIGCONT)
        check(done.returncode != 0, 'settle claims success while the watcher is stopped')
        check(done.stderr.strip(), 'settle says nothing')
        stage.daemon.at_rest('t', stage.tree)


def a_second_daemon_on_the_same_state_is_refused():
    with Stage() as stage:
        again = harness.subprocess.run([harness.program('scitraced'), '--user', '--state', stage.daemon.state],
                                       env=stage.daemon.env, stdin=harness.subprocess.DEVNULL,
                                       capture_output=True, timeout=harness.LIMIT, check=False)
        check(again.returncode != 0, 'two daemons share one state folder')
        check(b'state' in again.stderr or b'running' in again.stderr, f'it says {again.stderr!r}')
        stage.daemon.at_rest('t', stage.tree)


harness.run([the_watcher_is_killed_at_rest, the_watcher_is_killed_during_writes, the_daemon_is_killed_during_writes,
             both_are_killed_during_writes, killed_in_the_first_look,
             a_file_is_changed_behind_the_back_with_its_size_and_mtime_kept, a_clean_stop_is_a_gap_of_its_own,
             a_restart_on_an_unchanged_tree_writes_no_event_but_its_gap, a_gap_spans_what_could_have_been_missed,
             a_stopped_watcher_is_said_to_stall, a_second_daemon_on_the_same_state_is_refused])
