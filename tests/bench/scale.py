#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What grows with what: time, memory (ours and the kernel's) and bytes of the store, from 10^4 to 10^6 files and from
10^3 to 10^5 directories. Prints the table of docs/SCALE.md; `make scale` calls it (minutes, and 10 GiB of memory as
root; else as much of TMPDIR). SCITRACE_BUILD: the build tree (without sanitizers)."""

import argparse
import contextlib
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'system')]

import disk  # noqa: E402
import harness  # noqa: E402
from link import Refused, is_sanitized, make_tree, memory, open_link  # noqa: E402
from memories import REST, high_water  # noqa: E402
from report import line, machine  # noqa: E402

STEPS = ((1000, 10**4), (1000, 10**5), (10**4, 10**5), (10**4, 10**6), (10**5, 10**5), (10**5, 10**6))
QUICK = ((10, 100), (10, 200), (20, 200), (20, 400), (40, 200), (40, 400))
LIMIT = 1200
COLUMNS = (('directories', '{:d}'), ('files', '{:d}'), ('names, s', '{:.2f}'), ('digests, s', '{:.2f}'),
           ('restart, s', '{:.2f}'), ('scitraced, MiB', '{:.1f}'), ('watcher, MiB', '{:.1f}'), ('peak, MiB', '{:.1f}'),
           ('kernel, MiB', '{:.1f}'), ('store, MiB', '{:.1f}'))


def kernel_memory():
    """Bytes of the kernel's objects that cannot be freed: while directories are watched their marks, and the inodes
    that these hold, are among them. None: not allowed to free the others."""
    with contextlib.suppress(OSError):
        with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as file:
            file.write('2')
        with open('/proc/meminfo', encoding='ascii') as file:
            return next(int(text.split()[1]) * 1024 for text in file if text.startswith('Slab:'))
    return None


def wait_until(condition, what):
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise Refused(f'{what} within {LIMIT} s')
        time.sleep(0.01)


def store_bytes(daemon):
    return sum(entry.stat().st_size for entry in os.scandir(daemon.state) if entry.is_file())


def settle(link):
    wait_until(lambda: not link.one('Service.Settle', {'timeoutUsec': LIMIT * 10**6}).get('digestsPending'),
               'every digest is recorded')


def measure(directories, files):
    """One step: the values of COLUMNS; None: could not be known."""
    with disk.fresh(2**29 + files * 5200 + directories * 5200, files + directories + 10000) as tree, \
            harness.Daemon() as daemon:
        make_tree(tree, directories, files)
        before = kernel_memory()
        with open_link(daemon) as link:
            began = time.monotonic()
            daemon.add(tree, 'tree')
            wait_until(lambda: link.one('Store.Describe')['events'] >= directories + files, 'every name is recorded')
            named = time.monotonic() - began
            settle(link)
            settled = time.monotonic() - began
            time.sleep(REST)
            ours, watcher = memory([daemon.process.pid]), memory(daemon.watchers())
            peak = high_water([daemon.process.pid, *daemon.watchers()])
            after = kernel_memory()
        daemon.stop()
        size = store_bytes(daemon)
        began = time.monotonic()
        daemon.start()
        with open_link(daemon) as link:
            settle(link)
        wait_until(lambda: all('closedBy' in gap for gap in daemon.gaps('tree')), 'the tree is compared')
        restart = time.monotonic() - began
        kernel = None if before is None or after is None else (after - before) / 2**20
    return (directories, files, named, settled, restart, ours / 2**20, watcher / 2**20, peak / 2**20, kernel,
            size / 2**20)


def print_row(values):
    line('| ' + ' | '.join('-' if value is None else form.format(value) for (_, form), value in zip(COLUMNS, values)) +
         ' |')


def slopes(rows):
    """What one more of each costs, between the two steps that differ in it alone."""
    by_step = {row[:2]: row for row in rows}
    names = [name for name, _ in COLUMNS]
    steps = list(by_step)
    pairs = (('a file', 1, steps[2], steps[3]), ('a directory', 0, steps[1], steps[4]))
    line()
    line('| one more | ' + ' | '.join(name.replace(', s', ', µs').replace(', MiB', ', bytes') for name in names[2:]) +
         ' |')
    line('|---' * (len(names) - 1) + '|')
    for what, place, one, other in pairs:
        more = by_step[other][place] - by_step[one][place]
        cells = []
        for name, low, high in zip(names[2:], by_step[one][2:], by_step[other][2:]):
            unit = 1e6 if name.endswith(', s') else 2**20
            cells.append('-' if low is None or high is None else f'{(high - low) * unit / more:.0f}')
        line(f'| {what} | ' + ' | '.join(cells) + ' |')


def main():
    parser = argparse.ArgumentParser(description='The table of docs/SCALE.md.')
    parser.add_argument('--quick', action='store_true', help='a moment of it: proves only that it runs')
    arguments = parser.parse_args()
    for name in ('scitraced', 'scitracectl', 'scitrace-watch'):
        harness.program(name)
    line(f'{machine()}; on {disk.describe()}')
    if is_sanitized(harness.BUILD):
        line('NOTE: this build carries a sanitizer; its figures say nothing about scitrace.')
    line()
    line('| ' + ' | '.join(name for name, _ in COLUMNS) + ' |')
    line('|---:' * len(COLUMNS) + '|')
    rows = []
    for step in QUICK if arguments.quick else STEPS:
        rows.append(measure(*step))
        print_row(rows[-1])
    slopes(rows)


if __name__ == '__main__':
    disk.enter_namespace()
    try:
        main()
    except (harness.Skip, harness.Failure, Refused) as error:
        sys.exit(f'scale: {error}')
