# SPDX-License-Identifier: LGPL-2.1-or-later
"""What users may put into a watched tree to lead the watcher astray, to hold it up or to end it: each has an outcome,
and none disturbs the rest."""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import harness
from cases import Stage
from harness import check, equal, fast, measured, need, need_root, skip, wait_for, write
from operations import exchange

FAST = '[Identify]\nPressureLimit=100%\n'
MIB = 1 << 20


def row_of(stage, path):
    rows = [row for row in stage.daemon.ctl('files', 't') if row.get('path') == path]
    return rows[0] if rows else {}


def open_gaps(stage):
    return {(gap['cause'], gap.get('path')) for gap in stage.daemon.gaps('t') if 'closedBy' not in gap}


@contextlib.contextmanager
def meanwhile(work):
    """Does work() again and again beside the block."""
    stop, errors = threading.Event(), []

    def loop():
        while not stop.is_set():
            try:
                work()
            except Exception as error:
                errors.append(error)
                return
    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def fifos_devices_and_sockets_are_recorded_and_never_opened():
    with Stage() as stage:
        os.mkfifo(stage.at('fifo'))
        with socket.socket(socket.AF_UNIX) as server:
            os.chdir(stage.tree)        # a socket's path is short
            server.bind('socket')
            os.chdir('/')
            if os.getuid() == 0:
                with contextlib.suppress(PermissionError):
                    os.mknod(stage.at('zero'), stat.S_IFCHR | 0o666, os.makedev(1, 5))
                    os.mknod(stage.at('tty'), stat.S_IFCHR | 0o666, os.makedev(5, 0))
                    os.mknod(stage.at('loop'), stat.S_IFBLK | 0o600, os.makedev(7, 200))
            for _ in range(50):
                os.utime(stage.at('fifo'))
                try:
                    os.close(os.open(stage.at('fifo'), os.O_WRONLY | os.O_NONBLOCK))
                    raise harness.Failure('the FIFO has a reader')
                except OSError as error:
                    equal(error.errno, errno.ENXIO, 'why the FIFO cannot be written to')
            stage.rest()


@measured
def a_lease_is_not_waited_for():
    """Its holder is told, as by any reader, and the gap is said at once; when he gives it up, the file is read, even
    if he keeps it open and writes no more."""
    with Stage(settings='[Dataset]\nSettleTime=2s\n') as stage:
        write(stage.at('leased'), b'before')
        stage.rest()
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        fd = os.open(stage.at('leased'), os.O_RDWR)
        try:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            os.close(fd)
            skip(f'no leases here: {error}')
        os.pwrite(fd, b'behind', 0)
        write(stage.at('other'), b'x')
        began = time.monotonic()
        stage.daemon.settle('t')
        check(row_of(stage, 'other').get('digest'), 'its neighbour has no digest')
        equal(open_gaps(stage), {('read-error', 'leased')}, 'gaps while it is leased')
        fast(time.monotonic() - began < 10, f'the settle took {time.monotonic() - began:.1f} s')
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        wait_for(lambda: not open_gaps(stage), 'it is read once it is given up')
        os.pwrite(fd, b'after!', 0)
        os.close(fd)
        stage.rest()
        equal(open_gaps(stage), set(), 'gaps')


def a_file_that_is_cut_and_grown_while_it_is_digested():
    """No version of it is made up, nobody dies of SIGBUS, and at the end it is right."""
    with Stage(settings=FAST) as stage:
        pid = stage.daemon.watcher()
        path, block = stage.at('restless'), os.urandom(MIB)
        write(path, block * 64)
        sizes = iter(range(10 ** 9))

        def unrest():
            with open(path, 'r+b') as file:
                file.truncate(next(sizes) % 64 * MIB + 1)
                file.seek(0, os.SEEK_END)
                for _ in range(40):
                    file.write(block)
        with meanwhile(unrest):
            for number in range(8):
                write(stage.at(f'beside{number}'), b'%d' % number)
                stage.daemon.settle('t')
                check(row_of(stage, f'beside{number}').get('digest'), 'a neighbour has no digest')
        stage.rest()
        equal(stage.daemon.watcher(), pid, 'the watcher')


def a_directory_swapped_with_a_link_leads_nobody_outside():
    with Stage(settings='[Dataset]\nSettleTime=10ms\n') as stage:
        os.mkdir(stage.at('d'))
        os.mkdir(stage.beside('secret'))
        for number in range(20):
            write(stage.at(f'd/f{number}'), b'ours')
            write(stage.beside(f'secret/f{number}'), b'theirs %d' % number)
        os.symlink('../outside/secret', stage.at('link'))
        ends = [os.fsencode(stage.at('d')), os.fsencode(stage.at('link'))]
        turns = iter(range(10 ** 9))

        def swap():
            exchange(*ends)
            # one of the two is the directory: its files are looked at all the time
            with contextlib.suppress(OSError):
                os.utime(stage.at(f'd/f{next(turns) % 20}'))
        with meanwhile(swap):
            time.sleep(1)
        stage.rest()
        theirs = {'sha256:' + hashlib.sha256(b'theirs %d' % number).hexdigest() for number in range(20)}
        digests = {event.get('digest') for event in stage.daemon.events()}
        check(not digests & theirs, 'a file outside was read')
        harness.diag(f'{next(turns)} exchanges')


def the_content_of_a_foreign_file_is_not_read_through_a_link_to_it():
    """Where the kernel lets people link what they cannot read, their dataset would tell them its digest."""
    need_root('files of two owners')
    setting = '/proc/sys/fs/protected_hardlinks'
    with open(setting, encoding='ascii') as file:
        before = file.read()
    stage = Stage(tree=False)
    os.chown(stage.tree, 1234, 1234)
    write(stage.beside('secret'), b'for root alone')
    os.chmod(stage.beside('secret'), 0o600)
    write(stage.beside('open'), b'for all')
    os.chmod(stage.beside('open'), 0o644)
    try:
        try:
            write(setting, b'0')
        except OSError as error:
            skip(f'the setting cannot be changed here: {error}')
        stage.daemon.start()
        stage.daemon.add(stage.tree, 't')       # and the watcher is there, which has read the setting
        stage.daemon.settle('t')
    except BaseException:
        stage.daemon.abandon()
        raise
    finally:
        with contextlib.suppress(OSError):
            write(setting, before.encode())
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(stage.daemon.abandon)
        for name in ('secret', 'open'):
            os.link(stage.beside(name), stage.at(name))
        stage.daemon.settle('t')
        equal(row_of(stage, 'secret').get('size'), 14, 'its size')
        equal(row_of(stage, 'secret').get('digest'), None, 'its digest')
        check(row_of(stage, 'open').get('digest'), 'what all may read has no digest')
        equal(open_gaps(stage), {('permission', 'secret')}, 'gaps')
        stage.daemon.stop()


def hostile_repositories_are_refused():
    """As the root of a dataset: nothing of another repository is recorded, and nobody waits or runs out of memory."""
    need('git')

    def git(folder, *arguments):
        subprocess.run(['git', '-c', 'user.name=a', '-c', 'user.email=a@b', '-C', folder, *arguments], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def repository(folder):
        os.makedirs(folder, exist_ok=True)
        git(folder, 'init', '-q')
        write(os.path.join(folder, 'f'), folder.encode())
        git(folder, 'add', 'f')
        git(folder, 'commit', '-qm', 'x')

    def elsewhere(tree, theirs):
        write(os.path.join(tree, '.git'), b'gitdir: ' + os.fsencode(theirs) + b'/.git\n')

    def linked(tree, theirs):
        os.symlink(os.path.join(theirs, '.git'), os.path.join(tree, '.git'))

    def head_linked(tree, theirs):
        repository(tree)
        os.unlink(os.path.join(tree, '.git/HEAD'))
        os.symlink(os.path.join(theirs, '.git/HEAD'), os.path.join(tree, '.git/HEAD'))

    def alternates(tree, theirs):
        repository(tree)
        write(os.path.join(tree, '.git/objects/info/alternates'), os.fsencode(theirs) + b'/.git/objects\n')

    def head_is_a_fifo(tree, _):
        repository(tree)
        os.unlink(os.path.join(tree, '.git/HEAD'))
        os.mkfifo(os.path.join(tree, '.git/HEAD'))

    def vast_packed_refs(tree, _):
        repository(tree)
        write(os.path.join(tree, '.git/packed-refs'))
        os.truncate(os.path.join(tree, '.git/packed-refs'), 1 << 40)

    for make in (elsewhere, linked, head_linked, alternates, head_is_a_fifo, vast_packed_refs):
        with Stage(settings='[Identify]\nReadUpTo=1G\n', tree=False) as stage:
            repository(stage.beside('theirs'))
            make(stage.tree, stage.beside('theirs'))
            stage.daemon.add(stage.tree, 't')
            write(stage.at('beside'), b'x')
            stage.daemon.settle('t')
            check(row_of(stage, 'beside').get('digest'), f'{make.__name__}: a neighbour has no digest')
            equal(stage.daemon.ctl('datasets')[0]['kind'], 'plain', f'{make.__name__}: the kind')
            equal([row for row in stage.daemon.events() if row['kind'] == 'commit'], [], f'{make.__name__}: commits')


@contextlib.contextmanager
def foreign_disk(folder, *files):
    """A file system that is slow to answer, on a device: a driver in user space has it. Yields its process."""
    need_root('mounting')
    need('losetup')
    if not os.path.exists('/dev/fuse'):
        skip('no /dev/fuse')
    image = folder + '.img'
    write(image)
    os.truncate(image, MIB)
    done = subprocess.run(['losetup', '-f', '--show', image], check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    if done.returncode != 0:
        skip(f'no loop device: {done.stderr.decode().strip()}')
    device = done.stdout.decode().strip()
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'fuse.py')
    try:
        with subprocess.Popen([sys.executable, script, device, folder, *files], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as server:
            if not server.stdout.readline():
                skip(f'no file system in user space: {server.stderr.read().decode().strip()}')
            try:
                yield server
            finally:
                ctypes.CDLL(None).umount2(os.fsencode(folder), 2)       # whoever uses it
                server.kill()
    finally:
        subprocess.run(['losetup', '-d', device], check=False)


def a_file_whose_read_is_never_answered_holds_up_nobody():
    settings = FAST + '[Watcher]\nCheckInterval=1s\n'
    stage = Stage(settings=settings, tree=False)
    silent = [f'silent{number}' for number in range(3)]
    with foreign_disk(stage.tree, 'a=10', *[f'{name}=1000' for name in silent], 'z=20') as server, stage:
        stage.daemon.add(stage.tree, 't')
        pid = stage.daemon.watcher()
        stage.daemon.settle('t')
        for name in ('a', 'z'):
            check(row_of(stage, name).get('digest'), f'{name} has no digest')
        wait_for(lambda: open_gaps(stage) >= {('read-error', name) for name in silent}, 'gaps say what cannot be read')
        equal([row_of(stage, name).get('size') for name in silent], [1000] * 3, 'their sizes')
        stage.daemon.settle('t')        # as often as one likes
        equal(stage.daemon.watcher(), pid, 'the watcher')
        server.send_signal(signal.SIGUSR1)
        wait_for(lambda: not open_gaps(stage), 'the gaps end when it answers')
        stage.daemon.settle('t')
        for name in silent:
            equal(row_of(stage, name)['digest'],
                  'sha256:' + hashlib.sha256((name * 200).encode()[:1000]).hexdigest(), f'the digest of {name}')


def a_name_that_is_too_long_for_the_record_is_a_gap_while_it_is_there():
    """Its neighbours are recorded, and no walk follows another for it."""
    stage = Stage(settings=FAST, tree=False)
    with foreign_disk(stage.tree, 'a=10', 'z=20', 'n' * 300 + '=10') as server, stage:
        stage.daemon.add(stage.tree, 't')
        for _ in range(2):
            stage.daemon.settle('t')
            equal([(gap['cause'], gap['path']) for gap in stage.daemon.gaps('t')], [('read-error', '.')], 'gaps')
            equal({row['path'] for row in stage.daemon.ctl('files', 't')}, {'a', 'z'}, 'files')
            equal(stage.daemon.ctl_run('scan', 't').returncode, 0, 'scan')
        stage.daemon.settle('t')
        before = stage.daemon.newest()
        equal(stage.daemon.ctl_run('scan', 't').returncode, 0, 'scan')
        stage.daemon.settle('t')
        equal(stage.daemon.newest(), before, 'events')
        server.send_signal(signal.SIGUSR2)
        equal(stage.daemon.ctl_run('scan', 't').returncode, 0, 'scan')
        wait_for(lambda: not open_gaps(stage), 'the gap ends when it is gone')


@measured
def a_stop_does_not_wait_for_a_read_that_is_never_answered():
    stage = Stage(settings=FAST, tree=False)
    with foreign_disk(stage.tree, 'silent=1000'), stage:
        stage.daemon.add(stage.tree, 't')
        wait_for(lambda: row_of(stage, 'silent'), 'it is recorded')
        time.sleep(0.5)                 # and is being read
        began = time.monotonic()
        stage.daemon.stop()
        fast(time.monotonic() - began < 10, f'the stop took {time.monotonic() - began:.1f} s')


harness.run([
    fifos_devices_and_sockets_are_recorded_and_never_opened,
    a_lease_is_not_waited_for,
    a_file_that_is_cut_and_grown_while_it_is_digested,
    a_directory_swapped_with_a_link_leads_nobody_outside,
    the_content_of_a_foreign_file_is_not_read_through_a_link_to_it,
    hostile_repositories_are_refused,
    a_file_whose_read_is_never_answered_holds_up_nobody,
    a_name_that_is_too_long_for_the_record_is_a_gap_while_it_is_there,
    a_stop_does_not_wait_for_a_read_that_is_never_answered,
])
