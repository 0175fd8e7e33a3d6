#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A backup that is made under load says elsewhere, where nothing but it and the public key is, that it is sound; and one
on a medium that cannot be written does. Speaks TAP."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from volume import Volume, in_a_namespace_of_its_own, must                      # noqa: E402
import harness                                                                  # noqa: E402
from harness import check, equal, wait_for, write                               # noqa: E402

OTHER_KEY = b'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n'


class Load(threading.Thread):
    """Changes files until it is told to stop."""

    def __init__(self, tree):
        super().__init__(daemon=True)
        self.tree, self.turns, self.over = tree, 0, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.is_set():
            path = os.path.join(self.tree, f'f{self.turns % 500}')
            write(path + '.new', b'%d' % self.turns)
            os.rename(path + '.new', path)
            self.turns += 1


class Stage:
    """A daemon that watches `tree`; `away` is a folder elsewhere."""

    def __enter__(self):
        self.daemon = harness.Daemon(settings='[Dataset]\nSettleTime=20ms\n').__enter__()
        self.away = tempfile.mkdtemp(prefix='scitrace-away-')
        self.tree = os.path.join(self.daemon.top, 'tree')
        self.keys = os.path.join(self.away, 'keys')
        os.mkdir(self.tree)
        self.daemon.add(self.tree, 't')
        return self

    def __exit__(self, *error):
        try:
            return self.daemon.__exit__(*error)
        finally:
            harness.remove(self.away)

    def take_keys(self):
        write(self.keys, self.daemon.ctl_run('store', 'keys').stdout)

    def verify(self, store, keys=None):
        """As on another machine: no daemon, no state folder, nothing of the environment; work is done in `away`."""
        return subprocess.run([harness.program('scitracectl'), 'verify', store, '--key', keys or self.keys],
                              env={'TMPDIR': self.away}, cwd=self.away, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=harness.LIMIT * 2, check=False)

    def sound(self, store):
        done = self.verify(store)
        equal(done.returncode, 0, f'verify of {store} ({done.stdout} {done.stderr})')


def a_backup_under_load_is_sound_where_only_it_and_the_key_are():
    with Stage() as stage:
        backups = []
        with Load(stage.tree) as load:
            for number in range(3):
                turns = load.turns
                wait_for(lambda turns=turns: load.turns > turns + 50, 'files are changed')
                known = stage.daemon.newest()
                backups.append(os.path.join(stage.away, f'backup{number}.db'))
                seq = stage.daemon.ctl('store', 'backup', backups[-1])[0]['seq']
                check(seq >= known > 0, f'a backup up to {seq}, made when {known} was recorded')
                db = sqlite3.connect(f'file:{backups[-1]}?immutable=1', uri=True)
                equal(db.execute('SELECT count(*), max(seq) FROM event').fetchone(), (seq, seq), 'the events in it')
                db.close()
        stage.take_keys()
        stage.daemon.stop()
        harness.remove(stage.daemon.top)
        for backup in backups:
            stage.sound(backup)
        write(stage.keys + '.other', OTHER_KEY)
        equal(stage.verify(backups[0], stage.keys + '.other').returncode, 6, 'verify with a key of somebody else')
        db = sqlite3.connect(backups[0])
        db.execute('UPDATE event SET what = what + 9 * 2048 WHERE seq = 7')
        db.commit()
        db.close()
        equal(stage.verify(backups[0]).returncode, 3, 'verify of one that was altered')


def a_backup_on_a_medium_that_cannot_be_written_is_verified():
    with Stage() as stage, Volume('ext4', stage.away) as medium:
        backup, state = os.path.join(medium.path, 'backup.db'), os.path.join(medium.path, 'state')
        with Load(stage.tree) as load:
            wait_for(lambda: load.turns > 50, 'files are changed')
            equal(stage.daemon.ctl_run('store', 'backup', backup).returncode, 0, 'backup onto the medium')
        stage.take_keys()
        stage.daemon.kill('both')
        os.mkdir(state)
        for name in 'scitrace.db', 'scitrace.db-wal':
            shutil.copy(os.path.join(stage.daemon.state, name), state)
        check(os.path.getsize(os.path.join(state, 'scitrace.db-wal')) > 0, 'nothing is in the -wal')
        must('mount', '-o', 'remount,ro', medium.path)
        stage.sound(backup)
        stage.sound(state)
        stage.daemon.start()
        done = stage.daemon.ctl_run('store', 'backup', backup + '.2')
        check(done.returncode == 1 and b'Read-only' in done.stderr, f'a backup onto it: {done.returncode} {done.stderr}')
        stage.daemon.settle('t')


def a_backup_is_done_when_its_folder_is_on_the_disk_too():
    with Stage() as stage:
        backup = os.path.join(stage.away, 'backup.db')
        env = {**stage.daemon.env, 'ASAN_OPTIONS': stage.daemon.env['ASAN_OPTIONS'] + ':verify_asan_link_order=0',
               'LD_PRELOAD': harness.program('tests/fault/shim.so'), 'FAULT_DIR': stage.away, 'FAULT_WHAT': 'fsync',
               'FAULT_HOW': '5'}
        for sync, what in (1, 'the file'), (2, 'its folder'):
            done = subprocess.run([harness.program('scitracectl'), '--state', stage.daemon.state, 'store', 'backup', backup],
                                  env={**env, 'FAULT_AT': str(sync)}, stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=harness.LIMIT * 2, check=False)
            check(done.returncode == 1 and b'to the disk' in done.stderr,
                  f'a backup, when {what} cannot be synced: {done.returncode} {done.stderr}')
            check(not os.path.exists(backup), f'when {what} cannot be synced, the backup is left')


in_a_namespace_of_its_own()
harness.run([a_backup_is_done_when_its_folder_is_on_the_disk_too,
             a_backup_under_load_is_sound_where_only_it_and_the_key_are,
             a_backup_on_a_medium_that_cannot_be_written_is_verified])
