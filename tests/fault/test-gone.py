#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real daemon, when its database is taken away, taken back, not synced, and when descriptors run out. Speaks TAP."""

import concurrent.futures
import os
import re
import resource
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'system'))
# pylint: disable=wrong-import-position
import harness
from harness import check, equal, fast, measured, run, wait_for, write

SAVED, GONE = 'was removed or replaced while it was in use', 'are gone from the store'


def fill(tree, names):
    for name in names:
        write(os.path.join(tree, name), name.encode())


class Stage:
    """A daemon with a dataset t, three files in it, at rest."""

    def __init__(self, **options):
        self.daemon = harness.Daemon(**options)
        self.tree = os.path.join(self.daemon.top, 'tree')

    def __enter__(self):
        os.mkdir(self.tree)
        self.daemon.start()
        self.daemon.add(self.tree, 't')
        fill(self.tree, 'abc')
        self.daemon.at_rest('t', self.tree)
        return self.daemon, self.tree

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)


def database(daemon, suffix=''):
    return os.path.join(daemon.state, 'scitrace.db' + suffix)


def said(daemon, sentence):
    with open(daemon.err, encoding='utf-8', errors='replace') as file:
        return file.read().count(sentence)


def verified(daemon, *arguments):
    done = daemon.ctl_run('verify', *arguments)
    return done.returncode, done.stdout.decode()


def lost(daemon):
    return [row for row in daemon.events() if row['kind'] == 'store-lost']


def settled(daemon):
    """Whoever waits while the store is in trouble is told that, and asks again."""
    wait_for(lambda: daemon.ctl_run('settle', 't').returncode == 0, 'it settles')


def unlinked(daemon):
    os.unlink(database(daemon))


def unlinked_with_its_log(daemon):
    os.unlink(database(daemon))
    os.unlink(database(daemon, '-wal'))


def renamed(daemon):
    os.rename(database(daemon), database(daemon, '.old'))


def replaced(daemon):
    write(database(daemon, '.other'), b'another')
    os.rename(database(daemon, '.other'), database(daemon))


def gone_with_its_folder(daemon):
    shutil.rmtree(daemon.state)


def is_saved(how):
    with Stage() as (daemon, tree):
        before = daemon.events()
        how(daemon)
        fill(tree, 'de')
        # With the folder goes the socket, which is made again within nine seconds.
        wait_for(lambda: said(daemon, SAVED), 'it is noticed')
        settled(daemon)
        daemon.closed('t')
        daemon.at_rest('t', tree)
        after = daemon.events()
        equal(after[:len(before)], before, 'what was recorded before')
        equal([row.get('lostTo') for row in lost(daemon)], [None], 'events store-lost')
        equal([gap['cause'] for gap in daemon.gaps('t')], ['store-lost'], 'gaps')
        equal(said(daemon, SAVED), 1, 'how often it is said')
        equal(sorted(row['path'] for row in after if row['kind'] == 'create'), list('abcde'), 'files, each once')
        equal(verified(daemon)[0], 0, 'verify')
        daemon.stop()
        # A key that went with the folder is followed by another, for which nobody vouches.
        equal(verified(daemon, daemon.state)[0], 6 if how is gone_with_its_folder else 0, 'verify of the folder')
        if how is replaced:
            with open(database(daemon, '-found-1'), 'rb') as file:
                equal(file.read(), b'another', 'what lay in its place')
        left = [name for name in os.listdir(daemon.state) if 'rescue' in name]
        equal(left, [], 'what the rescue leaves')
        daemon.start()
        equal(daemon.events()[:len(after)], after, 'the record after a restart')
        equal(len(lost(daemon)), 1, 'events store-lost after a restart')


def saved():
    for how in gone_with_its_folder, unlinked, unlinked_with_its_log, renamed, replaced:
        yield f'a database that is {how.__name__.replace("_", " ")} is saved', lambda how=how: is_saved(how)


@measured
def an_idle_daemon_notices_within_ten_seconds():
    with Stage() as (daemon, _):
        began = time.monotonic()
        unlinked(daemon)
        wait_for(lambda: said(daemon, SAVED), 'it is noticed')
        fast(time.monotonic() - began < 10, f'noticed after {time.monotonic() - began:.1f} s')
        check(os.path.getsize(database(daemon)) > 0, 'the database is there')


def a_daemon_that_ends_saves_it_first():
    with Stage() as (daemon, _):
        before = daemon.events()
        unlinked(daemon)
        daemon.stop()
        equal(said(daemon, SAVED), 1, 'how often it is said')
        equal(verified(daemon, daemon.state)[0], 0, 'verify of the folder')
        daemon.start()
        equal(daemon.events()[:len(before)], before, 'the record after a restart')


def a_rescue_that_was_killed_is_ended_by_the_next_start():
    """Its copy was whole and had its name; something else lay in the database's place by then."""
    with Stage() as (daemon, _):
        before = daemon.events()
        daemon.stop()
        os.rename(database(daemon), database(daemon, '-rescue'))
        write(database(daemon), b'another')
        daemon.start()
        equal(daemon.events()[:len(before)], before, 'the record')
        equal(len(lost(daemon)), 0, 'events store-lost')
        check(os.path.exists(database(daemon, '-found-1')), 'the other one is kept')


def copy(daemon, to, back=False):
    """The database and its log, without what lies beside them."""
    if not back:
        os.mkdir(to)
    for suffix in '', '-wal':
        pair = database(daemon, suffix), os.path.join(to, 'scitrace.db' + suffix)
        shutil.copy2(*(reversed(pair) if back else pair))


def an_older_copy_is_not_taken_for_the_record():
    with Stage() as (daemon, tree):
        daemon.stop()
        copy(daemon, os.path.join(daemon.top, 'older'))
        daemon.start()
        fill(tree, 'de')
        daemon.at_rest('t', tree)
        daemon.stop()
        equal(verified(daemon, daemon.state)[0], 0, 'verify of the folder')
        copy(daemon, os.path.join(daemon.top, 'older'), back=True)
        code, text = verified(daemon, daemon.state)
        found = re.search(r'events (\d+) to (\d+), which were sealed, are gone', text)
        check(code == 4 and found, (code, text))
        daemon.start()
        settled(daemon)
        daemon.closed('t')
        daemon.at_rest('t', tree)
        row, = lost(daemon)
        equal((str(row['seq']), str(row['lostTo'])), found.groups(), 'what the event says is lost')
        equal([gap['cause'] for gap in daemon.gaps('t')][-1], 'store-lost', 'the gap')
        equal(said(daemon, GONE), 1, 'how often it is said')
        code, text = verified(daemon)
        check(code == 4 and f'events {found.group(1)} to {found.group(2)}' in text, (code, text))
        daemon.kill('both')
        daemon.start()
        daemon.at_rest('t', tree)
        equal((len(lost(daemon)), said(daemon, GONE)), (1, 1), 'it is said once, also after a crash')
        daemon.stop()
        equal(verified(daemon, daemon.state)[0], 4, 'verify of the folder, later')


def a_database_that_is_missing_at_a_start_is_not_made_anew_in_silence():
    with Stage() as (daemon, tree):
        events = daemon.newest()
        daemon.stop()
        unlinked_with_its_log(daemon)
        daemon.start()
        check(lost(daemon)[0]['lostTo'] >= events, 'what the event says is lost')
        equal(said(daemon, GONE), 1, 'how often it is said')
        equal(verified(daemon)[0], 4, 'verify')
        daemon.add(tree, 't')
        daemon.at_rest('t', tree)


def an_event_whose_sync_failed_is_recorded_once():
    """The sync of a commit fails: nobody is told that it is recorded, and afterwards it is there, and there once."""
    daemon = harness.Daemon()
    when = os.path.join(daemon.top, 'when')
    daemon.env.update(FAULT_DIR=daemon.state, FAULT_WHAT='sync', FAULT_WHEN=when, FAULT_AT='1', FAULT_HOW='5',
                      LD_PRELOAD=os.path.join(harness.BUILD, 'tests/fault/shim.so'),
                      ASAN_OPTIONS=daemon.env['ASAN_OPTIONS'] + ':verify_asan_link_order=0')
    stage = Stage()
    stage.daemon, stage.tree = daemon, os.path.join(daemon.top, 'tree')
    with stage as (daemon, tree):
        before = daemon.events()
        write(when)
        fill(tree, 'd')
        wait_for(lambda: said(daemon, 'could not be written'), 'the store refuses')
        settled(daemon)
        daemon.closed('t')
        daemon.at_rest('t', tree)
        after = daemon.events()
        equal(after[:len(before)], before, 'what was recorded before')
        equal([row['path'] for row in after if row['kind'] == 'create'], list('abcd'), 'files, each once')
        equal((len(lost(daemon)), verified(daemon)[0]), (0, 0), 'events store-lost; verify')


def descriptors_that_are_closed_at_a_start_are_not_the_database():
    stage = Stage(run=['sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh'])
    with stage as (daemon, _):
        pids = [daemon.process.pid, daemon.watcher()]
        for fd in (f'/proc/{pid}/fd/{n}' for pid in pids for n in (0, 1, 2)):
            equal(os.readlink(fd), '/dev/null', fd)
        equal(verified(daemon)[0], 0, 'verify')


def limited(pid):
    """No descriptor more than there are: the first free one is beyond the limit. Returns what lifts that again."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = set(range(1 << 16))
    for _ in range(10):                 # but for those that are open for a moment
        used &= {int(fd) for fd in os.listdir(f'/proc/{pid}/fd')}
        time.sleep(0.05)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (next(n for n in range(1 << 16) if n not in used), before[1]))
    return lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def without_descriptors_who_asks_waits_and_watching_goes_on():
    with Stage() as (daemon, tree):
        wal, newest = database(daemon, '-wal'), daemon.newest()
        lift = limited(daemon.process.pid)
        with subprocess.Popen([harness.program('scitracectl'), '--state', daemon.state, 'status'], env=daemon.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as asking:
            wait_for(lambda: said(daemon, 'Cannot accept a connection'), 'who asks waits')
            written = os.stat(wal).st_mtime_ns
            fill(tree, 'de')
            wait_for(lambda: os.stat(wal).st_mtime_ns > written, 'something is recorded')
            equal(asking.poll(), None, 'whether it was answered')
            lift()
            equal(asking.wait(harness.LIMIT), 0, 'the exit code of who waited')
        daemon.at_rest('t', tree)
        equal({row['origin'] for row in daemon.events(newest)}, {'live'}, 'origins')
        equal((daemon.gaps('t'), verified(daemon)[0]), ([], 0), 'gaps; verify')


def a_watcher_without_descriptors_says_what_it_could_not_look_at():
    with Stage() as (daemon, tree):
        lift = limited(daemon.watcher())
        fill(tree, 'de')
        os.mkdir(os.path.join(tree, 'f'))
        wait_for(lambda: [gap for gap in daemon.gaps('t') if gap['cause'] == 'read-error'], 'a gap')
        lift()
        daemon.closed('t')
        daemon.at_rest('t', tree)
        equal(verified(daemon)[0], 0, 'verify')


def beside(tests):
    """They wait for most of their time: some go on at once."""
    pool = concurrent.futures.ThreadPoolExecutor(4)
    named = [test if isinstance(test, tuple) else (test.__name__.replace('_', ' '), test) for test in tests]
    return [(name, pool.submit(function).result) for name, function in named]


run(beside([*saved(), an_idle_daemon_notices_within_ten_seconds, a_daemon_that_ends_saves_it_first,
            a_rescue_that_was_killed_is_ended_by_the_next_start, an_older_copy_is_not_taken_for_the_record,
            a_database_that_is_missing_at_a_start_is_not_made_anew_in_silence,
            an_event_whose_sync_failed_is_recorded_once, descriptors_that_are_closed_at_a_start_are_not_the_database,
            without_descriptors_who_asks_waits_and_watching_goes_on,
            a_watcher_without_descriptors_says_what_it_could_not_look_at]))
