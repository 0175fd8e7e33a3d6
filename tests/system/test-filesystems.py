# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several file systems at once, each with a watcher of its own; file systems that hang, go, come back, or lie one within
another; and those that others change. As root, in a mount namespace of its own."""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time

import harness
from harness import alive, check, diag, equal, fast, measured, need, need_root, skip, wait_for, write

MIB = 1 << 20
FAST = '[Watcher]\nCheckInterval=1s\n'
TURNS = 12              # for a latency


def run(*command):
    return subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def mount(*arguments):
    need_root('mounting')
    done = run('mount', *arguments)
    if done.returncode != 0:
        skip(f'mount is refused here: {done.stderr.decode().strip()}')


def umount(path, within):
    began = time.monotonic()
    done = run('umount', path)
    took = time.monotonic() - began
    equal(done.returncode, 0, f'umount says {done.stderr.decode().strip()}')
    fast(took < within, f'umount took {took:.2f} s')


class Stage:
    """A daemon; `tree` is watched as t, on the file system of the test's folder; `other` is a place for another."""

    def __init__(self, settings=FAST):
        self.daemon = harness.Daemon(settings=settings)
        self.tree = os.path.join(self.daemon.top, 'tree')
        self.other = os.path.join(self.daemon.top, 'other')
        self.mounted = []

    def __enter__(self):
        self.daemon.__enter__()
        for path in self.tree, self.other:
            os.mkdir(path)
        self.daemon.add(self.tree, 't')
        self.daemon.settle('t')
        return self

    def __exit__(self, *error):
        try:
            return self.daemon.__exit__(*error)
        finally:
            for path in reversed(self.mounted):
                run('umount', '-l', path)

    def mount(self, *arguments):
        mount(*arguments)
        self.mounted.append(arguments[-1])

    def tmpfs(self, path=None):
        self.mount('-t', 'tmpfs', '-o', 'size=8m', 'scitrace-test', path or self.other)

    def add_other(self):
        """Adds it as o, and returns the process that watches it."""
        before = set(self.daemon.watchers())
        self.daemon.add(self.other, 'o')
        self.daemon.settle('o')
        new = set(self.daemon.watchers()) - before
        equal(len(new), 1, 'watchers that were started')
        return new.pop()

    def state(self, name):
        return [row['state'] for row in self.daemon.ctl('datasets') if row['name'] == name][0]

    def latencies(self, tree, name, whilst=lambda: True):
        """Seconds from a write to its record, of some that are begun and ended whilst that is so."""
        took = []
        for turn in range(TURNS):
            began = time.monotonic()
            write(os.path.join(tree, f'latency-{turn}'), os.urandom(8))
            self.daemon.settle(name)
            if not whilst():
                break
            took.append(time.monotonic() - began)
        return took

    def open_gaps(self, name):
        return sorted(gap['cause'] for gap in self.daemon.gaps(name) if 'closedBy' not in gap)


def as_before(before, during, beside):
    """Whoever waits for the one that hangs gets nothing done in that time."""
    fast(len(during) >= 3, f'{len(during)} of {TURNS} are recorded beside {beside}')
    usual, then = statistics.median(before), statistics.median(during)
    diag(f'the median of {len(before)}: {usual * 1000:.0f} ms; of {len(during)} beside {beside}: {then * 1000:.0f} ms, '
         f'the slowest {max(during) * 1000:.0f} ms')
    fast(then <= 2 * usual + 0.02, f'beside {beside} the others take {then:.2f} s instead of {usual:.2f} s')


def lost(rows):
    return [row for row in rows if row['kind'] in ('unlink', 'transient')]


@measured
def each_file_system_has_a_watcher_of_its_own():
    with Stage() as stage:
        stage.tmpfs()
        equal(len(stage.daemon.watchers()), 1, 'watchers of one file system')
        stage.add_other()
        for tree, name in (stage.tree, 't'), (stage.other, 'o'):
            os.mkdir(os.path.join(tree, 'below'))
            write(os.path.join(tree, 'below', 'file'), b'x' * 1000)
            os.rename(os.path.join(tree, 'below'), os.path.join(tree, 'moved'))
            stage.daemon.at_rest(name, tree)
            equal(stage.daemon.gaps(name), [], f'gaps of {name}')
        equal(sum(row['watches'] for row in stage.daemon.ctl('datasets')), stage.daemon.status()['watches'], 'watches')
        stage.daemon.settle()           # of all
        check(stage.daemon.ctl_run('remove', 'o').returncode == 0, 'it is removed')
        wait_for(lambda: len(stage.daemon.watchers()) == 1, 'its watcher ends')
        stage.daemon.at_rest('t', stage.tree)
        umount(stage.other, 1)


def a_watcher_that_dies_is_the_matter_of_its_datasets_alone():
    with Stage() as stage:
        stage.tmpfs()
        pid = stage.add_other()
        os.kill(pid, signal.SIGKILL)
        write(os.path.join(stage.tree, 'meanwhile'))
        write(os.path.join(stage.other, 'meanwhile'))
        wait_for(lambda: stage.daemon.gaps('o'), 'the gap')
        equal([gap['cause'] for gap in stage.daemon.closed('o')], ['watcher-lost'], 'its gaps')
        for tree, name in (stage.tree, 't'), (stage.other, 'o'):
            stage.daemon.at_rest(name, tree)
        equal(stage.daemon.gaps('t'), [], 'gaps of the other')
        equal({row['origin'] for row in stage.daemon.events() if row.get('dataset') == 't' and row['kind'] == 'create'},
              {'live'}, 'how the other was seen')


@measured
def a_watcher_that_hangs_is_the_matter_of_its_datasets_alone():
    with Stage('[Watcher]\nCheckInterval=2s\n') as stage:
        stage.tmpfs()
        pid = stage.add_other()
        before = stage.latencies(stage.tree, 't')
        os.kill(pid, signal.SIGSTOP)
        write(os.path.join(stage.other, 'meanwhile'))
        during = stage.latencies(stage.tree, 't', whilst=lambda: alive(pid))
        as_before(before, during, 'a watcher that is stopped')
        wait_for(lambda: not alive(pid), 'it is replaced')
        wait_for(lambda: stage.daemon.gaps('o'), 'the gap')     # its end is recorded a moment after it
        equal([gap['cause'] for gap in stage.daemon.closed('o')], ['stalled'], 'its gaps')
        stage.daemon.at_rest('o', stage.other)
        equal(stage.daemon.gaps('t'), [], 'gaps of the other')


@contextlib.contextmanager
def bound(stage, *options):
    """A file system of bindfs at `other`, over `back`; yields its process and the folder behind it."""
    need_root('mounting')
    need('bindfs')
    back = os.path.join(stage.daemon.top, 'back')
    os.mkdir(back)
    if not os.path.exists('/dev/fuse'):
        skip('no /dev/fuse')
    with subprocess.Popen(['bindfs', '-f', *options, back, stage.other], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as server:
        def is_there():
            check(server.poll() is None, f'bindfs ends: {server.stdout.read() if server.poll() is not None else ""}')
            with open('/proc/self/mountinfo', 'rb') as file:
                return os.fsencode(stage.other) + b' ' in file.read()
        try:
            wait_for(is_there, 'bindfs is mounted')
            stage.mounted.append(stage.other)
            yield server, back
        finally:
            server.send_signal(signal.SIGCONT)
            run('umount', '-l', stage.other)
            server.kill()


@measured
def a_file_system_that_hangs_holds_up_nobody():
    with Stage() as stage, bound(stage, '-o', 'attr_timeout=0,entry_timeout=0') as (server, back):
        write(os.path.join(back, 'old'), b'old')
        pid = stage.add_other()
        before = stage.latencies(stage.tree, 't')
        server.send_signal(signal.SIGSTOP)
        wait_for(lambda: stage.state('o') == 'stalled', 'it is shown as stalled')
        equal(stage.open_gaps('o'), ['remote', 'stalled'], 'its gaps')
        as_before(before, stage.latencies(stage.tree, 't'), 'a file system that hangs')
        equal(stage.daemon.gaps('t'), [], 'gaps of the other')
        equal(stage.state('t'), 'watched', 'state of the other')
        write(os.path.join(back, 'meanwhile'), b'new')
        time.sleep(5)                   # longer than a watcher may be silent
        equal((alive(pid), stage.daemon.status()['watcherRestarts']), (True, 0), 'its watcher, and restarts')
        server.send_signal(signal.SIGCONT)
        wait_for(lambda: stage.open_gaps('o') == ['remote'], 'it recovers')
        stage.daemon.at_rest('o', stage.other)


@measured
def a_stop_does_not_wait_for_a_file_system_that_hangs():
    with Stage() as stage, bound(stage, '-o', 'attr_timeout=0,entry_timeout=0') as (server, _):
        stage.add_other()
        server.send_signal(signal.SIGSTOP)
        wait_for(lambda: stage.state('o') == 'stalled', 'it is shown as stalled')
        process, stage.daemon.process = stage.daemon.process, None
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        equal(process.wait(harness.LIMIT), 0, 'the exit code')
        fast(time.monotonic() - began < 2, f'the stop took {time.monotonic() - began:.1f} s')


def what_others_change_is_said_to_be_unseen_and_found_by_and_by():
    settings = FAST + '[Dataset]\nPollInterval=1s\n'
    with Stage(settings) as stage, bound(stage, '-o', 'attr_timeout=0,entry_timeout=0') as (_, back):
        write(os.path.join(back, 'old'), b'old')
        stage.add_other()
        write(os.path.join(stage.other, 'ours'), b'ours')       # by this kernel: seen as on any file system
        stage.daemon.at_rest('o', stage.other)
        before = stage.daemon.newest()
        write(os.path.join(back, 'theirs'), b'theirs')
        write(os.path.join(back, 'old'), b'changed')

        def found():
            return {(row['kind'], row['path'], row['origin']) for row in stage.daemon.events(before)
                    if row.get('path') in ('theirs', 'old')}
        wait_for(lambda: found() >= {('create', 'theirs', 'reconcile'), ('modify', 'old', 'reconcile')}, 'they are found')
        equal(stage.open_gaps('o'), ['remote'], 'what stays said')
        check(b'\nremote: ' in stage.daemon.ctl_run('coverage', 'o').stdout, 'what the gap means is said')
        equal(stage.daemon.ctl_run('remove', 'o').returncode, 0, 'remove')
        done = stage.daemon.ctl_run('add', stage.other, '--name', 'o')
        check(b'Other hosts may change it' in done.stderr, f'what add says ({done.stderr!r})')
        equal(stage.daemon.gaps('t'), [], 'gaps of the other')
        stage.daemon.at_rest('o', stage.other)


@contextlib.contextmanager
def disk(stage, megabytes=64):
    """An image with ext4 in it, mounted at `other`; yields its path."""
    need_root('mounting')
    need('mkfs.ext4', 'losetup')
    image = os.path.join(stage.daemon.top, 'disk.img')
    write(image)
    os.truncate(image, megabytes * MIB)
    done = run('mkfs.ext4', '-q', '-m0', image)
    if done.returncode != 0:
        skip(f'no ext4: {done.stderr.decode().strip()}')
    stage.mount('-o', 'loop', image, stage.other)
    yield image


@measured
def what_is_unmounted_is_a_gap_and_not_gone():
    with Stage() as stage, disk(stage) as image:
        elsewhere = os.path.join(stage.daemon.top, 'elsewhere')
        os.mkdir(elsewhere)
        os.mkdir(os.path.join(stage.other, 'folder'))
        write(os.path.join(stage.other, 'folder', 'file'), b'content')
        stage.add_other()
        before = stage.daemon.newest()
        umount(stage.other, 1)
        wait_for(lambda: stage.open_gaps('o') == ['unmounted'], 'the gap')
        files = stage.daemon.ctl('files', 'o')
        check(any(row['path'] == 'folder/file' for row in files), f'the record: {files}')
        write(os.path.join(stage.other, 'beneath'))             # in the place where it was mounted: nothing of it
        mount('-o', 'loop', image, elsewhere)
        write(os.path.join(elsewhere, 'folder', 'other'), b'more')
        os.rmdir(os.path.join(elsewhere, 'lost+found'))
        umount(elsewhere, 5)
        equal(stage.open_gaps('o'), ['unmounted'], 'the gaps, still')
        mount('-o', 'loop', image, stage.other)
        wait_for(lambda: stage.open_gaps('o') == [], 'it is reconciled when it is back')
        stage.daemon.at_rest('o', stage.other)
        rows = [row for row in stage.daemon.events(before) if row.get('dataset') == 'o']
        equal([row['path'] for row in lost(rows)], ['lost+found'], 'what went')
        equal([row['kind'] for row in rows if row['kind'] in ('mount', 'unmount')], ['unmount', 'mount'], 'events')
        equal([row['path'] for row in rows if row['kind'] == 'create'], ['folder/other'], 'what is new')
        equal(stage.daemon.gaps('t'), [], 'gaps of the other')
        stage.daemon.at_rest('t', stage.tree)


@measured
def a_daemon_that_starts_while_a_disk_is_away_waits_for_it():
    with Stage() as stage, disk(stage) as image:
        write(os.path.join(stage.other, 'file'), b'content')
        stage.add_other()
        stage.daemon.stop()
        umount(stage.other, 1)
        stage.daemon.start()
        wait_for(lambda: 'root-moved' in stage.open_gaps('o') or 'unmounted' in stage.open_gaps('o'), 'a gap')
        mount('-o', 'loop', image, stage.other)
        wait_for(lambda: stage.open_gaps('o') == [], 'it is reconciled when it is there')
        stage.daemon.at_rest('o', stage.other)
        check(not lost(row for row in stage.daemon.events() if row.get('dataset') == 'o'), 'something went')


@measured
def a_mount_inside_a_dataset_is_a_gap_until_it_is_gone():
    with Stage() as stage:
        inner = os.path.join(stage.tree, 'a', 'inner')
        os.makedirs(inner)
        write(os.path.join(inner, 'hidden'), b'below')
        stage.daemon.at_rest('t', stage.tree)
        before = stage.daemon.newest()
        stage.tmpfs(inner)
        wait_for(lambda: stage.open_gaps('t') == ['other-filesystem'], 'a gap at once')
        equal([gap['path'] for gap in stage.daemon.gaps('t')], ['a/inner'], 'where')
        write(os.path.join(inner, 'beyond'))
        check(stage.daemon.ctl_run('scan', 't').returncode == 0, 'a walk')
        stage.daemon.settle('t')
        equal([row for row in stage.daemon.events(before) if row.get('path', '').startswith('a/')
               and not row['kind'].startswith('gap')], [], 'what happened to what it hides')
        umount(inner, 1)
        wait_for(lambda: stage.open_gaps('t') == [], 'the gap ends with it')
        stage.daemon.at_rest('t', stage.tree)
        equal(lost(stage.daemon.events(before)), [], 'what went')


@measured
def a_bind_mount_inside_a_dataset_is_no_rename():
    with Stage() as stage:
        for name in 'source', 'target':
            os.mkdir(os.path.join(stage.tree, name))
            write(os.path.join(stage.tree, name, f'in-{name}'), name.encode())
        stage.daemon.at_rest('t', stage.tree)
        before = stage.daemon.newest()
        stage.mount('--bind', os.path.join(stage.tree, 'source'), os.path.join(stage.tree, 'target'))
        wait_for(lambda: stage.open_gaps('t') == ['other-filesystem'], 'a gap')
        check(stage.daemon.ctl_run('scan', 't').returncode == 0, 'a walk')
        stage.daemon.settle('t')
        umount(os.path.join(stage.tree, 'target'), 1)
        wait_for(lambda: stage.open_gaps('t') == [], 'the gap ends with it')
        stage.daemon.at_rest('t', stage.tree)
        equal([row for row in stage.daemon.events(before) if not row['kind'].startswith('gap')], [], 'events')


def a_file_that_is_copied_up_in_an_overlay_stays_the_file_that_it_was():
    with Stage() as stage:
        for name in 'lower', 'upper', 'work':
            os.mkdir(os.path.join(stage.daemon.top, name))
        os.mkdir(os.path.join(stage.daemon.top, 'lower', 'folder'))
        write(os.path.join(stage.daemon.top, 'lower', 'folder', 'file'), b'below')
        layers = ','.join(f'{name}dir={stage.daemon.top}/{name}' for name in ('lower', 'upper', 'work'))
        stage.mount('-t', 'overlay', 'overlay', '-o', layers, stage.other)
        stage.add_other()
        before = stage.daemon.newest()
        write(os.path.join(stage.other, 'folder', 'file'), b'copied up')
        write(os.path.join(stage.other, 'folder', 'new'))
        stage.daemon.at_rest('o', stage.other)
        equal(sorted((row['kind'], row['path'], row['origin']) for row in stage.daemon.events(before)),
              [('create', 'folder/new', 'live'), ('modify', 'folder/file', 'live')], 'events')
        equal(stage.daemon.gaps('o'), [], 'gaps')


@measured
def where_it_was_started_can_be_unmounted():
    with Stage() as stage:
        stage.tmpfs()
        stage.daemon.stop()
        here = os.getcwd()
        os.chdir(stage.other)
        try:
            stage.daemon.start()
            stage.daemon.settle('t')
        finally:
            os.chdir(here)
        umount(stage.other, 1)


if os.getuid() == 0 and 'SCITRACE_TEST_UNSHARED' not in os.environ:
    os.environ['SCITRACE_TEST_UNSHARED'] = '1'
    os.execvp('unshare', ['unshare', '-m', sys.executable, os.path.abspath(__file__)])
harness.run([
    each_file_system_has_a_watcher_of_its_own,
    a_watcher_that_dies_is_the_matter_of_its_datasets_alone,
    a_watcher_that_hangs_is_the_matter_of_its_datasets_alone,
    a_file_system_that_hangs_holds_up_nobody,
    a_stop_does_not_wait_for_a_file_system_that_hangs,
    what_others_change_is_said_to_be_unseen_and_found_by_and_by,
    what_is_unmounted_is_a_gap_and_not_gone,
    a_daemon_that_starts_while_a_disk_is_away_waits_for_it,
    a_mount_inside_a_dataset_is_a_gap_until_it_is_gone,
    a_bind_mount_inside_a_dataset_is_no_rename,
    a_file_that_is_copied_up_in_an_overlay_stays_the_file_that_it_was,
    where_it_was_started_can_be_unmounted,
])
