# SPDX-License-Identifier: LGPL-2.1-or-later
"""More directories than the kernel gives watches: what has one is live, the others are looked at in turn, a gap says so,
and all is well once the sysctl is raised. In a user namespace, whose limit is its own."""

import os
import subprocess
import sys
import time

import harness
from harness import Failure, check, compare, diag, equal, need, skip, snapshot, wait_for, write

LIMIT_FILE = '/proc/sys/user/max_inotify_watches'
WATCHES = 100
DIRECTORIES = 1000
INSIDE = 'SCITRACE_TEST_INSIDE'


def set_limit(value):
    with open(LIMIT_FILE, 'w', encoding='ascii') as file:
        file.write(str(value))


def enter():
    """This program again, as root of a user namespace of its own."""
    if os.environ.get(INSIDE):
        return
    try:
        need('unshare')
        probe = subprocess.run(['unshare', '-Ur', 'sh', '-c', f'echo {WATCHES} > {LIMIT_FILE}'], check=False,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if probe.returncode != 0:
            skip(f'no user namespace with a limit of its own: {probe.stderr.decode().strip()}')
    except harness.Skip as reason:
        print(f'1..0 # SKIP {reason}')
        sys.exit(0)
    os.environ[INSIDE] = '1'
    os.execvp('unshare', ['unshare', '-Ur', sys.executable, os.path.abspath(__file__)])


def plant(tree):
    """A hundred folders of nine."""
    for one in range(DIRECTORIES // 10):
        for two in range(9):
            folder = os.path.join(tree, f'{one:02}', f'{two}')
            os.makedirs(folder)
            write(os.path.join(folder, 'file'), b'%d %d' % (one, two))


def equals(daemon, tree):
    try:
        daemon.settle('t')
        compare(daemon.ctl('files', 't'), snapshot(tree))
        return True
    except Failure:
        return False


def at_rest(daemon, tree):
    """What is looked at in turn is found within some rounds."""
    end = time.monotonic() + harness.LIMIT
    while not equals(daemon, tree):
        if time.monotonic() > end:
            compare(daemon.ctl('files', 't'), snapshot(tree))
        time.sleep(0.5)


def of_limit(daemon):
    return [gap for gap in daemon.gaps('t') if gap['cause'] == 'watch-limit']


def covered_and_polled(daemon, tree):
    """A directory that has a watch, and one that has none: what is made there is live, or is not."""
    after = daemon.newest()
    for one in range(DIRECTORIES // 10):
        write(os.path.join(tree, f'{one:02}', 'probe'), b'probe')
        write(os.path.join(tree, f'{one:02}', '4', 'probe'), b'probe')
    at_rest(daemon, tree)
    rows = [row for row in daemon.events(after) if row['kind'] == 'create' and row['path'].endswith('probe')]
    equal(len(rows), DIRECTORIES // 10 * 2, 'probes recorded')
    live = [row['path'] for row in rows if row['origin'] == 'live']
    later = [row['path'] for row in rows if row['origin'] == 'reconcile']
    equal(len(live) + len(later), len(rows), 'live, or found later')
    return live, later


def the_covered_part_is_live_and_the_rest_is_polled_until_the_limit_is_raised():
    set_limit(WATCHES)
    with harness.Daemon(settings='[Watcher]\nPollEntriesPerSecond=20000\n[Metrics]\nSampleInterval=1s\n') as daemon:
        tree = os.path.join(daemon.top, 'tree')
        plant(tree)
        daemon.add(tree, 't')
        at_rest(daemon, tree)
        status = daemon.status()
        diag({key: status[key] for key in ('watches', 'unwatched', 'watchSysctl', 'watchesWanted', 'gapsOpen')})
        check(50 < status['watches'] <= WATCHES, 'watches')
        equal(status['watches'] + status['unwatched'], DIRECTORIES + 1, 'directories')
        equal(status['watchSysctl'], 'user.max_inotify_watches', 'sysctl')
        check(status['watchesWanted'] > DIRECTORIES, 'watches wanted')
        gaps = of_limit(daemon)
        check(1 <= len(gaps) <= 9, f'{len(gaps)} gaps')
        check(not any('closedBy' in gap for gap in gaps), 'the gap is open')
        shown = daemon.ctl_run('status').stdout.decode() + daemon.ctl_run('coverage', 't').stdout.decode()
        equal(shown.count(f'user.max_inotify_watches={status["watchesWanted"]}'), 2, 'advice in status and coverage')
        with open(daemon.err, encoding='utf-8', errors='replace') as file:
            said = [line for line in file if 'user.max_inotify_watches' in line]
        equal(len(said), 1, 'lines in the journal')

        wait_for(lambda: [row['value'] for row in daemon.ctl('metrics', 'scitrace_unwatched')] == [status['unwatched']],
                 'the metric says so, too')

        live, later = covered_and_polled(daemon, tree)
        diag(f'{len(live)} live, {len(later)} later')
        check(len(live) >= 20 and len(later) >= 50, 'some are live, most are not')

        # each kind of change, in directories without a watch
        first, second = (os.path.dirname(path) for path in sorted(later)[-2:])
        before = daemon.newest()
        os.unlink(os.path.join(tree, first, 'file'))
        os.rename(os.path.join(tree, second, 'file'), os.path.join(tree, second, 'other'))
        write(os.path.join(tree, second, 'probe'), b'changed')
        os.makedirs(os.path.join(tree, second, 'new', 'newer'))
        write(os.path.join(tree, second, 'new', 'newer', 'file'), b'new')
        os.chmod(os.path.join(tree, first, 'probe'), 0o700)
        at_rest(daemon, tree)
        rows = daemon.events(before)
        diag(sorted((row['kind'], row['path'], row['origin']) for row in rows))
        equal({row['origin'] for row in rows}, {'reconcile'}, 'origins')
        equal(len(of_limit(daemon)), len(gaps), 'gaps after some changes')

        set_limit(3 * DIRECTORIES)
        wait_for(lambda: daemon.status()['unwatched'] == 0, 'each directory has its watch')
        daemon.closed('t')
        status = daemon.status()
        equal(status['watches'], DIRECTORIES + 1 + 2, 'watches')
        equal((status['watchesWanted'], status['watcherRestarts'], status['overflows']), (0, 0, 0), 'wanted, restarts')
        after = daemon.newest()
        for one in range(DIRECTORIES // 10):
            write(os.path.join(tree, f'{one:02}', '5', 'late'), b'late')
        daemon.at_rest('t', tree)
        equal({row['origin'] for row in daemon.events(after)}, {'live'}, 'origins of what came later')


def a_root_without_a_watch_is_polled():
    set_limit(8)
    with harness.Daemon(settings='[Watcher]\nPollEntriesPerSecond=20000\n') as daemon:
        for name in 'abcdefghijkl':
            os.makedirs(os.path.join(daemon.top, 'o', name))
        tree = os.path.join(daemon.top, 'tree')
        os.mkdir(tree)
        write(os.path.join(tree, 'file'), b'x')
        daemon.add(os.path.join(daemon.top, 'o'), 'o')
        daemon.add(tree, 't')
        at_rest(daemon, tree)
        equal(len(of_limit(daemon)), 1, 'gaps')
        write(os.path.join(tree, 'other'), b'y')
        os.unlink(os.path.join(tree, 'file'))
        at_rest(daemon, tree)
        os.rmdir(os.path.join(daemon.top, 'o', 'l'))
        set_limit(3 * DIRECTORIES)
        daemon.closed('t')
        after = daemon.newest()
        write(os.path.join(tree, 'live'), b'z')
        daemon.at_rest('t', tree)
        equal([row['origin'] for row in daemon.events(after)], ['live'], 'origin')
        equal(daemon.status()['watches'], 13, 'watches')


def what_is_polled_and_may_not_be_read_is_a_gap_until_it_may():
    need('setpriv')
    set_limit(WATCHES)
    without = ['setpriv', '--bounding-set', '-dac_override,-dac_read_search']
    with harness.Daemon(settings='[Watcher]\nPollEntriesPerSecond=20000\n', run=without) as daemon:
        tree = os.path.join(daemon.top, 'tree')
        plant(tree)
        daemon.add(tree, 't')
        at_rest(daemon, tree)
        _, later = covered_and_polled(daemon, tree)
        folder = os.path.join(tree, os.path.dirname(sorted(later)[-1]))
        unwatched = daemon.status()['unwatched']
        os.chmod(folder, 0)
        try:
            wait_for(lambda: [gap for gap in daemon.gaps('t') if gap['cause'] == 'permission'], 'a gap')
        finally:
            os.chmod(folder, 0o755)
        write(os.path.join(folder, 'after'), b'after')
        at_rest(daemon, tree)
        wait_for(lambda: all('closedBy' in gap for gap in daemon.gaps('t') if gap['cause'] == 'permission'),
                 'the gap is closed')
        equal(daemon.status()['unwatched'], unwatched, 'directories without a watch')


enter()
harness.run([the_covered_part_is_live_and_the_rest_is_polled_until_the_limit_is_raised,
             a_root_without_a_watch_is_polled,
             what_is_polled_and_may_not_be_read_is_a_gap_until_it_may])
