# SPDX-License-Identifier: LGPL-2.1-or-later
"""Large files: their events come at once, their digests later, a slice at a time, with nothing open between."""

import contextlib
import ctypes
import errno
import hashlib
import os
import struct
import subprocess
import time

import harness
import threads
from harness import check, equal, fast, measured, need_root, skip, wait_for, write

GIB = 1 << 30
HUGE = 100 * GIB                # sparse: a digest of it takes a minute at least
BEGAN_AT = 8 + 1 + 42           # of a row of the file "readings": node, size, 42 bytes, when it began, how far it is
ROW = 8 + 1 + 128


# The machines that run tests are under pressure all the time.
FAST = '[Identify]\nPressureLimit=100%\nDigestUpTo=1M\n'


@contextlib.contextmanager
def stage(settings=FAST, folder=None):
    with harness.Daemon(settings=settings) as daemon:
        tree = folder or os.path.join(daemon.top, 'tree')
        os.makedirs(tree, exist_ok=True)
        daemon.add(tree, 't')
        daemon.settle('t')
        yield daemon, tree


def sparse(path, size, *pieces):
    with open(path, 'wb') as file:
        for at in pieces:
            file.seek(at)
            file.write(b'data at %d' % at)
        try:
            file.truncate(size)
        except OSError as error:
            skip(f'no sparse file of {size} bytes here: {error}')


def row_of(daemon, path):
    rows = [row for row in daemon.ctl('files', 't') if row.get('path') == path]
    return rows[0] if rows else {}


def progress(daemon):
    """When a digest began, and how many bytes of it are done, as the daemon keeps it for the next watcher."""
    try:
        with open(os.path.join(daemon.state, 'readings'), 'rb') as file:
            data = file.read()
    except FileNotFoundError:
        return None
    rows = [data[at:at + ROW] for at in range(0, len(data), ROW)]
    return next((struct.unpack_from('<qq', row, BEGAN_AT) for row in rows if row[:8] != bytes(8)), None)


def ticks(pid):
    with open(f'/proc/{pid}/stat', 'rb') as file:
        fields = file.read().rpartition(b')')[2].split()
    return int(fields[11]) + int(fields[12])


def busy(daemon):
    """Waits until the watcher works: what it works on is the large file."""
    pid = daemon.watcher()
    before = ticks(pid)
    wait_for(lambda: ticks(pid) > before + 30, 'the watcher reads')
    return pid


def opened_beneath(pid, folder):
    found = []
    for name in os.listdir(f'/proc/{pid}/fd'):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f'/proc/{pid}/fd/{name}'))
    return [path for path in found if path.startswith(folder)]


@measured
def other_work_goes_on_and_a_stop_is_prompt_while_100_gib_are_digested():
    with stage() as (daemon, tree):
        sparse(os.path.join(tree, 'huge'), HUGE, 0, 50 * GIB)
        daemon.settle('t')
        row = row_of(daemon, 'huge')
        equal((row['size'], row.get('digest')), (HUGE, None), 'the event came at once, without a digest')
        busy(daemon)
        check(daemon.status()['pending'] > 0, 'the digest is not said to be pending')
        for number in range(3):
            began = time.monotonic()
            write(os.path.join(tree, f'small{number}'), b'%d' % number)
            daemon.settle('t')
            check(row_of(daemon, f'small{number}').get('digest'), 'a small file has no digest after a settle')
            fast(time.monotonic() - began < 3, f'a small file took {time.monotonic() - began:.1f} s')
        began = time.monotonic()
        daemon.stop()
        fast(time.monotonic() - began < 2, f'the stop took {time.monotonic() - began:.1f} s')


def a_digest_goes_on_where_the_former_watcher_was():
    size = GIB + GIB // 2
    pieces = (0, GIB + 12345, size - 100)
    with stage() as (daemon, tree):
        path = os.path.join(tree, 'large')
        sparse(path, size, *pieces)
        kept = wait_for(lambda: progress(daemon), 'progress is kept')
        daemon.kill('both')
        daemon.start()

        def done():
            now = progress(daemon)
            check(not now or now[0] == kept[0], 'it began anew')
            return row_of(daemon, 'large').get('digest')
        wait_for(done, 'the digest is recorded')
        equal(progress(daemon), None, 'progress that is kept of a digest that is done')
        expected = hashlib.sha256()
        zeros, at = bytes(1 << 22), 0
        with open(path, 'rb') as file:
            for piece in (*pieces, size):
                while at < piece:
                    expected.update(zeros[:min(len(zeros), piece - at)])
                    at += min(len(zeros), piece - at)
                file.seek(at)
                data = file.read(min(4096, size - at))
                expected.update(data)
                at += len(data)
        equal(row_of(daemon, 'large')['digest'], 'sha256:' + expected.hexdigest(), 'the digest')


def reads(pid):
    """The thread that is at work."""
    def at_work(task):
        with open(f'/proc/{pid}/task/{task}/stat', 'rb') as file:
            return file.read().rpartition(b')')[2].split()[0] == b'R'
    return next(filter(at_work, threads.named(pid, 'look')), None)


def stands_alone(daemon, tree):
    """While a thread stands still the others work."""
    write(os.path.join(tree, 'small'), b'%d' % time.monotonic_ns())
    return daemon.ctl_run('settle', 't', '--timeout', '2').returncode == 0


def a_reader_that_gets_no_processor_is_not_given_up():
    """Who waits for a file system so long (three checks) is, and its file is a gap."""
    with stage(FAST + '[Watcher]\nCheckInterval=1s\n') as (daemon, tree):
        sparse(os.path.join(tree, 'huge'), HUGE)
        pid = busy(daemon)
        if len(threads.named(pid, 'look')) < 2:
            skip('one processor, one reader')
        for _ in range(5):
            with threads.standing(wait_for(lambda: reads(pid), 'a thread reads')):
                if not stands_alone(daemon, tree):
                    continue            # it has the lock, and all the others wait
                time.sleep(8)
                break
        else:
            skip('no moment was found in which it holds up nobody')
        daemon.settle('t')
        equal(daemon.gaps('t'), [], 'gaps')


def progress_of_another_file_is_not_taken():
    """The file changes while nobody looks: its digest begins anew."""
    with stage() as (daemon, tree):
        path = os.path.join(tree, 'large')
        sparse(path, GIB + GIB // 4, 0)
        wait_for(lambda: progress(daemon), 'progress is kept')
        daemon.kill('both')
        with open(path, 'r+b') as file:
            file.write(b'DATA')
        daemon.start()
        digest = wait_for(lambda: row_of(daemon, 'large').get('digest'), 'the digest is recorded')
        with open(path, 'rb') as file:
            equal(digest, 'sha256:' + hashlib.file_digest(file, 'sha256').hexdigest(), 'the digest')


@contextlib.contextmanager
def mount(target, kind='tmpfs'):
    need_root('mounting')
    os.makedirs(target, exist_ok=True)
    done = subprocess.run(['mount', '-t', kind, 'scitrace-test', target], check=False, stderr=subprocess.PIPE)
    if done.returncode != 0:
        skip(f'mount is refused here: {done.stderr.decode().strip()}')
    try:
        yield target
    finally:
        subprocess.run(['umount', '-l', target], check=False, stderr=subprocess.DEVNULL)


@measured
def a_file_system_can_be_unmounted_within_two_seconds_while_a_large_file_is_digested():
    libc = ctypes.CDLL(None, use_errno=True)
    top = harness.tempfile.mkdtemp(prefix='scitrace-test-')
    tree = os.path.join(top, 'tree')
    try:
        with mount(tree), stage(folder=tree) as (daemon, _):
            for number in range(3):     # as many as read at once, and more
                sparse(os.path.join(tree, f'huge{number}'), HUGE, 0)
            daemon.settle('t')
            pid = busy(daemon)
            began = time.monotonic()
            while libc.umount2(os.fsencode(tree), 0) != 0:
                equal(ctypes.get_errno(), errno.EBUSY, 'why it cannot be unmounted')
                fast(time.monotonic() - began < 2, 'it is busy: ' +
                     ', '.join(opened_beneath(pid, tree)))
                time.sleep(0.002)
            harness.diag(f'unmounted after {time.monotonic() - began:.2f} s')
            equal(opened_beneath(pid, tree), [], 'what is open on it')
            wait_for(lambda: any('closedBy' not in gap for gap in daemon.gaps('t')), 'a gap says so')
    finally:
        harness.remove(top)


def an_exbibyte_of_nothing_is_said_not_to_be_read():
    """Neither it nor its neighbours are waited for; and once it is small it has a digest like any other."""
    if not os.access('/dev/shm', os.W_OK):
        skip('no /dev/shm')
    top = harness.tempfile.mkdtemp(prefix='scitrace-test-', dir='/dev/shm')
    try:
        with stage(folder=os.path.join(top, 'tree')) as (daemon, tree):
            path = os.path.join(tree, 'vast')
            sparse(path, 1 << 60, 0)
            write(os.path.join(tree, 'beside'), b'x')
            daemon.settle('t')
            wait_for(lambda: any(gap['cause'] == 'read-error' and gap.get('path') == 'vast'
                                 for gap in daemon.gaps('t')), 'coverage says that it is not read')
            equal(row_of(daemon, 'vast').get('size'), 1 << 60, 'its size')
            check(row_of(daemon, 'beside').get('digest'), 'its neighbour has no digest')
            wait_for(lambda: daemon.status()['pending'] == 0, 'nothing is pending')
            os.truncate(path, 5)
            daemon.at_rest('t', tree)
            check(all('closedBy' in gap for gap in daemon.gaps('t')), 'the gap is open although the file was read')
            os.truncate(path, 1 << 60)
            daemon.settle('t')
            wait_for(lambda: any('closedBy' not in gap for gap in daemon.gaps('t')), 'the gap is back')
            os.unlink(path)
            daemon.at_rest('t', tree)
            wait_for(lambda: all('closedBy' in gap for gap in daemon.gaps('t')), 'the gap ends with the file')
    finally:
        harness.remove(top)


harness.run([
    other_work_goes_on_and_a_stop_is_prompt_while_100_gib_are_digested,
    a_digest_goes_on_where_the_former_watcher_was,
    a_reader_that_gets_no_processor_is_not_given_up,
    progress_of_another_file_is_not_taken,
    a_file_system_can_be_unmounted_within_two_seconds_while_a_large_file_is_digested,
    an_exbibyte_of_nothing_is_said_not_to_be_read,
])
