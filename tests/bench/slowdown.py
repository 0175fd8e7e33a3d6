# SPDX-License-Identifier: LGPL-2.1-or-later
"""B9: what those who work notice: `tar x`, `grep -r` and a parallel build in a tree that nobody watches, that
inotifywait watches, and that we watch."""

import contextlib
import io
import os
import shutil
import subprocess
import tarfile
import time

import disk
from link import median
from peers import Inotifywait, Ours, installed
from report import line, row, seconds, skipped

FOLDERS, SIZE = 200, 2048
SOURCE = '''#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#define F(n) static double f##n(double *v, int k) {{ double s = {number}; for (int i = 0; i < k; i++) \\
        {{ switch (i % 7) {{ case 0: s += sqrt(v[i]) * n; break; case 3: s -= v[i] / (n + 1); break; \\
        default: s += (double) strlen("x") * v[i]; }} if (s > 1e9) s = fmod(s, 1e6 + n); }} return s; }}
F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13) F(14) F(15) F(16) F(17) F(18) F(19) F(20)
double part{number}(double *v, int k);
double part{number}(double *v, int k) {{ return f1(v, k) + f2(v, k) + f3(v, k) + f4(v, k) + f5(v, k) + f6(v, k) +
        f7(v, k) + f8(v, k) + f9(v, k) + f10(v, k) + f11(v, k) + f12(v, k) + f13(v, k) + f14(v, k) + f15(v, k) +
        f16(v, k) + f17(v, k) + f18(v, k) + f19(v, k) + f20(v, k); }}
'''
MAKEFILE = '''objects = $(patsubst %.c,%.o,$(sort $(wildcard *.c)))
libparts.a: $(objects)
\tar rc $@ $^
%.o: %.c
\t$(CC) -O2 -MMD -c -o $@ $<
'''


def make_archive(path, files):
    """Its members say which they are: no two are alike."""
    with tarfile.open(path, 'w') as tar:
        for number in range(files):
            member = tarfile.TarInfo(f'd{number * FOLDERS // files}/f{number}')     # folder by folder, as tar does
            member.size = SIZE
            tar.addfile(member, io.BytesIO(b'%0*d\n' % (SIZE - 1, number)))


def make_sources(folder, files):
    os.mkdir(folder)
    for number in range(files):
        with open(os.path.join(folder, f'part{number}.c'), 'w', encoding='ascii') as file:
            file.write(SOURCE.format(number=number))
    with open(os.path.join(folder, 'Makefile'), 'w', encoding='ascii') as file:
        file.write(MAKEFILE)


def timed(*command, good=(0,)):
    """(seconds, CPU seconds of it and its children)."""
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        taken = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in good:
        raise subprocess.CalledProcessError(process.returncode, command)
    return taken, usage.ru_utime + usage.ru_stime


def cpu(watcher):
    """CPU seconds of the processes that watch, until now."""
    ticks = 0
    for pid in watcher.everybody() if isinstance(watcher, Ours) else watcher.pids() if watcher else []:
        with open(f'/proc/{pid}/stat', 'rb') as file:
            ticks += sum(map(int, file.read().rpartition(b')')[2].split()[11:13]))
    return ticks / os.sysconf('SC_CLK_TCK')


def rest(watcher):
    """Until who watches has nothing left to do."""
    if isinstance(watcher, Ours):
        watcher.settle()
    elif watcher:
        watcher.seen(None)


def once(watcher_class, archive, sources):
    """{work: (seconds, CPU seconds)}, {work: CPU seconds of who watches until it was at rest again}."""
    times, costs = {}, {}
    with disk.fresh() as top, contextlib.ExitStack() as stack:
        for name in ('tar', 'build'):
            os.mkdir(os.path.join(top, name))
        watcher = stack.enter_context(watcher_class(top)) if watcher_class else None

        def work(name, *command, **options):
            rest(watcher)
            before = cpu(watcher)
            times[name] = timed(*command, **options)
            rest(watcher)
            costs[name] = cpu(watcher) - before

        tree = os.path.join(top, 'tar')
        work('tar x', 'tar', 'xf', archive, '-C', tree)
        timed('grep', '-r', 'nothing has this', tree, good=(1,))
        work('grep -r', 'grep', '-r', 'nothing has this', tree, good=(1,))
        if sources:
            make_sources(os.path.join(top, 'build', 'tree'), sources)
            work('build', 'make', '-s', f'-j{os.cpu_count()}', '-C', os.path.join(top, 'build', 'tree'))
    return times, costs


def b9(files, sources, runs):
    line(f'B9  slow-down of those who work: tar x of {files} files of {SIZE} bytes, grep -r in them, make '
         f'-j{os.cpu_count()} of {sources} C files; {runs} interleaved runs, on {disk.describe()}')
    builds = all(map(shutil.which, ('make', 'cc', 'ar')))
    watchers = [None, Ours, *filter(installed, [Inotifywait])]
    results = {watcher: [] for watcher in watchers}
    with disk.fresh() as folder:
        archive = os.path.join(folder, 'archive.tar')
        make_archive(archive, files)
        for number in range(runs):
            for place in range(len(watchers)):          # each is first, second and last in turn
                watcher = watchers[(place + number) % len(watchers)]
                results[watcher].append(once(watcher, archive, sources if builds else 0))
    for name in ('tar x', 'grep -r', 'build') if builds else ('tar x', 'grep -r'):
        base, work = (median([times[name][what] for times, _ in results[None]]) for what in (0, 1))
        row(f'{name}, nobody watches', seconds(base), 's', f'CPU {work:.3f} s')
        for watcher in watchers[1:]:
            taken, mine = (median([times[name][what] for times, _ in results[watcher]]) for what in (0, 1))
            cost = median([costs[name] for _, costs in results[watcher]])
            row(f'  {watcher.name}', seconds(taken), 's', f'{taken / base:.3f} x; CPU of the work {mine / work:.3f} x, '
                f'of who watches {cost:.2f} s')
    if not builds:
        skipped('build', 'make, cc or ar is not installed')
    if not installed(Inotifywait):
        skipped(Inotifywait.name, 'it is not installed')
    line()
