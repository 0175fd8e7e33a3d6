#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Care of the record's database, by a real daemon: what is said of it."""

import os
import sqlite3

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


if __name__ == '__main__':
    run([every_table_and_index_is_counted, a_short_time_is_kept_and_said, the_screen_fits_eighty_columns,
         what_was_done_last_is_remembered])
