#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Speed and memory that no change may lose. Only of a build without sanitizers: SCITRACE_PLAIN_BUILD, else
SCITRACE_BUILD; `make check-gates` runs it."""

import contextlib
import os
import socket
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'bench')]
if os.environ.get('SCITRACE_PLAIN_BUILD'):
    os.environ['SCITRACE_BUILD'] = os.environ['SCITRACE_PLAIN_BUILD']

import harness  # noqa: E402
from link import is_sanitized, make_tree, median, memory, open_link, quantile  # noqa: E402

PINGS, ROUNDS, PING_P99 = 2000, 5, 0.001        # seconds
DIRECTORIES, FILES, MEMORY = 10000, 100000, 40 * 2**20


def plain():
    harness.program('scitraced')
    if is_sanitized(harness.BUILD):
        harness.skip('this build carries a sanitizer; SCITRACE_PLAIN_BUILD names one without')


def ping(link):
    began = time.perf_counter()
    link.one('Service.Ping')
    return time.perf_counter() - began


@contextlib.contextmanager
def echo():
    """A process that answers each byte: what the machine itself makes of a round trip just now."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        while byte := theirs.recv(1):
            theirs.sendall(byte)
        os._exit(0)
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        os.waitpid(pid, 0)


def round_trip(peer):
    began = time.perf_counter()
    peer.sendall(b'x')
    peer.recv(1)
    return time.perf_counter() - began


def the_p99_of_a_ping_is_at_most_a_millisecond():
    plain()
    pings, echoes = [], []
    with harness.Daemon() as daemon, open_link(daemon) as link, echo() as peer:
        for _ in range(ROUNDS):
            pings.append(quantile([ping(link) for _ in range(PINGS)], 0.99))
            echoes.append(quantile([round_trip(peer) for _ in range(PINGS)], 0.99))
    for name, values in (('Ping', pings), ('echo', echoes)):
        harness.diag(f'{name}, p99 of each round, ms: ' + ' '.join(f'{1000 * value:.3f}' for value in values))
    if median(pings) > PING_P99 and median(echoes) > PING_P99 / 2:
        harness.skip(f'the machine is too busy: between two other processes p99 is {1000 * median(echoes):.3f} ms')
    harness.check(median(pings) <= PING_P99, f'p99 is {1000 * median(pings):.3f} ms')


def a_hundred_thousand_files_take_at_most_forty_mebibytes():
    plain()
    harness.LIMIT = 600         # on a busy machine; this is about memory
    memory_disk = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None         # only making the tree is faster there
    with tempfile.TemporaryDirectory(prefix='scitrace-gate-', dir=memory_disk) as tree, harness.Daemon() as daemon:
        make_tree(tree, DIRECTORIES, FILES)
        daemon.add(tree, 'tree')
        daemon.settle('tree')
        status = daemon.status()
        harness.equal(status['pending'], 0, 'pending')
        harness.check(status['events'] >= DIRECTORIES + FILES, f'only {status["events"]} events')
        time.sleep(2)           # at rest
        processes = {'scitraced': memory([daemon.process.pid]), 'scitrace-watch': memory(daemon.watchers())}
    harness.diag(', '.join(f'{name} {size / 2**20:.1f} MiB' for name, size in processes.items()))
    total = sum(processes.values())
    harness.check(total <= MEMORY, f'they have {total / 2**20:.1f} MiB')


harness.run([the_p99_of_a_ping_is_at_most_a_millisecond, a_hundred_thousand_files_take_at_most_forty_mebibytes])
