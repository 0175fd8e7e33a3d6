# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing is lost in silence: the name operations that were made (create, link, rename, unlink) are as many as the
events count. Writers keep to folders that exist from the start: what comes and goes within a folder that is itself
only milliseconds old, the kernel tells nobody."""

import contextlib
import os
import random
import sys

import harness
from harness import check, diag, equal

OPERATIONS = 1500
WRITERS = 3


def work(root, seed):
    """Only names of its own, so that each operation that is made succeeds. Returns how many there were."""
    dice = random.Random(seed)
    folders = sorted(entry.path for entry in os.scandir(root))
    mine, made, total = [], 0, 0
    for _ in range(OPERATIONS):
        fresh = os.path.join(dice.choice(folders), f'{seed}-{made}'.replace(':', '-'))
        made += 1
        what = dice.randrange(9) if mine else 0
        path = dice.choice(mine) if mine else None
        if what <= 2:
            with open(fresh, 'xb') as file:
                file.write(b'x' * dice.randrange(100))
            mine.append(fresh)
        elif what == 3:
            os.symlink('nowhere', fresh)
            mine.append(fresh)
        elif what == 4:
            os.rename(path, fresh)
            mine[mine.index(path)] = fresh
        elif what == 5 and len(mine) > 1:
            over = dice.choice([name for name in mine if name != path])
            os.rename(path, over)
            if not os.path.lexists(path):
                mine.remove(path)
            else:       # two names of one node: rename does nothing
                total -= 1
        elif what == 6:
            os.link(path, fresh, follow_symlinks=False)
            mine.append(fresh)
        elif what == 7:
            os.unlink(path)
            mine.remove(path)
        else:
            with contextlib.suppress(OSError):
                # What is written through one of several names that goes at once, the kernel tells of no other.
                if not os.path.islink(path) and os.stat(path).st_nlink == 1:
                    with open(path, 'ab') as file:
                        file.write(b'more')
            total -= 1
        total += 1
    return total


def writers(root, seed):
    pipes = []
    for number in range(WRITERS):
        reader, writer = os.pipe()
        sys.stdout.flush()
        if os.fork() == 0:
            try:
                os.write(writer, str(work(root, f'{seed}:{number}')).encode())
            finally:
                os._exit(0)
        os.close(writer)
        pipes.append(reader)
    totals = [os.read(reader, 100) for reader in pipes]
    for reader in pipes:
        os.wait()
        os.close(reader)
    check(all(totals), 'a writer broke')
    return sum(int(total) for total in totals)


def operations_made_are_operations_counted():
    seed = os.environ.get('SEED') or str(random.SystemRandom().randrange(1 << 32))
    diag(f'repeat with SEED={seed}')
    with harness.Daemon() as daemon:
        tree = os.path.join(daemon.top, 'tree')
        for number in range(6):
            os.makedirs(os.path.join(tree, f'd{number}'))
        daemon.add(tree, 't')
        daemon.at_rest('t', tree)
        before = daemon.newest()
        made = writers(tree, seed)
        equal(daemon.at_rest('t', tree)['overflows'], 0, 'overflows')
        rows = daemon.events(before)
        counted = sum(row['count'] for row in rows)
        by_kind = {kind: sum(row['count'] for row in rows if row['kind'] == kind)
                   for kind in sorted({row['kind'] for row in rows})}
        diag(f'{made} operations, {len(rows)} events; counts by kind: {by_kind}')
        equal(counted, made, 'the sum of the counts')


harness.run([operations_made_are_operations_counted])
