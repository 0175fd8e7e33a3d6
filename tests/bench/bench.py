#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmarks: ours, the peers and the floor side by side, interleaved in one run, medians, and ratios of them.
`make bench` calls it; --quick is a moment of each, so that it does not rot. SCITRACE_BUILD: the build tree (without
sanitizers, else the figures say nothing). Here are B3 (a change is visible) and B7 (an answer is there); B1 is in
ready.py, B2 in storms.py, B4 in digests.py, B5 and B6 in storing.py, B9 in slowdown.py, B10 in memories.py."""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'system')]

import disk  # noqa: E402
import harness  # noqa: E402
from digests import b4  # noqa: E402
from link import Refused, Watchman, ask_watchman, is_sanitized, make_tree, median, open_link, quantile  # noqa: E402
from memories import b10  # noqa: E402
from peers import watchman_is_there  # noqa: E402
from ready import b1  # noqa: E402
from report import line, machine, milli, row  # noqa: E402
from slowdown import b9  # noqa: E402
from storing import b5, b6  # noqa: E402
from storms import b2  # noqa: E402

SETTLE = 0.25                   # seconds: the policy's default, which the daemon here runs with


# B3

def write_closed(path):
    """Writes a file: the time when it was closed, and its mtime."""
    with open(path, 'wb') as file:
        file.write(os.urandom(100))
    closed = time.monotonic()
    return closed, os.stat(path).st_mtime_ns


def fsync_time(folder):
    """What one durable write costs there, without us."""
    times = []
    fd, path = tempfile.mkstemp(dir=folder)
    for _ in range(50):
        os.write(fd, b'x' * 4096)
        began = time.monotonic()
        os.fdatasync(fd)
        times.append(time.monotonic() - began)
    os.close(fd)
    os.unlink(path)
    return median(times)


def follow(link):
    """New events from now on."""
    last = list(link.call('Record.Events', {'reverse': True, 'limit': 1}, more=True))
    return link.call('Record.Events', {'after': last[0]['event']['seq'], 'follow': True}, more=True)


def ours_visible(folder, link, count):
    """Close of a written file until its row, digest and all, arrives in a follow stream. One after the other."""
    stream = follow(link)
    times = []
    for number in range(count):
        name = f'n{number % 10}'
        closed, mtime = write_closed(os.path.join(folder, name))
        while True:
            event = next(stream)['event']
            if event.get('path') == name and event.get('mtimeNsec') == mtime and event.get('digest'):
                break
        times.append(time.monotonic() - closed)
    return times


def write_steadily(folder, rate, count):
    """In a process of its own: `count` new files, `rate` a second. Gives a function that waits for its end and returns
    {name: when it was closed}."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        closed, began = {}, time.monotonic()
        for number in range(count):
            ahead = began + number / rate - time.monotonic()
            if ahead > 0.001:
                time.sleep(ahead)
            closed[f'l{number}'] = write_closed(os.path.join(folder, f'l{number}'))[0]
        with os.fdopen(writer, 'w') as file:
            json.dump(closed, file)
        os._exit(0)
    os.close(writer)

    def times():
        with os.fdopen(reader) as file:
            closed = json.load(file)
        os.waitpid(pid, 0)
        return closed
    return times


def ours_loaded(folder, link, rate, count):
    """The same at `rate` new files a second."""
    stream = follow(link)
    closed, seen = write_steadily(folder, rate, count), {}
    while len(seen) < count:
        event = next(stream)['event']
        if event['path'] and event['path'].startswith('l') and event.get('digest'):
            seen.setdefault(event['path'], time.monotonic())
    closed = closed()
    return [seen[name] - closed[name] for name in seen], count / (max(closed.values()) - min(closed.values()))


def watchman_visible(folder, watchman, count):
    times = []
    with watchman.link() as link:
        ask_watchman(link, 'watch', folder)
        ask_watchman(link, 'subscribe', folder, 'bench', {'fields': ['name']})
        time.sleep(0.2)         # its first notice, of all that is there
        for number in range(count):
            name = f'n{number % 10}'
            closed, _ = write_closed(os.path.join(folder, name))
            while True:
                reply = link.receive()
                if any(name in (entry, isinstance(entry, dict) and entry.get('name'))
                       for entry in reply.get('files', [])):
                    break
            times.append(time.monotonic() - closed)
            time.sleep(0.005)
        ask_watchman(link, 'watch-del', folder)
    return times


def b3(runs, count):
    line(f'B3  a write is closed until it is visible, idle; {runs} interleaved runs of {count}')
    ours, peer, syncs = [], [], []
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(harness.Daemon())
        watched, other = (tempfile.mkdtemp(prefix='scitrace-bench-', dir=daemon.top) for _ in range(2))
        daemon.add(watched, 'bench')
        daemon.settle()
        watchman = stack.enter_context(Watchman()) if watchman_is_there() else None
        for _ in range(runs):
            with open_link(daemon) as link:
                ours += ours_visible(watched, link, count)
            if watchman:
                peer += watchman_visible(other, watchman, count)
            syncs.append(fsync_time(daemon.state))
        loaded = tempfile.mkdtemp(prefix='scitrace-bench-', dir=daemon.top)
        daemon.add(loaded, 'loaded')
        daemon.settle()
        with open_link(daemon) as link:
            busy, rate = ours_loaded(loaded, link, 5000, 250 * count)
    sync = median(syncs)
    ours = [taken - SETTLE for taken in ours]
    row('one fdatasync of 4 KiB beside the store', milli(sync), 'ms')
    row(f'scitrace follow stream, less the settle time of {SETTLE:.2f} s: p50', milli(quantile(ours, 0.5)), 'ms')
    row('  p99', milli(quantile(ours, 0.99)), 'ms', f'less one fdatasync: {milli(quantile(ours, 0.99) - sync)}')
    busy = [taken - SETTLE for taken in busy]
    row(f'  at {rate:.0f} new files a second: p50', milli(quantile(busy, 0.5)), 'ms')
    row('  p99', milli(quantile(busy, 0.99)), 'ms')
    if peer:
        row('watchman subscription, its settle time of 20 ms included: p50', milli(quantile(peer, 0.5)), 'ms')
        row('  p99', milli(quantile(peer, 0.99)), 'ms')
    else:
        row('watchman', '-', '', 'skipped: it is not installed')
    line()


# B7

def round_trips(ask, count):
    times = []
    for _ in range(count):
        began = time.perf_counter()
        ask()
        times.append(time.perf_counter() - began)
    return times


def whole_process(command, env=None):
    began = time.perf_counter()
    subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   check=True)
    return time.perf_counter() - began


def systemctl_reason():
    if not shutil.which('systemctl'):
        return 'it is not installed'
    if not os.path.isdir('/run/systemd/system'):
        return 'no systemd runs here'
    return None


def b7(tree, names, runs, count):
    line(f'B7  an answer; {runs} interleaved runs of {count} (whole processes: {max(1, count // 100)})')
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(harness.Daemon())
        daemon.add(tree, 'tree')
        daemon.settle()
        link = stack.enter_context(open_link(daemon))
        watchman = stack.enter_context(Watchman()) if watchman_is_there() else None
        their = stack.enter_context(watchman.link()) if watchman else None
        commands = {'scitracectl status': ([harness.program('scitracectl'), '--state', daemon.state, 'status'],
                                           daemon.env)}
        if watchman:
            commands['watchman get-sockname'] = (['watchman', f'--sockname={watchman.path}', '--no-spawn',
                                                  'get-sockname'], None)
        if not systemctl_reason():
            commands['systemctl show'] = (['systemctl', 'show'], None)
        commands['true (the floor of a process)'] = (['true'], None)

        pings, theirs, rates, wholes = [], [], [], {name: [] for name in commands}
        for _ in range(runs):
            pings += round_trips(lambda: link.one('Service.Ping'), count)
            if their:
                theirs += round_trips(lambda: ask_watchman(their, 'version'), count)
            for _ in range(max(1, count // 100)):
                for name, (command, env) in commands.items():
                    wholes[name].append(whole_process(command, env))
            began = time.perf_counter()
            rows = link.count('Record.Files', {'dataset': 'tree'})
            rates.append(rows / (time.perf_counter() - began))
            harness.equal(rows, names, 'rows streamed')
    row('scitrace Ping, round trip on the raw socket: p50', milli(quantile(pings, 0.5)), 'ms')
    row('  p99', milli(quantile(pings, 0.99)), 'ms')
    if theirs:
        row('watchman version, round trip on the raw socket: p50', milli(quantile(theirs, 0.5)), 'ms',
            f'ours {quantile(pings, 0.5) / quantile(theirs, 0.5):.2f} x')
        row('  p99', milli(quantile(theirs, 0.99)), 'ms')
    ours = median(wholes['scitracectl status'])
    for name, times in wholes.items():
        row(f'{name}, whole process: p50', milli(median(times)), 'ms', f'ours {ours / median(times):.2f} x')
    if systemctl_reason():
        row('systemctl show', '-', '', f'skipped: {systemctl_reason()}')
    if not watchman:
        row('watchman', '-', '', 'skipped: it is not installed')
    row(f'scitrace rows of files streamed ({names})', f'{median(rates):.0f}', 'rows/s')
    line()


PROGRAMS = ('scitraced', 'scitracectl', 'scitrace-watch', 'tests/bench/ask', 'tests/bench/floor',
            'tests/bench/record', 'tests/bench/storm')


@contextlib.contextmanager
def made_tree(quick):
    """Of B1 and B7."""
    directories, files = (20, 200) if quick else (10000, 100000)
    with tempfile.TemporaryDirectory(prefix='scitrace-bench-') as tree:
        make_tree(tree, directories, files)
        yield tree, directories, files


def run_b1(quick, runs):
    with made_tree(quick) as (tree, directories, files):
        b1(tree, directories, files, runs, quick)


def run_b7(quick, runs):
    with made_tree(quick) as (tree, directories, files):
        b7(tree, directories + files, runs, 100 if quick else 2000)


BENCHES = {
    'B1': run_b1,
    'B2': lambda quick, runs: b2(200 if quick else 50000, 20 if quick else 2000, runs),
    'B3': lambda quick, runs: b3(runs, 3 if quick else 40),
    'B4': b4,
    'B5': b5,
    'B6': b6,
    'B7': run_b7,
    'B9': lambda quick, runs: b9(200 if quick else 20000, 2 if quick else 40, runs),
    'B10': b10,
}


def main():
    parser = argparse.ArgumentParser(description='Benchmarks ' + ', '.join(BENCHES) + '.')
    parser.add_argument('--quick', action='store_true', help='a moment of each: proves only that it runs')
    parser.add_argument('--only', default=','.join(BENCHES), help='such as B1,B7')
    parser.add_argument('--runs', type=int, help='interleaved runs of each (5; quick 1)')
    arguments = parser.parse_args()
    wanted = arguments.only.split(',')
    if unknown := set(wanted) - set(BENCHES):
        parser.error(f'there is no {", ".join(sorted(unknown))}')
    for name in PROGRAMS:
        harness.program(name)
    line(f'machine: {machine()}')
    if is_sanitized(harness.BUILD):
        line('NOTE: this build carries a sanitizer; its figures say nothing about scitrace.')
    line()
    for name, bench in BENCHES.items():
        if name in wanted:
            bench(arguments.quick, arguments.runs or (1 if arguments.quick else 5))


if __name__ == '__main__':
    disk.enter_namespace()
    try:
        main()
    except (harness.Skip, harness.Failure, Refused) as error:
        sys.exit(f'bench: {error}')
