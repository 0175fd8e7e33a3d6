# SPDX-License-Identifier: LGPL-2.1-or-later
"""B10: memory of all our processes: at rest by number of directories and of files, and at its peak while a tree is
looked at first (B1) and in a storm (B2)."""

import tempfile
import threading
import time

import disk
from link import Watchman, ask_watchman, make_tree, memory
from peers import Ours, WatchmanTree, installed
from report import line, mebi, row, skipped
from storms import creates, nested

REST = 3.0                      # seconds after which a process is at rest
SAMPLE = 0.02


def high_water(pids):
    """The most resident memory that each has had, shared pages counted in each: more than all of it."""
    total = 0
    for pid in pids:
        with open(f'/proc/{pid}/status', encoding='ascii') as file:
            total += next(int(text.split()[1]) * 1024 for text in file if text.startswith('VmHWM'))
    return total


class Peak(threading.Thread):
    """Samples PSS until stopped: the largest sum seen."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.most, self.over = pids, 0, False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.over = True
        self.join()

    def run(self):
        while not self.over:
            self.most = max(self.most, memory(self.pids()))
            time.sleep(SAMPLE)


def at_rest(directories, files):
    """Bytes of scitraced and of its watchers; of watchman; the peak of ours as (sampled PSS, sum of VmHWM)."""
    with tempfile.TemporaryDirectory(prefix='scitrace-bench-') as tree:
        make_tree(tree, directories, files)
        with tempfile.TemporaryDirectory(prefix='scitrace-bench-') as empty, Ours(empty) as ours:
            with Peak(ours.everybody) as peak:
                ours.daemon.add(tree, 'tree')
                ours.settle()
            time.sleep(REST)
            daemon, watcher = memory([ours.daemon.process.pid]), memory(ours.pids())
            most = peak.most, high_water(ours.everybody())
        peer = 0
        if installed(WatchmanTree):
            with Watchman() as watchman, watchman.link() as link:
                ask_watchman(link, 'watch', tree)
                ask_watchman(link, 'query', tree, {'expression': ['name', 'none'], 'fields': ['name']})
                peer = memory([watchman.process.pid])
        return daemon, watcher, peer, most


def storm_peak(storm):
    with disk.fresh() as top:
        storm.prepare(top)
        with Ours(top) as ours:
            with Peak(ours.everybody) as peak:
                storm.write(top)
                ours.settle()
            return peak.most, high_water(ours.everybody())


def b10(quick, _):
    big, small = ((200, 2000), (20, 200)) if quick else ((10000, 100000), (100, 10000))
    line('B10 memory of scitraced and scitrace-watch together')
    daemon, watcher, peer, most = at_rest(*big)
    less = at_rest(big[0], big[1] // 10)
    least = at_rest(*small)
    row(f'at rest, {big[1]} files in {big[0]} directories (PSS)', mebi(daemon + watcher), 'MiB',
        f'scitraced {mebi(daemon)}, scitrace-watch {mebi(watcher)}' + (f'; watchman {mebi(peer)}' if peer else ''))
    row(f'  {big[1] // 10} files in as many directories', mebi(less[0] + less[1]), 'MiB',
        f'{(daemon + watcher - less[0] - less[1]) / (big[1] - big[1] // 10):.0f} bytes a file more')
    row(f'  {small[1]} files in {small[0]} directories', mebi(least[0] + least[1]), 'MiB',
        f'{(less[1] - least[1]) / (big[0] - small[0]):.0f} bytes of scitrace-watch a directory more')
    if not peer:
        skipped('watchman', 'it is not installed')
    for name, peak in ((f'peak in the first look at {big[1]} files', most),
                       ('peak in the storm of creates', storm_peak(creates(200 if quick else 50000))),
                       ('peak in the storm of new directories', storm_peak(nested(20 if quick else 2000)))):
        row(f'{name} (PSS each {1000 * SAMPLE:.0f} ms)', mebi(peak[0]), 'MiB', f'sum of VmHWM {mebi(peak[1])}')
    line()
