# SPDX-License-Identifier: LGPL-2.1-or-later
"""B2: storms of changes, in directories that are there and in ones that are being made; and while the reader is
stopped. Who saw how many, and how long after."""

import os
import signal
import subprocess
import time

import disk
import harness
from link import median
from peers import PEERS, Ours, installed
from report import line, row, seconds, skipped

DIRECTORIES, WRITERS = 200, 4


class Storm:
    """One kind of storm: what it makes in a fresh tree, and the names that must be there afterwards."""

    def __init__(self, title, arguments, directories, names):
        self.title, self.arguments, self.directories, self.names = title, arguments, directories, names

    def prepare(self, top):
        for number in range(self.directories):
            os.mkdir(os.path.join(top, f'd{number}'))

    def write(self, top):
        command = [harness.program('tests/bench/storm'), self.arguments[0], top, *map(str, self.arguments[1:])]
        return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) / 1e6


def creates(files):
    return Storm(f'{files} creates in {DIRECTORIES} directories, {WRITERS} writers',
                 ('creates', WRITERS, files // WRITERS), DIRECTORIES,
                 {b'd%d/f%d' % (number % DIRECTORIES, number) for number in range(files // WRITERS * WRITERS)})


def nested(count):
    return Storm(f'{count} x mkdir a, a/e, a/e/f, write a/e/f/b', ('nested', count), 0,
                 {b'a%d/e/f/b' % number for number in range(count)})


def signal_all(pids, number):
    for pid in pids:
        os.kill(pid, number)


def once(storm, watcher, stopped):
    """(the writer's time, seconds from its first operation, or from the reader's waking, until all was told, names
    lost, the watcher's remark)."""
    with disk.fresh() as top:
        storm.prepare(top)
        if watcher is None:
            return storm.write(top), 0, 0, ''
        with watcher(top) as w:
            pids = w.pids() if stopped else []
            signal_all(pids, signal.SIGSTOP)
            began = time.monotonic()
            taken = storm.write(top)
            if stopped:
                began = time.monotonic()
            signal_all(pids, signal.SIGCONT)
            found, told = w.seen(storm.names)
            return taken, told - began, len(storm.names - found), w.remark()


def table(storm, stopped, runs):
    line(f'  {storm.title}{"; the reader is stopped meanwhile" if stopped else ""}; {runs} interleaved runs')
    watchers = [None, Ours, *filter(installed, PEERS)]
    results = {watcher: [] for watcher in watchers}
    for number in range(runs):
        for watcher in watchers:
            if watcher in (None, Ours) or number < 3:           # peers: how many they lose, and about when
                results[watcher].append(once(storm, watcher, stopped))
    alone = median([run[0] for run in results[None]])
    row('  the writer, nobody watches', seconds(alone), 's')
    for watcher in watchers[1:]:
        taken, told = (median([run[place] for run in results[watcher]]) for place in (0, 1))
        lost = '/'.join(str(run[2]) for run in sorted(results[watcher], key=lambda run: run[2]))
        since = 'waking' if stopped else 'the first write'
        note = '' if stopped else f'{told / taken:.2f} x its writer, {told / alone:.2f} x the writer alone; '
        remark = results[watcher][-1][3] or ('and says nothing' if results[watcher][-1][2] else '')
        row(f'  {watcher.name}: from {since} until told', seconds(told), 's',
            f'{note}writer {taken:.3f} s; lost {lost}' + (f'; {remark}' if remark else ''))
    for peer in PEERS:
        if not installed(peer):
            skipped(f'  {peer.name}', 'it is not installed')


def b2(files, count, runs):
    line(f'B2  storms: told is, of ours, durable with every digest; lost of {files} files and of {count} files in '
         f'new directories; on {disk.describe()}')
    for stopped in (False, True):
        for storm in (creates(files), nested(count)):
            table(storm, stopped, runs)
    line()
