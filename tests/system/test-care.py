#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Care of the record's database, by a real daemon: what is said of it."""

import json
import os
import sqlite3
import subprocess
import time

import harness
from harness import check, equal, run, write


FILES = 600


class Stage:
    """A daemon with a dataset of a few hundred files."""

    def __init__(self, **options):
        self.daemon = harness.Daemon(**options)
        self.copies = 0

    def __enter__(self):
        self.daemon.__enter__()
        self.tree = os.path.join(self.daemon.top, 'tree')
        os.mkdir(self.tree)
        for i in range(FILES):
            write(os.path.join(self.tree, f'file-{i}'), b'%d' % i)
        self.daemon.add(self.tree, 'lab')
        self.daemon.at_rest('lab', self.tree)
        return self

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)

    def describe(self, *options):
        return self.daemon.ctl('store', 'describe', *options)[0]

    def care(self, what):
        return next((row for row in self.describe('--timeout', '0.001')['care'] if row['what'] == what), None)

    def backup(self):
        self.copies += 1
        path = os.path.join(self.daemon.top, f'backup-{self.copies}.db')
        self.daemon.ctl('store', 'backup', path)
        return path

    def copy(self):
        """A backup, opened."""
        return sqlite3.connect(f'file:{self.backup()}?mode=ro&immutable=1', uri=True)


def every_table_and_index_is_counted():
    with Stage() as stage:
        db = stage.copy()       # and the record is sealed: nothing more comes
        said = stage.describe()
        names = {row[0] for row in db.execute('SELECT name FROM sqlite_schema WHERE rootpage > 0')}
        trees = {tree['name']: tree for tree in said['trees']}
        equal(set(trees), names | {'sqlite_schema'}, 'tables and indexes')
        check(all(tree['whole'] for tree in trees.values()), 'each is counted to its end')
        for table in ('event', 'node', 'link', 'content', 'tile', 'attr'):
            count, = db.execute(f'SELECT count(*) FROM {table}').fetchone()
            equal(trees[table]['rows'], count, f'rows of {table}')
        equal(trees['link_node']['rows'], trees['link']['rows'], 'entries of an index')
        check(trees['link_node']['index'] and trees['link_node']['table'] == 'link', 'whose index it is')
        used = sum(tree['bytes'] for tree in trees.values())
        pages = said['bytes'] - said['freeBytes']       # of them, one in so many is a pointer map
        check(pages * 0.98 - 2 * said['pageBytes'] <= used <= pages, f'{used} of {pages} bytes are accounted for')
        equal((said['shrinks'], said['schema']), (True, 2), 'a new store')


def a_short_time_is_kept_and_said():
    with Stage() as stage:
        said = stage.describe('--timeout', '0.000001')
        check(not any(tree['whole'] for tree in said['trees']), 'nothing was counted')
        lines = stage.daemon.ctl_run('store', 'describe', '--timeout', '0.000001').stdout.decode().splitlines()
        check(any('>0' in line for line in lines), 'a number that may be larger has its mark')


def the_screen_fits_eighty_columns():
    with Stage() as stage:
        stage.daemon.env['COLUMNS'] = '80'
        done = stage.daemon.ctl_run('store', 'describe')
        equal(done.returncode, 0, 'exit code')
        lines = done.stdout.decode().splitlines()
        table = lines[lines.index('') + 1:]
        check(table[0].split()[:2] == ['TABLE', 'INDEX'], f'the table has titles: {table[0]}')
        check(all(len(line) <= 80 for line in table), 'no row of the table is wider')
        for word in ('store', 'form', 'events', 'size', 'free', 'verify', 'maintain', 'backup'):
            check(any(line.split()[:1] == [word] for line in lines), f'a line says "{word}"')


def what_was_done_last_is_remembered():
    with Stage() as stage:
        equal(stage.describe()['care'], [], 'a new store was never cared for')
        stage.copy()
        equal(stage.care('backup')['result'], 'done', 'after a backup')
        equal(stage.daemon.ctl_run('verify').returncode, 0, 'verify')
        verified = stage.care('verify')
        equal(verified['result'], 'sound', 'after verifying')
        check(verified['seq'] >= FILES and verified['timeUsec'] > 0, f'when: {verified}')
        stage.daemon.stop()
        stage.daemon.start()
        equal(stage.care('verify'), verified, 'after a restart')
        equal(stage.daemon.ctl_run('verify', stage.backup()).returncode, 0, 'what stands beside the record')


def a_record_that_is_not_sound_is_said_loudly():
    with Stage() as stage:
        equal(stage.daemon.ctl_run('verify', '--gently').returncode, 0, 'a sound one')
        stage.daemon.stop()
        db = sqlite3.connect(os.path.join(stage.daemon.state, 'scitrace.db'), isolation_level=None)
        db.execute('UPDATE event SET size = size + 1 WHERE seq = 100')
        db.close()
        stage.daemon.start()
        equal(stage.daemon.ctl_run('verify', '--gently').returncode, 3, 'exit code')
        equal(stage.care('verify')['result'], 'altered', 'what is remembered')
        with open(stage.daemon.err, 'rb') as file:
            check(b'is not sound: altered' in file.read(), 'the daemon said so')


def with_free_pages(stage, megabytes):
    """A store with so much free space within it; what made it is gone."""
    stage.daemon.stop()
    db = sqlite3.connect(os.path.join(stage.daemon.state, 'scitrace.db'), isolation_level=None)
    db.execute('CREATE TABLE junk (data BLOB)')
    db.executemany('INSERT INTO junk VALUES (zeroblob(1000000))', [()] * megabytes)
    db.execute('DROP TABLE junk')
    db.close()
    stage.daemon.start()
    stage.daemon.settle()


def maintenance_gives_free_space_back_while_recording_goes_on():
    with Stage() as stage:
        with_free_pages(stage, 40)
        before = stage.describe('--timeout', '0.001')
        check(before['freeBytes'] > 39e6, f'free space: {before["freeBytes"]}')
        job = subprocess.Popen([harness.program('scitracectl'), '--state', stage.daemon.state, 'store', 'maintain',
                                '-o', 'json'], env=stage.daemon.env, stdout=subprocess.PIPE)
        took = []
        while job.poll() is None or len(took) < 20:
            began = time.monotonic()
            write(os.path.join(stage.tree, f'new-{len(took)}'), b'x')
            stage.daemon.settle('lab')
            took.append(time.monotonic() - began)
        rows = [json.loads(line) for line in job.stdout]
        equal(job.wait(), 0, 'exit code of maintain')
        equal([row['phase'] for row in rows if row['left'] == 0], ['analyze', 'vacuum', 'checkpoint'], 'the phases')
        check(sum(row['phase'] == 'vacuum' for row in rows) > 20, 'free space is given back in slices')
        check(sorted(took)[-1] < 5, f'recording and settling took up to {max(took):.2f} s meanwhile')
        after = stage.describe()
        check(after['freeBytes'] < 1e6 and after['bytes'] < before['bytes'] - 38e6, f'afterwards: {after}')
        equal(stage.care('maintain')['result'], 'done', 'what is remembered')
        stage.daemon.at_rest('lab', stage.tree)
        equal(stage.daemon.ctl_run('verify', stage.backup()).returncode, 0, 'the record is as it was')


def maintenance_is_one_at_a_time_and_goes_on_alone():
    with Stage() as stage:
        with_free_pages(stage, 30)
        job = subprocess.Popen([harness.program('scitracectl'), '--state', stage.daemon.state, 'store', 'maintain',
                                '-o', 'json'], env=stage.daemon.env, stdout=subprocess.PIPE)
        job.stdout.readline()           # it has begun
        done = stage.daemon.ctl_run('store', 'maintain')
        equal(done.returncode, 1, 'a second one')
        check(b'under way' in done.stderr, f'it says why: {done.stderr}')
        job.kill()
        job.wait()
        job.stdout.close()
        equal(harness.wait_for(lambda: stage.care('maintain'), 'the work goes on without the client')['result'],
              'done', 'its end')


def a_store_that_cannot_shrink_says_so():
    with Stage() as stage:
        stage.daemon.stop()
        db = sqlite3.connect(os.path.join(stage.daemon.state, 'scitrace.db'), isolation_level=None)
        db.execute('PRAGMA journal_mode = DELETE')
        db.execute('PRAGMA auto_vacuum = NONE')
        db.execute('VACUUM')
        db.execute('PRAGMA journal_mode = WAL')
        db.close()
        stage.daemon.start()
        with_free_pages(stage, 2)
        equal(stage.describe()['shrinks'], False, 'it was made without it')
        equal(stage.daemon.ctl_run('store', 'maintain').returncode, 0, 'the rest is done')
        said = stage.describe()
        check(said['freeBytes'] > 1e6, 'nothing is given back')
        check(b'which stay' in stage.daemon.ctl_run('store', 'describe').stdout, 'and that is said')


if __name__ == '__main__':
    run([
        every_table_and_index_is_counted,
        a_short_time_is_kept_and_said,
        the_screen_fits_eighty_columns,
        what_was_done_last_is_remembered,
        a_record_that_is_not_sound_is_said_loudly,
        maintenance_gives_free_space_back_while_recording_goes_on,
        maintenance_is_one_at_a_time_and_goes_on_alone,
        a_store_that_cannot_shrink_says_so,
    ])
