# SPDX-License-Identifier: LGPL-2.1-or-later
"""B5, events are stored, against plain SQLite inserts of the same rows; B6, questions to a store of so many events."""

import os
import sqlite3
import subprocess
import tempfile

import harness
from link import median
from report import line, milli, row

EVENTS = int(os.environ.get('EVENTS', '0'))     # of one run, beside that of 100000; 0: as --quick says
WORST = bool(os.environ.get('WORST'))           # say what the answers with most work were about


def record(how, folder, events, until=()):
    """[(events, seconds, seconds of a processor, bytes of the database)], from the start."""
    done = subprocess.run([harness.program('tests/bench/record'), how, folder, str(events), *until], check=True,
                          stdout=subprocess.PIPE)
    return [tuple(float(word) for word in text.split()) for text in done.stdout.decode().splitlines()]


def work(marks):
    """Of the last stretch: seconds, and seconds of a processor, an event."""
    last = marks[-1]
    first = [mark for mark in marks if mark[0] < last[0] - 1000][-1]
    return [(last[i] - first[i]) / (last[0] - first[0]) for i in (1, 2)]


def room(events, *until):
    """Events, files, and {table: bytes of it and its indexes}."""
    with tempfile.TemporaryDirectory(prefix='scitrace-bench-') as top:
        record('ours', os.path.join(top, 's'), events, until)
        db = sqlite3.connect(os.path.join(top, 's', 'scitrace.db'))
        tables = dict(db.execute('SELECT s.tbl_name, sum(d.pgsize) FROM dbstat AS d JOIN sqlite_schema AS s ON s.name ='
                                 ' d.name GROUP BY 1'))
        files = db.execute('SELECT count(*) FROM node JOIN attr ON attr.id = node.attr WHERE type = 1').fetchone()[0]
        seq = db.execute('SELECT max(seq) FROM event').fetchone()[0]
        db.close()
    return seq, files, tables


def rooms(events):
    """Bytes of a file that is only seen, its directories' share included; and of an event of people's work: its row,
    and its share of what the log needs to be found and proved, but for what a new node, name or content takes."""
    log = ('event', 'batch', 'tile_head', 'tile_tail', 'trail', 'span')
    _, files, looked = room(events, 'look')
    seq, _, before = room(events, 'read')
    last, _, after = room(events)
    return sum(looked.values()) / files, sum(after[name] - before[name] for name in log) / (last - seq)


def b5(quick, runs):
    sizes = [2000] if quick else sorted({100000, EVENTS}) if EVENTS else [100000, 1000000, 10000000]
    least = None
    for events in sizes:
        ours, plain, indexed = [], [], []
        for _ in range(runs if events < 10**7 else 1):
            with tempfile.TemporaryDirectory(prefix='scitrace-bench-') as top:
                plain.append(record('plain', os.path.join(top, 'plain'), events))
                indexed.append(record('indexed', os.path.join(top, 'indexed'), events))
                ours.append(record('ours', os.path.join(top, 'ours'), events))
        line(f'B5  {events} events are stored, 1000 a transaction, durable; {len(ours)} interleaved runs')
        times = [median([marks[-1][1] for marks in kind]) for kind in (ours, plain, indexed)]
        costs = [median([work(marks)[1] for marks in kind]) for kind in (ours, plain, indexed)]
        least = least or costs[0]
        row('plain SQLite inserts of the same rows', f'{events / times[1]:.0f}', 'a s')
        row('the same, and an index by which a digest is found', f'{events / times[2]:.0f}', 'a s')
        row('scitrace', f'{events / times[0]:.0f}', 'a s',
            f'{times[1] / times[0]:.2f} x plain, {times[2] / times[0]:.2f} x with the index')
        row('scitrace, at the end: processor time of an event', f'{1e6 * costs[0]:.1f}', 'us',
            f'{costs[0] / least:.2f} x that at {sizes[0]}; plain {1e6 * costs[1]:.1f}, with the index {1e6 * costs[2]:.1f}')
        row('scitrace: all of the database', f'{ours[0][-1][3] / ours[0][-1][0]:.0f}', 'B/event',
            f'plain {plain[0][-1][3] / plain[0][-1][0]:.0f}, without seals and the present state')
        if events < 10**7:
            seen, live = rooms(events)
            row('scitrace: a file of a first look', f'{seen:.0f}', 'B', 'only seen; with its share of directories')
            row('scitrace: an event of work', f'{live:.0f}', 'B', 'without what a new node, name or content takes')
        line()


def b6(quick, runs):
    events, count = (2000, 5) if quick else (EVENTS or 10**7, 300)
    with tempfile.TemporaryDirectory(prefix='scitrace-bench-') as top:
        record('ours', os.path.join(top, 's'), events)
        ask = [harness.program('tests/bench/ask')]
        database = os.path.join(top, 's', 'scitrace.db')
        line(f'B6  questions to a store of {events} events, up to {count} times each (p99; goal 5 ms)')
        done = subprocess.run(ask + [database, str(count)], check=True, stdout=subprocess.PIPE)
        for text in done.stdout.decode().splitlines():
            name, p50, p99, worst, _, late, _, pages, steps, subject = text.split('\t')
            row(name, milli(float(p99) / 1e6), 'ms',
                f'p50 {milli(float(p50) / 1e6)}, worst {milli(float(worst) / 1e6)}; {pages} pages when cold, {steps}k steps' +
                (f', {late} given up after 2 s' if int(late) else ''))
            if WORST and subject:
                line(f'    most steps: {subject}')
        done = subprocess.run(ask + ['verify', database], check=True, stdout=subprocess.PIPE)
        checked, seconds, _ = done.stdout.split()
        row('verify, one thread', f'{float(checked) / float(seconds):.0f}', 'a s')
        line()
