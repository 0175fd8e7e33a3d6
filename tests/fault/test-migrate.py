#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A store of each older form is brought to ours, and killed at each write on the way it is old or new. Speaks TAP."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile

BUILD = os.environ.get('SCITRACE_BUILD') or os.getcwd()
SOURCE = os.environ.get('SCITRACE_SOURCE', os.path.join(os.path.dirname(__file__), '..', '..'))
OLD = {1: 'store-form-1.sql'}
NEWEST = 2
count = 0
failed = False


def ok(good, name, why=''):
    global count, failed
    count += 1
    failed |= not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)
    if not good:
        print('# ' + str(why).replace('\n', '\n# '), flush=True)


def make_old(form, path):
    db = sqlite3.connect(path)
    db.execute('PRAGMA page_size = 8192')
    db.execute('PRAGMA auto_vacuum = INCREMENTAL')
    with open(os.path.join(SOURCE, 'tests', 'data', OLD[form]), encoding='ascii') as file:
        db.executescript(file.read())
    db.close()


def open_store(folder, at=0, how='kill', count_to=None):
    env = dict(os.environ, FAULT_DIR=folder, FAULT_AT=str(at), FAULT_HOW=how,
               LD_PRELOAD=os.path.join(BUILD, 'tests/fault/shim.so'),
               ASAN_OPTIONS='verify_asan_link_order=0:detect_leaks=0')
    if count_to:
        env['FAULT_COUNT'] = count_to
    return subprocess.run([os.path.join(BUILD, 'tests/fault/open-store'), folder], env=env, capture_output=True,
                          check=False, timeout=120)


def signed(n):
    n %= 1 << 64
    return n - (1 << 64) if n >> 63 else n


def unpack(rest):
    """replaces, old_parent, process, cause, gap and old_name."""
    numbers, at = [None] * 5, 1
    if rest is None:
        return numbers + [None]
    for i in range(5):
        shift = 0
        while rest[0] >> i & 1:
            numbers[i] = (numbers[i] or 0) | (rest[at] & 127) << shift
            shift += 7
            at += 1
            if rest[at - 1] < 128:
                break
    return numbers + [rest[at:] if rest[0] & 32 else None]


def events(db):
    """The rows that form 1 has, as docs/FORMATS.md says."""
    if db.execute('PRAGMA user_version').fetchone()[0] == 1:
        return db.execute('SELECT * FROM event ORDER BY seq').fetchall()
    rows = []
    for (seq, ago, span, dataset, what, node, parent, name, inode, lived, attr, size, age, content, target, rest, detail,
         time) in db.execute('SELECT e.seq, ago, span, dataset, what, node, parent, name, inode, lived, attr, size, age,'
                             ' content, target, rest, detail, (SELECT b.time FROM batch AS b WHERE b.first_seq <= e.seq'
                             ' ORDER BY b.first_seq DESC LIMIT 1) FROM event AS e ORDER BY seq'):
        replaces, old_parent, process, cause, gap, old_name = unpack(rest)
        mtime = 0 if age is None else 1000 * (time - ago) - age
        btime = None if inode is None else signed(mtime - lived)
        rows.append((seq, ago, span, dataset, what & 63, what >> 6 & 7, what >> 11, node, parent, name, inode, btime, attr,
                     size, age, content, what >> 9 & 3 or None, replaces, old_parent, old_name, target, process, cause,
                     gap, detail))
    return rows


def look(path):
    """The form, and the events but for keys; the database must be whole."""
    db = sqlite3.connect(path)
    try:
        form = db.execute('PRAGMA user_version').fetchone()[0]
        whole = db.execute('PRAGMA integrity_check').fetchone()[0]
        tiles = db.execute("SELECT count(*) FROM sqlite_schema WHERE name IN ('tile_head', 'checkpoint')").fetchone()[0]
        rows = [row for row in events(db) if row[4] != 21]
        return form, whole == 'ok' and tiles == (2 if form >= 2 else 0), rows
    finally:
        db.close()


def verify(folder):
    return subprocess.run([os.path.join(BUILD, 'scitracectl'), 'verify', folder, '-U', '@1800000000'],
                          capture_output=True, check=False, timeout=120)


def one_form(form, top):
    template = os.path.join(top, f'form-{form}')
    make_old(form, template)
    before = look(template)[2]

    def fresh(name):
        folder = os.path.join(top, name)
        os.mkdir(folder, 0o700)
        shutil.copy(template, os.path.join(folder, 'scitrace.db'))
        return folder

    folder = fresh(f'whole-{form}')
    total = os.path.join(top, 'count')
    done = open_store(folder, count_to=total)
    ok(done.returncode == 0 and done.stdout.split()[0] == str(form).encode(), f'a store of form {form} is opened',
       done.stderr.decode())
    ok(look(os.path.join(folder, 'scitrace.db')) == (NEWEST, True, before), 'it is of our form, with the same events')
    kept = os.path.join(folder, f'scitrace.db-form-{form}')
    ok(os.path.exists(kept) and look(kept) == (form, True, before), 'what it was lies beside it')
    said = verify(folder)
    ok(said.returncode == 0, 'it is sealed from its first event on, and verifies', said.stdout + said.stderr)
    with open(total, encoding='ascii') as file:
        changes = int(file.read())
    ok(changes > 20, f'it took {changes} changes to files')

    for how, step in (('kill', 1), ('torn', 4), ('28', 5), ('5+', 5)):
        wrong = []
        for at in range(1, changes + 1, step):
            folder = fresh('x')
            done = open_store(folder, at, how)
            if how in ('kill', 'torn') and done.returncode not in (-signal.SIGKILL, 0):
                wrong.append((at, done.returncode, done.stderr.decode()))
            now, whole, rows = look(os.path.join(folder, 'scitrace.db'))
            if now not in (form, NEWEST) or not whole or rows != before:
                wrong.append((at, now, whole, len(rows)))
            done = open_store(folder)
            if done.returncode != 0 or look(os.path.join(folder, 'scitrace.db')) != (NEWEST, True, before):
                wrong.append((at, 'afterwards', done.returncode, done.stderr.decode()))
            shutil.rmtree(folder)
        ok(not wrong, f'{how} at {"each" if step == 1 else "many"} of them: it is old or new, and the next start ends the work', wrong[:5])


def refuses_without_room(top):
    """Where the folder's file system has no room for the copy, nothing is touched."""
    mounted = os.path.join(top, 'small')
    os.mkdir(mounted)
    script = (f'mount -t tmpfs -o size=600k,mode=0700 none {mounted} && cp {top}/form-1 {mounted}/scitrace.db && '
              f'chmod 600 {mounted}/scitrace.db && {BUILD}/tests/fault/open-store {mounted}; echo $?; ls {mounted}')
    done = subprocess.run(['unshare', '-Urm', 'sh', '-c', script], capture_output=True, check=False, timeout=120)
    name = 'without the room for a copy an old store is refused, and left as it is'
    if b'open-store' not in done.stderr:
        print(f'ok {count + 1} - {name} # SKIP no tmpfs can be mounted here')
        return 1
    ok(done.stdout.split() == [b'1', b'scitrace.db'] or b'scitrace.db-form-1' not in done.stdout, name, done)
    return 0


def refuses_newer(top):
    """The daemon ends with a word, and not one byte is another."""
    folder = os.path.join(top, 'newer')
    path = os.path.join(folder, 'scitrace.db')
    os.mkdir(folder, 0o700)
    make_old(1, path)
    db = sqlite3.connect(path)
    db.execute(f'PRAGMA user_version = {NEWEST + 1}')
    db.close()
    with open(path, 'rb') as file:
        before = file.read()
    done = subprocess.run([os.path.join(BUILD, 'scitraced'), '--user', '--state', folder], capture_output=True,
                          stdin=subprocess.DEVNULL, check=False, timeout=120)
    ok(done.returncode == 1 and b'made by a newer scitrace' in done.stderr, 'a store of a newer form is refused', done)
    with open(path, 'rb') as file:
        after = file.read()
    left = [name for name in os.listdir(folder) if name.startswith('scitrace.db')]
    ok(after == before and left == ['scitrace.db'], 'and left as it is', left)


def main():
    memory = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None     # a thousand stores, each synced
    with tempfile.TemporaryDirectory(prefix='scitrace-migrate-', dir=memory) as top:
        for form in OLD:
            one_form(form, top)
        refuses_newer(top)
        extra = refuses_without_room(top)
    print(f'1..{count + extra}')
    return 1 if failed else 0


sys.exit(main())
