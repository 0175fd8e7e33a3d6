#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Care of the record's database, by a real daemon: what is said of it."""

import json
import os
import shutil
import signal
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
        for table in ('event', 'node', 'link', 'content', 'tile_head', 'tile_tail', 'attr'):
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
        verified = harness.wait_for(lambda: stage.care('verify'), 'that is remembered')
        equal(verified['result'], 'sound', 'after verifying')
        check(verified['seq'] >= FILES and verified['timeUsec'] > 0, f'when: {verified}')
        stage.daemon.stop()
        stage.daemon.start()
        equal(stage.care('verify'), verified, 'after a restart')
        equal(stage.daemon.ctl_run('verify', stage.backup()).returncode, 0, 'what stands beside the record')


def a_record_that_is_not_sound_is_said_loudly():
    with Stage() as stage:
        equal(stage.daemon.ctl_run('verify', '--gently').returncode, 0, 'a sound one')
        harness.wait_for(lambda: stage.care('verify'), 'that is remembered')
        stage.daemon.stop()
        db = sqlite3.connect(os.path.join(stage.daemon.state, 'scitrace.db'), isolation_level=None)
        db.execute('UPDATE event SET size = size + 1 WHERE seq = 100')
        db.close()
        stage.daemon.start()
        equal(stage.daemon.ctl_run('verify', '--gently').returncode, 3, 'exit code')
        harness.wait_for(lambda: stage.care('verify')['result'] == 'altered', 'that is remembered')
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
        equal([row['phase'] for row in rows if row['left'] == 0], ['analyze', 'thin', 'vacuum', 'checkpoint'],
              'the phases')
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


def old_events(stage, rounds=400):
    """A past: a file that had many versions, one that was renamed, a directory that came and went. Returns the
    events as they were."""
    d, tree = stage.daemon, stage.tree
    os.mkdir(os.path.join(tree, 'gone'))
    for i in range(300):
        write(os.path.join(tree, 'gone', f'was-{i}'), b'was')
    write(os.path.join(tree, 'busy'), b'-')
    d.settle()
    shutil.rmtree(os.path.join(tree, 'gone'))
    for i in range(rounds):
        os.chmod(os.path.join(tree, 'busy'), 0o600 + i % 2 * 0o44)
        d.settle() if i % 8 == 0 else None
    os.rename(os.path.join(tree, 'file-0'), os.path.join(tree, 'renamed'))
    write(os.path.join(tree, 'renamed'), b'after')
    d.at_rest('lab', tree)
    for i in range(600):                # so that what is above is before the cut
        write(os.path.join(tree, f'later-{i}'), b'later')
    d.at_rest('lab', tree)
    return {event['seq']: event for event in d.events()}


KEEP = '[Retention]\nKeepEvents=1s\n'


def moment(usec):
    return f'@{usec // 10 ** 6}.{usec % 10 ** 6:06d}'


def prune(stage, *options):
    time.sleep(1.1)     # what is older than KeepEvents=
    return stage.daemon.ctl('store', 'prune', *options)


def policy_keeps_everything_unless_it_says_otherwise():
    with Stage() as stage:
        equal(prune(stage)[0]['events'], 0, 'nothing is removed')
        check('keepUsec' not in stage.describe('--timeout', '0.001')['retention'], 'kept for ever')
        done = stage.daemon.ctl_run('store', 'prune')
        check(done.returncode == 0 and b'for ever' in done.stderr, f'it says why: {done.stderr}')


def old_events_go_and_what_is_there_stays():
    with Stage(settings=KEEP) as stage:
        d, tree = stage.daemon, stage.tree
        before = old_events(stage)
        files = {row['path']: row for row in d.ctl('files', 'lab')}
        proved = min(seq for seq, event in before.items() if event.get('path') == 'file-7')
        stage.backup()                  # seals all of it
        gone = max(seq for seq, event in before.items() if event.get('path') == 'gone/was-7')
        old_proof = d.ctl_run('prove', str(gone)).stdout
        dry, = prune(stage, '--dry-run')
        check(dry['events'] > 300 and dry['upto'] % 256 == 0 and dry['pruned'] == 0, f'dry run: {dry}')
        equal({event['seq'] for event in d.events()}, set(before), 'nothing is gone yet')
        cut = moment(max(event['timeUsec'] for seq, event in before.items() if seq <= dry['upto'] + 1))
        then = {row['path']: row for row in d.ctl('files', 'lab', '--as-of', cut)}
        rows = prune(stage)
        equal(sum(row['done'] for row in rows if row['phase'] == 'events' and row['left'] == 0), dry['events'],
              'as many as the dry run said')
        d.at_rest('lab', tree)
        check(sum(row['done'] for row in rows if row['phase'] == 'contents') > 0, 'and what only they had as content')
        equal({row['path']: row for row in d.ctl('files', 'lab')}, files, 'what is there now')
        left = {row['seq']: row for row in d.ctl('log')}
        said = [row for row in left.values() if row['kind'] == 'prune']
        equal([row['prunedTo'] for row in said], [dry['upto']], 'the log says so')
        check(all(left[seq] == before[seq] for seq in before if seq in left), 'what is left is as it was')
        missing = set(before) - set(left)
        equal(len(missing), dry['events'], 'events gone')
        check(all(seq <= dry['upto'] for seq in missing), 'no younger one')
        equal({before[seq]['kind'] for seq in missing} - {'create', 'modify', 'attribute', 'rename', 'unlink',
                                                          'identify'}, set(), 'only names')
        for path in 'busy', 'renamed', 'file-7':
            events = d.ctl('history', os.path.join(tree, path))
            equal(events[0]['seq'], files[path]['seq'], f'the last event of {path}')
            check(events[-1]['kind'] == 'create', f'{path} has the event by which it came')
        check('rename' in [event['kind'] for event in d.ctl('history', os.path.join(tree, 'renamed'))], 'and its name')
        equal(d.ctl_run('history', os.path.join(tree, 'gone', 'was-7')).returncode, 4, 'what was gone')
        for arguments in (), (stage.backup(),):
            verified = d.ctl('verify', *arguments)[-1]['result']
            equal((verified['outcome'], verified['pruned'], verified['sealed'] >= dry['upto'], verified['projections']),
                  ('sound', dry['events'], True, False), f'verify {arguments}')
        write(os.path.join(tree, 'busy'), b'changed')
        os.rename(os.path.join(tree, 'renamed'), os.path.join(tree, 'again'))
        os.unlink(os.path.join(tree, 'file-9'))
        d.at_rest('lab', tree)
        equal({row['path']: row for row in d.ctl('files', 'lab', '--as-of', cut)}, then, 'the tree as of the cut')
        early = moment(before[dry['upto'] // 2]['timeUsec'])
        done = d.ctl_run('files', 'lab', '--as-of', early)
        check(done.returncode == 4 and b'pruned' in done.stderr, f'as of before the cut: {done.stderr}')
        key = os.path.join(d.top, 'keys')
        write(key, d.ctl_run('store', 'keys').stdout)
        for name, proof in ('old', old_proof), ('new', d.ctl_run('prove', str(proved)).stdout):
            write(os.path.join(d.top, name), proof)
            equal(d.ctl_run('verify', '--proof', os.path.join(d.top, name), '--key', key).returncode, 0, f'{name} proof')
        equal(d.ctl_run('prove', str(gone)).returncode, 4, 'a proof of what is gone')
        equal(stage.care('prune')['result'], 'done', 'what is remembered')
        d.stop()
        d.start()
        d.at_rest('lab', tree)
        equal(d.ctl_run('verify').returncode, 0, 'after a restart')


def events_that_went_without_a_word_of_the_log_are_missed():
    with Stage(settings=KEEP) as stage:
        d = stage.daemon
        old_events(stage, 40)
        prune(stage)
        upto = stage.describe('--timeout', '0.001')['retention']['pruned']
        path = stage.backup()
        db = sqlite3.connect(path, isolation_level=None)
        db.execute('DELETE FROM event WHERE seq = ?', (upto + 1,))
        db.execute("UPDATE care SET upto = upto + 256 WHERE what = 'prune'")
        db.close()
        done = d.ctl_run('verify', path)
        equal(done.returncode, 3, 'a cut that the log does not know')
        check(b'as if they had been pruned' in done.stdout, done.stdout.decode())


def killed_in_the_middle(stage):
    """Whether the prune had not ended yet."""
    d = stage.daemon
    old_events(stage, 40)
    time.sleep(1.1)
    dry, = d.ctl('store', 'prune', '--dry-run')
    job = subprocess.Popen([harness.program('scitracectl'), '--state', d.state, 'store', 'prune', '-o', 'json'],
                           env=d.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    job.stdout.readline()               # the log has said so
    os.kill(d.process.pid, signal.SIGKILL)
    d.kill('both')
    job.communicate()
    d.start()
    d.at_rest('lab', stage.tree)
    retention = stage.describe('--timeout', '0.001')['retention']
    equal(retention['pruned'], dry['upto'], 'it is known that it had begun')
    equal(d.ctl_run('verify').returncode, 0, 'in between')
    if not retention['unfinished']:
        return False
    prune(stage)
    equal(stage.describe('--timeout', '0.001')['retention']['unfinished'], False, 'the next one goes on')
    result = d.ctl('verify')[-1]['result']
    check(result['outcome'] == 'sound' and result['pruned'] >= dry['events'], f'at the end: {result}')
    return True


def a_kill_in_the_middle_of_a_prune_is_survived():
    for _ in range(3):                  # the kill may come late
        with Stage(settings=KEEP) as stage:
            if killed_in_the_middle(stage):
                return
    check(False, 'no prune was caught in its middle')


def what_follows_from_the_record_is_made_anew_in_another_file():
    with Stage() as stage:
        d, tree = stage.daemon, stage.tree
        os.mkdir(os.path.join(tree, 'dir'))
        os.rename(os.path.join(tree, 'file-1'), os.path.join(tree, 'dir', 'moved'))
        os.unlink(os.path.join(tree, 'file-2'))
        d.at_rest('lab', tree)
        d.stop()
        path, anew = os.path.join(d.state, 'scitrace.db'), os.path.join(d.top, 'anew.db')
        db = sqlite3.connect(path, isolation_level=None)
        db.execute('UPDATE node SET size = size + 1, born = 7 WHERE id % 3 = 0')
        db.execute('DELETE FROM link WHERE node % 5 = 0')
        db.execute('UPDATE counter SET files = 1')
        db.execute("UPDATE dataset SET name = 'other'")
        page, = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'node_inode'").fetchone()
        db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        db.close()
        with open(path, 'r+b') as file:
            file.seek((page - 1) * 8192 + 4000)
            file.write(b'\xff' * 2000)
        equal(d.ctl_run('verify', d.state).returncode, 2, 'it is damaged')
        done = d.ctl_run('store', 'rebuild', d.state, anew)
        equal(done.returncode, 0, f'rebuild: {done.stderr}')
        check(b'Table link is not what' in done.stderr, f'it says what was wrong: {done.stderr}')
        equal(os.stat(anew).st_mode & 0o777, 0o600, 'nobody else may read it')
        verified = d.ctl('verify', anew)[-1]['result']
        equal((verified['outcome'], verified['projections']), ('sound', True), 'what was made')
        equal(d.ctl_run('store', 'rebuild', d.state, anew).returncode, 1, 'nothing is overwritten')
        os.rename(anew, path)
        harness.remove(path + '-wal')
        d.start()
        d.at_rest('lab', tree)
        equal([event['kind'] for event in d.events()[-2:]], ['gap-open', 'gap-close'], 'nothing is news')


def a_record_that_was_altered_is_not_rebuilt():
    with Stage() as stage:
        d, anew = stage.daemon, os.path.join(stage.daemon.top, 'anew.db')
        backup = stage.backup()
        refused = d.ctl_run('store', 'rebuild', d.state, anew)
        check(refused.returncode == 1 and b'in use' in refused.stderr, f'a daemon has it: {refused.stderr}')
        db = sqlite3.connect(backup, isolation_level=None)
        db.execute('UPDATE event SET size = size + 1 WHERE seq = 100')
        db.close()
        refused = d.ctl_run('store', 'rebuild', backup, anew)
        check(refused.returncode == 1 and b'not what was recorded' in refused.stderr, f'altered: {refused.stderr}')
        check(not os.path.exists(anew), 'no file is left')


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
        policy_keeps_everything_unless_it_says_otherwise,
        old_events_go_and_what_is_there_stays,
        events_that_went_without_a_word_of_the_log_are_missed,
        a_kill_in_the_middle_of_a_prune_is_survived,
        what_follows_from_the_record_is_made_anew_in_another_file,
        a_record_that_was_altered_is_not_rebuilt,
    ])
