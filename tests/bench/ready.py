# SPDX-License-Identifier: LGPL-2.1-or-later
"""B1: a tree is ready: watched all over, then recorded, warm and cold, against watchman and the floors of both."""

import os
import subprocess
import time

import harness
from link import Refused, Watchman, ask_watchman, median, memory, open_link
from peers import watchman_is_there
from report import line, mebi, row, seconds, skipped

LIMIT = 300
CACHES = '/proc/sys/vm/drop_caches'


def nothing():
    """Before a warm run."""


def drop_caches():
    """Nothing of any file is in memory then."""
    os.sync()
    with open(CACHES, 'w', encoding='ascii') as file:
        file.write('3')


def floor_once(tree, *what):
    out = subprocess.run([harness.program('tests/bench/floor'), tree, *what], check=True, stdout=subprocess.PIPE).stdout
    return int(out.split()[0]) / 1e6


def watchman_once(tree, before=nothing):
    """Watch and first query: it knows every name and stat, in memory."""
    with Watchman() as watchman, watchman.link() as link:
        before()
        began = time.monotonic()
        ask_watchman(link, 'watch', tree)
        ask_watchman(link, 'query', tree, {'expression': ['name', 'none'], 'fields': ['name']})
        taken = time.monotonic() - began
        return taken, memory([watchman.process.pid])


def newest(link):
    rows = list(link.call('Record.Events', {'reverse': True, 'limit': 1}, more=True))
    return rows[0]['event']['seq'] if rows and 'event' in rows[0] else 0


def watches(link):
    """How many directories are watched, as far as scitraced has heard: first of all, once none is missing."""
    return link.one('Service.Describe')['watches']


def wait_until(link, number, wanted, began, pause):
    """Seconds from the start until number(link) is as much as wanted."""
    while number(link) < wanted:
        if time.monotonic() - began > LIMIT:
            raise Refused(f'{number.__name__} is not {wanted} within {LIMIT} s')
        time.sleep(pause)
    return time.monotonic() - began


def ours_once(tree, names, before=nothing):
    """From `scitracectl add` until every name is recorded and durable; until all digests are known too; memory."""
    with harness.Daemon() as daemon, open_link(daemon) as link:
        before()
        began = time.monotonic()
        daemon.add(tree)
        recorded = wait_until(link, newest, names, began, 0.01)
        daemon.settle()
        settled = time.monotonic() - began
        return recorded, settled, memory([daemon.process.pid, *daemon.watchers()])


def armed_once(tree, directories):
    """Until no directory is without a watch any more, the tree's own not either."""
    with harness.Daemon() as daemon, open_link(daemon) as link:
        began = time.monotonic()
        daemon.add(tree)
        taken = wait_until(link, watches, directories + 1, began, 0.002)
        daemon.settle()
        return taken


def warm(tree, directories, files, runs):
    floor, listing, peer, ours, armed = [], [], [], [], []
    floor_once(tree)            # warms the caches
    for _ in range(runs):
        floor.append(floor_once(tree))
        listing.append(floor_once(tree, 'list'))
        armed.append(armed_once(tree, directories))
        if watchman_is_there():
            peer.append(watchman_once(tree))
        ours.append(ours_once(tree, directories + files))
    base, recorded = median(floor), median([run[0] for run in ours])
    row('floor: list + statx + inotify_add_watch', seconds(base), 's')
    row('floor of watching: list + inotify_add_watch', seconds(median(listing)), 's')
    if peer:
        other = median([run[0] for run in peer])
        row('watchman: watch + first query, in memory', seconds(other), 's', f'{other / base:.2f} x floor')
    row('scitrace: armed, no directory is without a watch', seconds(median(armed)), 's',
        f'{median(armed) / median(listing):.2f} x floor of watching')
    row('scitrace: every name recorded, durable', seconds(recorded), 's', f'{recorded / base:.2f} x floor' +
        (f', {recorded / other:.2f} x watchman' if peer else ''))
    row('scitrace: settled, every digest learned', seconds(median([run[1] for run in ours])), 's')
    row('scitrace: memory then, before it rests (PSS)', mebi(median([run[2] for run in ours])), 'MiB',
        f'watchman {mebi(median([run[1] for run in peer]))}' if peer else '')
    if not peer:
        skipped('watchman', 'it is not installed')


def cold(tree, directories, files, runs, before):
    name = 'scitrace, cold: every name recorded, durable'
    if not os.access(CACHES, os.W_OK):
        skipped(name, 'who is not root cannot empty the caches')
        return
    peer, ours = [], []
    for _ in range(runs):
        if watchman_is_there():
            peer.append(watchman_once(tree, before)[0])
        ours.append(ours_once(tree, directories + files, before)[0])
    if peer:
        row('watchman, cold: watch + first query, in memory', seconds(median(peer)), 's')
    row(name, seconds(median(ours)), 's', f'{median(ours) / median(peer):.2f} x watchman' if peer else '')


def b1(tree, directories, files, runs, quick):
    line(f'B1  ready on a tree: {directories} directories, {files} files of 100 bytes, warm, then cold; '
         f'{runs} interleaved runs')
    warm(tree, directories, files, runs)
    cold(tree, directories, files, runs, nothing if quick else drop_caches)     # others would have to read again
    line()
