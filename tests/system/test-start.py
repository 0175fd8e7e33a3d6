# SPDX-License-Identifier: LGPL-2.1-or-later
"""A start compares the tree with the record, and reads only what differs."""

import os
import shutil
import subprocess
import time

import harness
from cases import Stage
from harness import check, diag, equal, skip, write

FILES, SIZE = 200, 50000                # 10 MB in all


def populate(stage):
    for number in range(FILES):
        os.makedirs(stage.at(f'd{number % 10}'), exist_ok=True)
        write(stage.at(f'd{number % 10}/f{number}'), os.urandom(SIZE))
    os.symlink('d0', stage.at('link'))
    os.mkfifo(stage.at('fifo'))
    time.sleep(0.1)     # what is read within a tick of its change is read once more at the next start


def bytes_read(pid):
    """What the process has got by read() so far, files and all."""
    try:
        with open(f'/proc/{pid}/io', encoding='ascii') as file:
            return int(file.readline().split()[1])
    except PermissionError:
        skip('/proc/PID/io may not be read here')


def restarted(stage, how='stop'):
    """Returns the events of the restart, and how much content was read for it at most."""
    before = stage.daemon.newest()
    if how == 'stop':
        stage.daemon.stop()
    else:
        stage.daemon.kill('both')
    stage.daemon.start()
    stage.daemon.settle('t')
    stage.daemon.closed('t')
    stage.rest()
    read = bytes_read(stage.daemon.watcher())
    return stage.daemon.events(before), read


def told(rows):
    return [(row['kind'], row.get('path'), row['origin']) for row in rows]


def an_unchanged_tree_gives_its_gap_and_is_not_read():
    with Stage() as stage:
        populate(stage)
        stage.rest()
        check(bytes_read(stage.daemon.watcher()) > FILES * SIZE, 'the first look was counted')
        for how in ('stop', 'kill', 'stop'):
            rows, read = restarted(stage, how)
            equal([row['kind'] for row in rows], ['gap-open', 'gap-close'], f'events of the restart ({how})')
            diag(f'{how}: the watcher read {read} bytes')
            check(read < FILES * SIZE / 10, f'the watcher read {read} bytes of a tree of {FILES * SIZE}')


def what_changed_meanwhile_is_found_and_only_that_is_read():
    with Stage() as stage:
        populate(stage)
        stage.rest()
        newest = stage.daemon.newest()
        stage.daemon.stop()
        paths = [stage.at('d1/f1'), stage.at('d2/f2')]
        info = os.stat(paths[1])
        write(paths[0], b'other')
        with open(paths[1], 'r+b') as file:
            file.write(b'same size')
        os.utime(paths[1], ns=(info.st_atime_ns, info.st_mtime_ns))
        os.unlink(stage.at('d3/f3'))
        os.rename(stage.at('d4/f4'), stage.at('d5/renamed'))
        os.chmod(stage.at('d6/f6'), 0o600)
        shutil.rmtree(stage.at('d7'))
        os.makedirs(stage.at('new/below'))
        write(stage.at('new/below/file'), b'new')
        os.rename(stage.at('d8'), stage.at('d8-renamed'))
        stage.daemon.start()
        stage.daemon.settle('t')
        stage.daemon.closed('t')
        stage.rest()
        read = bytes_read(stage.daemon.watcher())
        check(read < FILES * SIZE / 3, f'the watcher read {read} bytes of a tree of {FILES * SIZE}')
        rows = told(stage.daemon.events(newest))
        for wanted in (('modify', 'd1/f1'), ('modify', 'd2/f2'), ('unlink', 'd3/f3'), ('attribute', 'd6/f6'),
                       ('unlink', 'd7'), ('create', 'new/below/file')):
            check((*wanted, 'reconcile') in rows, f'{wanted} is not among the events')
        equal([row for row in rows if row[2] != 'reconcile' and row[1]], [], 'what was found and is not said to be')


def a_copy_of_the_tree_in_its_place():
    """As after a restore from a backup: every node is another one, and the content is what it was."""
    with Stage() as stage:
        populate(stage)
        os.remove(stage.at('fifo'))
        stage.rest()
        stage.daemon.stop()
        subprocess.run(['cp', '-a', stage.at('.'), stage.beside('copy')], check=True)
        shutil.rmtree(stage.at('d0'))
        subprocess.run(['cp', '-a', stage.beside('copy/d0'), stage.at('d0')], check=True)
        stage.daemon.start()
        stage.daemon.settle('t')
        stage.daemon.closed('t')
        stage.rest()


harness.run([an_unchanged_tree_gives_its_gap_and_is_not_read, what_changed_meanwhile_is_found_and_only_that_is_read,
             a_copy_of_the_tree_in_its_place])
