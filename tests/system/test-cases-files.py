# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hard cases of files, one a test: names of one node, writes that close nothing, files without a name, what is
held open, times that lie, names that are used again."""

import contextlib
import ctypes
import mmap
import os
import subprocess
import time

import harness
from cases import Stage
from harness import check, diag, equal, fast, measured, need, need_root, skip, wait_for, write
from operations import libc

libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def told(rows):
    return [(row['kind'], row.get('path')) for row in rows]


def by_itself(stage, before, what, path='file'):
    """Waits, without settling, until the newest event of the file is of that kind: no barrier pushed it out."""
    def newest():
        rows = [row for row in stage.daemon.events(before) if row.get('path') == path]
        return rows and rows[-1]['kind'] == what
    wait_for(newest, f'{path} has the event {what}')


def a_hard_link_within_the_tree_is_written_through():
    """What is written through one name is true of the other, and in the history of both."""
    with Stage() as stage:
        os.mkdir(stage.at('d'))
        write(stage.at('file'), b'1')
        os.link(stage.at('file'), stage.at('d/other'))
        stage.rest()
        rows = stage.during(lambda: write(stage.at('d/other'), b'two'))
        equal(told(rows), [('modify', 'd/other')], 'rows')
        equal({rows[0]['seq']} & {row['seq'] for row in stage.daemon.ctl('history', stage.at('file'))},
              {rows[0]['seq']}, 'what the history of the other name says of it')


def a_hard_link_outside_is_seen_through_at_the_next_start():
    with Stage() as stage:
        write(stage.at('file'), b'before')
        os.link(stage.at('file'), stage.beside('other'))
        stage.rest()
        info = os.stat(stage.at('file'))
        write(stage.beside('other'), b'after!')
        os.utime(stage.beside('other'), ns=(info.st_atime_ns, info.st_mtime_ns))
        stage.daemon.stop()
        stage.daemon.start()
        stage.daemon.settle('t')
        stage.daemon.closed('t')
        stage.rest()
        rows = [row for row in stage.daemon.events() if row.get('path') == 'file']
        equal((rows[-1]['kind'], rows[-1]['origin']), ('modify', 'reconcile'), 'its newest event')


def a_file_is_written_to_after_its_name_went_while_it_has_another():
    with Stage() as stage:
        write(stage.at('a'), b'1')
        os.link(stage.at('a'), stage.at('b'))
        write(stage.at('c'), b'c')
        stage.rest()
        for go in (lambda: os.unlink(stage.at('a')), lambda: os.rename(stage.at('c'), stage.at('b'))):
            os.path.exists(stage.at('d')) or os.link(stage.at('b'), stage.at('d'))
            with open(stage.at('a' if os.path.exists(stage.at('a')) else 'b'), 'ab', buffering=0) as file:
                stage.rest()
                go()
                stage.daemon.settle('t')
                file.write(b'more')
            stage.rest()


def a_mapping_that_outlives_its_descriptor_is_recorded_at_its_end():
    """The kernel tells of it at munmap."""
    with Stage() as stage:
        write(stage.at('file'), b'x' * 5000)
        stage.rest()
        fd = os.open(stage.at('file'), os.O_RDWR)
        address = libc.mmap(None, 5000, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
        os.close(fd)
        check(address not in (None, ctypes.c_void_p(-1).value), 'mmap')
        stage.daemon.settle('t')
        before = stage.daemon.newest()
        ctypes.memset(address + 100, ord('y'), 10)
        libc.munmap(address, 5000)
        by_itself(stage, before, 'modify')
        stage.rest()


def truncation_by_name_closes_nothing():
    with Stage() as stage:
        write(stage.at('file'), b'x' * 5000)
        for size in (7, 9000):
            stage.rest()
            before = stage.daemon.newest()
            os.truncate(stage.at('file'), size)
            by_itself(stage, before, 'modify')
        stage.rest()


def changes_through_a_descriptor_that_stays_open():
    """ftruncate, fallocate, copy_file_range, write: each is a version without a close."""
    with Stage() as stage:
        write(stage.at('source'), os.urandom(9000))
        write(stage.at('file'), b'x' * 100)
        source = os.open(stage.at('source'), os.O_RDONLY)
        fd = os.open(stage.at('file'), os.O_RDWR)
        for work in (lambda: os.ftruncate(fd, 50), lambda: os.posix_fallocate(fd, 0, 20000),
                     lambda: os.copy_file_range(source, fd, 9000, 0, 0), lambda: os.pwrite(fd, b'y', 3),
                     lambda: os.sendfile(fd, source, 0, 100)):
            stage.rest()
            before = stage.daemon.newest()
            work()
            by_itself(stage, before, 'modify')
        stage.rest()
        before = stage.daemon.newest()
        os.close(fd)
        os.close(source)
        stage.rest()
        equal(stage.rows(before), [], 'rows about the close, which changes nothing')


def a_file_without_a_name_gets_one_and_is_written_to_again():
    """What is written after linkat the kernel tells under a name that is in no directory."""
    with Stage() as stage:
        try:
            fd = os.open(stage.tree, os.O_TMPFILE | os.O_RDWR, 0o644)
        except OSError as error:
            skip(f'no O_TMPFILE here: {error}')
        os.write(fd, b'content')
        os.link(f'/proc/self/fd/{fd}', stage.at('file'), src_dir_fd=fd)
        before = stage.daemon.newest()
        stage.rest()
        equal(stage.rows(before), [('create', 'file')], 'rows')
        os.write(fd, b' more')
        os.close(fd)
        stage.rest()
        equal(stage.rows(before), [('create', 'file'), ('modify', 'file')], 'rows')


def a_file_without_a_name_that_never_gets_one():
    with Stage() as stage:
        fd = os.open(stage.tree, os.O_TMPFILE | os.O_RDWR, 0o644)
        os.write(fd, b'content')
        equal(stage.during(lambda: os.close(fd)), [], 'rows')


@measured
def a_file_that_is_written_all_the_time_has_a_version_now_and_then():
    """One each OpenVersionInterval= (5 s unless the policy says else), and one at the end."""
    with Stage(settings='[Dataset]\nSettleTime=250ms\nOpenVersionInterval=1s\n') as stage, open(stage.at('log'), 'ab', 0) as file:
        stage.rest()
        before = stage.daemon.newest()
        began = time.monotonic()
        while time.monotonic() < began + 5:
            file.write(b'line\n')
            time.sleep(0.02)
        rows = [row for row in stage.daemon.events(before) if row['path'] == 'log']
        fast(3 <= len(rows) <= 7, f'{len(rows)} versions in 5 s')
        times = [row['timeUsec'] for row in rows]
        pauses = [(later - earlier) / 1e6 for earlier, later in zip(times, times[1:])]
        fast(all(0.8 < pause < 2.5 for pause in pauses), f'pauses between them: {pauses}')
        before = stage.daemon.newest()
        file.write(b'the last line\n')
        file.close()
        by_itself(stage, before, 'modify', 'log')
        stage.rest()


def what_is_written_after_the_last_name_went_is_nothing():
    with Stage() as stage:
        write(stage.at('file'), b'x')
        write(stage.at('other'), b'x')
        stage.rest()
        before = stage.daemon.newest()
        with open(stage.at('file'), 'ab', buffering=0) as file, open(stage.at('other'), 'ab', buffering=0) as other:
            os.unlink(stage.at('file'))
            file.write(b'more')
            os.rename(stage.at('other'), stage.beside('other'))
            other.write(b'more')
            stage.rest()
            file.write(b'still more')
            other.write(b'still more')
        stage.rest()
        equal(stage.rows(before), [('unlink', 'file'), ('unlink', 'other')], 'rows')


def a_restore_with_old_times():
    """rsync -a, tar and touch -r set the time back: the content decides."""
    need('rsync', 'tar')
    with Stage() as stage:
        write(stage.at('file'), b'original')
        os.utime(stage.at('file'), (1e9, 1e9))
        os.mkdir(stage.beside('copy'))
        subprocess.run(['cp', '-a', stage.at('file'), stage.beside('copy')], check=True)
        subprocess.run(['tar', 'cf', stage.beside('tar'), '-C', stage.tree, 'file'], check=True)
        stage.rest()
        first = stage.daemon.ctl('show', stage.at('file'))[0]['digest']
        for command in (['rsync', '-a', stage.beside('copy/'), stage.at('')],
                        ['rsync', '-a', '--inplace', '--ignore-times', stage.beside('copy/'), stage.at('')],
                        ['tar', 'xf', stage.beside('tar'), '-C', stage.tree],
                        ['cp', '-p', stage.beside('copy/file'), stage.at('file')]):
            write(stage.at('file'), b'changed!')
            stage.rest()
            check(stage.daemon.ctl('show', stage.at('file'))[0]['digest'] != first, 'the change was recorded')
            rows = stage.during(lambda c=command: subprocess.run(c, check=True))
            check('modify' in [row['kind'] for row in rows] or ('create', 'file') in told(rows),
                  f'{command[0]} led to {told(rows)}')
            equal(stage.daemon.ctl('show', stage.at('file'))[0]['digest'], first, f'the digest after {command}')


def an_edit_that_keeps_size_and_time():
    with Stage() as stage:
        write(stage.at('file'), b'aaaa')
        write(stage.at('like'), b'')
        os.utime(stage.at('like'), (1e9, 1e9))
        os.utime(stage.at('file'), (1e9, 1e9))
        for content in (b'bbbb', b'cccc'):
            stage.rest()

            def work(content=content):
                with open(stage.at('file'), 'r+b') as file:
                    file.write(content)
                subprocess.run(['touch', '-r', stage.at('like'), stage.at('file')], check=True)
            equal(told(stage.during(work)), [('modify', 'file')], 'rows')


def a_name_is_used_again_with_the_number_of_the_inode():
    """Another file with the same name and the same inode number is another node."""
    with Stage() as stage:
        write(stage.at('file'), b'x')
        reused = 0
        for turn in range(20):
            stage.rest()
            inode = os.stat(stage.at('file')).st_ino
            node = stage.daemon.ctl('show', stage.at('file'))[0]['node']

            def work(turn=turn):
                os.unlink(stage.at('file'))
                write(stage.at('file'), b'%d' % turn)
            rows = stage.during(work)
            equal(told(rows), [('unlink', 'file'), ('create', 'file')], 'rows')
            check(rows[1]['node'] != node, f'one node for two files (inode {inode})')
            reused += os.stat(stage.at('file')).st_ino == inode
        diag(f'the inode number was the same {reused} times of 20')
        if not reused:
            skip('this file system does not use an inode number again at once')


def changes_of_mode_owner_times_and_attributes():
    """Nothing is read for them."""
    with Stage() as stage:
        write(stage.at('file'), b'x')
        os.mkdir(stage.at('d'))
        stage.rest()
        for name in ('file', 'd'):
            equal(told(stage.during(lambda n=name: os.chmod(stage.at(n), 0o700))), [('attribute', name)], 'chmod')
        equal(told(stage.during(lambda: os.utime(stage.at('file'), (5, 5)))), [('attribute', 'file')], 'utimes')
        with contextlib.suppress(OSError):
            equal(stage.during(lambda: os.setxattr(stage.at('file'), 'user.x', b'y')), [], 'rows about an attribute '
                  'that is not recorded')
        equal(stage.during(lambda: os.utime(stage.at('d'), (5, 5))), [], 'rows about the times of a directory')
        need_root('chown')
        for name in ('file', 'd'):
            rows = stage.during(lambda n=name: os.chown(stage.at(n), 12, 34))
            equal(told(rows), [('attribute', name)], 'chown')


def links_fifos_and_sockets_change_their_owner():
    need_root('chown')
    with Stage() as stage:
        os.symlink('nowhere', stage.at('link'))
        os.mkfifo(stage.at('fifo'))
        stage.rest()
        for name in ('link', 'fifo'):
            rows = stage.during(lambda n=name: os.chown(stage.at(n), 12, 34, follow_symlinks=False))
            equal(told(rows), [('attribute', name)], 'rows')


harness.run([a_hard_link_within_the_tree_is_written_through, a_hard_link_outside_is_seen_through_at_the_next_start,
             a_file_is_written_to_after_its_name_went_while_it_has_another,
             a_mapping_that_outlives_its_descriptor_is_recorded_at_its_end, truncation_by_name_closes_nothing,
             changes_through_a_descriptor_that_stays_open, a_file_without_a_name_gets_one_and_is_written_to_again,
             a_file_without_a_name_that_never_gets_one, a_file_that_is_written_all_the_time_has_a_version_now_and_then,
             what_is_written_after_the_last_name_went_is_nothing, a_restore_with_old_times,
             an_edit_that_keeps_size_and_time, a_name_is_used_again_with_the_number_of_the_inode,
             changes_of_mode_owner_times_and_attributes, links_fifos_and_sockets_change_their_owner])
