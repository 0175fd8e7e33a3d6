#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The seals of a real record, made again from docs/FORMATS.md alone: leaves, tiles, roots, notes, keys, proofs."""

import base64
import fcntl
import hashlib
import os
import re
import select
import signal
import sqlite3
import struct
import subprocess
import tempfile
import time

import harness
from harness import check, equal, run

KEY = 21


# Ed25519 as RFC 8032, 6, has it.

P = 2 ** 255 - 19
Q = 2 ** 252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def point_add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    return ((f - e) * (h - g) % P, (h + g) * (f + e) % P, (h - g) * (h + g) % P, (f - e) * (f + e) % P)


def point_times(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = point_add(result, point)
        point = point_add(point, point)
        n >>= 1
    return result


def point_of(data):
    y = int.from_bytes(data, 'little')
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P)
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert (x * x - square) % P == 0
    return (P - x if x & 1 != sign else x, y, 1, (P - x if x & 1 != sign else x) * y % P)


BASE = point_of(bytes([0x58]) + bytes([0x66]) * 31)


def verify_ed25519(public, message, signature):
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), 'little') % Q
    left = point_times(int.from_bytes(signature[32:], 'little'), BASE)
    right = point_add(point_of(signature[:32]), point_times(challenge, point_of(public)))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# Notes.

def parse_key(text):
    name, hint, code = text.split('+', 2)
    data = base64.b64decode(code, validate=True)
    assert data[0] == 1 and len(data) == 33
    assert hashlib.sha256(name.encode() + b'\n' + data).digest()[:4].hex() == hint
    return name, data[1:]


def open_note(note, key):
    """The text of a note that the key has signed."""
    text, signatures = note.rsplit('\n\n', 1)
    text += '\n'
    name, public = parse_key(key)
    for line in signatures.splitlines():
        dash, who, code = line.split(' ')
        data = base64.b64decode(code, validate=True)
        assert dash == '\u2014'
        if who == name and data[:4] == hashlib.sha256(name.encode() + b'\n\x01' + public).digest()[:4]:
            assert verify_ed25519(public, text.encode(), data[4:]), 'a forged note'
            return text
    raise AssertionError('not signed by that key')


# The tree: RFC 6962, 2.1.

def leaf_hash(data):
    return hashlib.sha256(b'\0' + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b'\1' + left + right).digest()


def root_of(leaves):
    if not leaves:
        return hashlib.sha256(b'').digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(root_of(leaves[:k]), root_of(leaves[k:]))


def root_by_proof(leaf, index, size, path):
    """RFC 9162, 2.1.3.2."""
    fn, sn, root = index, size - 1, leaf
    for sibling in path:
        assert sn != 0
        if fn & 1 or fn == sn:
            root = node_hash(sibling, root)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node_hash(root, sibling)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return root


# Events: from the rows to the canonical bytes.

def rest_of(rest):
    """replaces, old_parent, process, cause, gap and old_name."""
    numbers, at = [0] * 5, 1
    if rest is None:
        return numbers + [None]
    for i in range(5):
        shift = 0
        while rest[0] >> i & 1:
            numbers[i] |= (rest[at] & 127) << shift
            shift += 7
            at += 1
            if rest[at - 1] < 128:
                break
    return numbers + [rest[at:] if rest[0] & 32 else None]


def canonical(db):
    batches = db.execute('SELECT b.first_seq, b.time, o.uuid FROM batch b JOIN boot o ON o.id = b.boot'
                         ' ORDER BY b.first_seq DESC').fetchall()
    uuids = dict(db.execute('SELECT id, uuid FROM dataset'))
    attrs = {row[0]: row[1:] for row in db.execute('SELECT id, type, mode, uid, gid FROM attr')}
    digests = dict(db.execute('SELECT id, digest FROM content'))
    cursor = db.execute('SELECT * FROM event ORDER BY seq')
    names = [column[0] for column in cursor.description]
    for values in cursor:
        e = dict(zip(names, values))
        first_seq, time, boot = next(batch for batch in batches if batch[0] <= e['seq'])
        last = time - e['ago']
        state = attrs[e['attr']] if e['attr'] is not None else (None,) * 4
        mtime = None if e['attr'] is None else 0 if e['age'] is None else last * 1000 - e['age']
        if mtime is not None:
            mtime = (mtime + 2 ** 63) % 2 ** 64 - 2 ** 63
        btime = None if e['inode'] is None else ((mtime or 0) - e['lived'] + 2 ** 63) % 2 ** 64 - 2 ** 63
        replaces, old_parent, process, cause, gap, old_name = rest_of(e['rest'])
        fields = [e['seq'], last - e['span'], last, boot, uuids.get(e['dataset'], bytes(16)), e['kind'], e['origin'],
                  e['count'], e['node'] or None, e['parent'] or None, e['name'], old_parent or None, old_name,
                  replaces or None, e['inode'], btime, state[0],
                  e['size'] if e['attr'] is not None else None, state[1], state[2], state[3], mtime,
                  digests.get(e['content']), e['digest_source'] or None, e['target'], process or None,
                  cause or None, gap or None, e['detail']]
        out = b'\1'
        for field in fields:
            data = struct.pack('>q', field) if isinstance(field, int) else field
            out += b'\xff' * 4 if data is None else struct.pack('>I', len(data)) + data
        yield e, out


def check_store(path):
    """Everything that verify checks of the log, once more."""
    db = sqlite3.connect(path)
    keys, leaves, last = [], [], 0
    events = list(canonical(db))
    for number, (event, data) in enumerate(events, 1):
        equal(event['seq'], number, 'a dense number')
        leaves.append(leaf_hash(data))
        if event['kind'] == KEY:
            key = event['detail'].decode().splitlines()[2]
            text = open_note(event['detail'].decode(), keys[-1][1] if keys else key)
            equal(text.splitlines(), [parse_key(key)[0], f'key {len(keys) + 1}', key], 'the text of a key')
            keys.append((number, key))
    checkpoints = db.execute('SELECT number, size, time, note FROM checkpoint ORDER BY number').fetchall()
    for expected, (number, size, time, note) in enumerate(checkpoints, 1):
        signer = [key for seq, key in keys if seq <= size][-1]
        text = open_note(note, signer)
        root = base64.b64encode(root_of(leaves[:size])).decode()
        equal(text, f'{parse_key(signer)[0]}\n{size}\n{root}\nnumber {expected}\ntime {time}\n', 'the text of a checkpoint')
        check(number == expected and size >= last, 'checkpoints in order')
        last = size
    for level, index, data in db.execute('SELECT level, idx, data FROM tile'):
        width = 256 ** level
        hashes = [root_of(leaves[i * width:(i + 1) * width]) for i in range(index * 256, index * 256 + len(data) // 32)]
        equal(data, b''.join(hashes), f'tile {level}, {index}')
    equal(db.execute('SELECT count(*) FROM tile WHERE level = 0 AND length(data) = 8192').fetchone()[0],
          len(leaves) // 256, 'full tiles')
    db.close()
    return keys, checkpoints, events, leaves


def fill(tree, count):
    for i in range(count):
        with open(os.path.join(tree, f'file{i}'), 'w', encoding='ascii') as file:
            file.write(str(i))


def verified(daemon, *words):
    return daemon.ctl_run('verify', *words)


def what_the_document_says_is_what_is_sealed():
    with harness.Daemon() as daemon:
        tree = os.path.join(daemon.top, 'tree')
        os.mkdir(tree)
        daemon.add(tree, 't')
        fill(tree, 300)
        daemon.settle('t')
        done = verified(daemon)
        equal(done.returncode, 0, f'verify while it runs ({done.stdout} {done.stderr})')
        backup = os.path.join(daemon.top, 'backup.db')
        equal(daemon.ctl_run('store', 'backup', backup).returncode, 0, 'a backup')
        keys, checkpoints, events, _ = check_store(backup)
        check(len(keys) == 1 and len(checkpoints) >= 2 and len(events) > 256, 'there is something to be checked')
        equal(checkpoints[-1][1], len(events), 'a backup is sealed to its end')
        equal(verified(daemon, backup).returncode, 0, 'verify of the backup')
        done = verified(daemon, daemon.state)
        equal(done.returncode, 1, 'verify of a store that is in use')
        check(b'scitraced is running' in done.stderr, done.stderr)


def others_can_check_a_proof():
    with harness.Daemon() as daemon:
        tree = os.path.join(daemon.top, 'tree')
        os.mkdir(tree)
        daemon.add(tree, 't')
        fill(tree, 40)
        daemon.settle('t')
        equal(daemon.ctl_run('store', 'backup', os.path.join(daemon.top, 'backup.db')).returncode, 0, 'a backup, which seals')
        keys = daemon.ctl_run('store', 'keys').stdout
        seq = daemon.newest()
        proof = daemon.ctl_run('prove', str(seq)).stdout
        equal(daemon.ctl_run('prove', '1000000').returncode, 4, 'a proof of an event that is not')
    with tempfile.TemporaryDirectory(prefix='scitrace-test-') as folder:
        check_proof(os.path.join(folder, 'proof'), os.path.join(folder, 'keys'), proof, keys, seq)


def write(path, data):
    with open(path, 'wb') as file:
        file.write(data)


def check_proof(proof_file, key_file, proof, keys, seq):
    write(key_file, keys)
    write(proof_file, proof)
    head, rest = proof.decode().split('\n\n', 1)
    lines = head.splitlines()
    equal(lines[0], 'c2sp.org/tlog-proof@v1', 'the first line')
    event = base64.b64decode(lines[1].removeprefix('extra '))
    index = int(lines[2].removeprefix('index '))
    equal(struct.unpack('>q', event[5:13])[0], seq, 'the event')
    checkpoint = open_note(rest, keys.decode().splitlines()[0]).splitlines()
    root = root_by_proof(leaf_hash(event), index, int(checkpoint[1]), [base64.b64decode(line) for line in lines[3:]])
    equal(base64.b64encode(root).decode(), checkpoint[2], 'the root')

    def offline(*words):
        return subprocess.run([harness.program('scitracectl'), '--state', '/nonexistent', 'verify', '--proof', *words],
                              capture_output=True, check=False).returncode
    equal(offline(proof_file, '--key', key_file), 0, 'the proof, with the key')
    equal(offline(proof_file), 1, 'the proof without a key or a daemon')
    write(proof_file, proof.replace(lines[3].encode(), base64.b64encode(bytes(32))))
    equal(offline(proof_file, '--key', key_file), 3, 'another path')
    write(key_file, b'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n')
    write(proof_file, proof)
    equal(offline(proof_file, '--key', key_file), 6, 'another key')


def a_store_taken_back_is_found_by_the_journal():
    daemon = harness.Daemon()
    try:
        tree = os.path.join(daemon.top, 'tree')
        os.mkdir(tree)
        daemon.start()
        daemon.add(tree, 't')
        fill(tree, 10)
        daemon.settle('t')
        daemon.stop()
        subprocess.run(['cp', '-a', daemon.state, daemon.state + '.then'], check=True)
        daemon.start()
        fill(tree, 20)
        daemon.settle('t')
        daemon.stop()
        with open(daemon.err, encoding='utf-8') as file:
            said = file.read()
        check(len(re.findall(r'The log is sealed: scitrace\.org/\S+ \d+ \S{44} ', said)) >= 4, 'each checkpoint is told')
        equal(verified(daemon, daemon.state, '--against', daemon.err).returncode, 0, 'the store of now')
        equal(verified(daemon, daemon.state + '.then').returncode, 0, 'the one of then, alone')
        equal(verified(daemon, daemon.state + '.then', '--against', daemon.err).returncode, 4, 'the one of then')
        equal(verified(daemon, daemon.state, '--against', '/dev/null').returncode, 1, 'against nothing')
        # It goes on from then, and the lines of both lives are kept.
        harness.remove(daemon.state)
        os.rename(daemon.state + '.then', daemon.state)
        daemon.start()
        fill(tree, 30)
        daemon.settle('t')
        daemon.stop()
        equal(verified(daemon, daemon.state).returncode, 0, 'what went on from then, alone')
        equal(verified(daemon, daemon.state, '--against', daemon.err).returncode, 3, 'what went on from then')
    finally:
        daemon.abandon()


def a_copy_that_was_changed_says_so():
    daemon = harness.Daemon()
    try:
        tree = os.path.join(daemon.top, 'tree')
        os.mkdir(tree)
        daemon.start()
        daemon.add(tree, 't')
        fill(tree, 30)
        daemon.settle('t')
        daemon.stop()
        path = os.path.join(daemon.state, 'scitrace.db')

        def changed(sql, *words):
            copy = os.path.join(daemon.top, 'copy.db')
            db = sqlite3.connect(path)
            with open(copy, 'wb'):
                pass
            target = sqlite3.connect(copy)
            db.backup(target)
            target.executescript(sql)
            target.close()
            db.close()
            done = verified(daemon, copy, '-o', 'json', *words)
            return done.returncode, done.stdout
        equal(changed('')[0], 0, 'a copy')
        code, said = changed('UPDATE event SET what = what + 9 * 2048 WHERE seq = 7')
        check(code == 3 and b'"from":7,"to":7' in said, (code, said))
        said = changed('UPDATE event SET what = what + 9 * 2048 WHERE seq = 7', '-o', 'table')[1]
        check(b'was not compared' in said and b'verify STORE' not in said, said)
        code, said = changed('DELETE FROM event WHERE seq = 8')
        check(code == 3 and b'"from":8,"to":8' in said, (code, said))
        equal(changed('UPDATE node SET size = 5 WHERE id = 4')[0], 2, 'a projection')
        equal(changed('DELETE FROM checkpoint')[0], 5, 'without its seals')
        equal(changed('', '-U', f'@{int(time.time()) + 3 * 86400}')[0], 4, 'three days on, when nothing came')
        equal(changed('PRAGMA user_version = 99')[0], 1, 'of a newer form')
        equal(verified(daemon, tree).returncode, 1, 'a folder that is no store')
    finally:
        daemon.abandon()


def a_damaged_row_among_the_newest_holds_up_the_seals_and_nothing_else():
    """It was not sealed yet, so that its leaf is known from nowhere."""
    with harness.Daemon() as daemon:
        tree = os.path.join(daemon.top, 'tree')
        os.mkdir(tree)
        daemon.add(tree, 't')
        fill(tree, 10)
        daemon.at_rest('t', tree)
        daemon.kill('both')
        db = sqlite3.connect(os.path.join(daemon.state, 'scitrace.db'))
        db.execute('UPDATE event SET attr = 9999 WHERE seq = 9')
        db.commit()
        db.close()
        daemon.start()
        fill(tree, 300)
        daemon.at_rest('t', tree)
        status = daemon.status()
        check(status['state'] == 'degraded' and 'nothing is sealed' in status['reason'], status)
        with open(daemon.err, encoding='utf-8') as file:
            equal(file.read().count('nothing is sealed from here on'), 1, 'what the journal says of it')
        done = daemon.ctl_run('verify', '-o', 'json')
        check(done.returncode == 2 and b'"from":9,"to":9' in done.stdout, (done.returncode, done.stdout))


def an_older_store_with_a_damaged_row_is_brought_to_ours_and_says_so():
    """Of a form without tiles: what the row was, nobody knows. It is not sealed, and each start is as the first."""
    daemon = harness.Daemon()
    os.mkdir(daemon.state, 0o700)
    db = sqlite3.connect(os.path.join(daemon.state, 'scitrace.db'))
    with open(os.path.join(os.path.dirname(__file__), '../data/store-form-1.sql'), encoding='ascii') as file:
        db.executescript(file.read())
    before = db.execute('SELECT count(*) FROM event').fetchone()[0]
    db.execute('UPDATE event SET attr = 9999 WHERE seq = 100')
    db.commit()
    db.close()
    with daemon:
        for name in 'first', 'second':
            status = daemon.status()
            check(status['state'] == 'degraded' and 'nothing is sealed' in status['reason'], status)
            with open(daemon.err, encoding='utf-8') as file:
                said = file.read()
            equal(said.count('nothing is sealed from here on'), 1 if name == 'first' else 2, said)
            done = daemon.ctl_run('verify', '-o', 'json')
            check(done.returncode == 5 and b'"from":100,"to":100' in done.stdout, (done.returncode, done.stdout))
            tree = os.path.join(daemon.top, name)
            os.mkdir(tree)
            daemon.add(tree, name)
            fill(tree, 300)
            daemon.settle(name)
            harness.compare(daemon.ctl('files', name), harness.snapshot(tree))
            daemon.stop()
            daemon.start()
        check(daemon.newest() > before + 600, 'what was recorded since')


def heed_signals():
    """Whatever nohup(1) or a shell's & made of them for who runs this test."""
    for number in signal.SIGHUP, signal.SIGINT, signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)


def who_gives_up_verifying_leaves_no_copy_behind():
    """It waits for who reads what it found, a copy of the store beneath TMPDIR; and then a signal ends it."""
    with tempfile.TemporaryDirectory() as top, harness.Daemon() as daemon:
        tree = os.path.join(daemon.top, 'tree')
        os.mkdir(tree)
        daemon.add(tree, 't')
        fill(tree, 300)
        daemon.settle('t')
        copied, within = os.path.join(top, 'copied.db'), os.path.join(top, 'within')
        os.mkdir(within)
        equal(daemon.ctl_run('store', 'backup', copied).returncode, 0, 'backup')
        db = sqlite3.connect(copied)
        db.execute('UPDATE event SET attr = 9999 WHERE seq % 2 AND seq > 9')
        db.commit()
        db.close()
        for number in signal.SIGHUP, signal.SIGINT, signal.SIGTERM:
            reader, writer = os.pipe()
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
            with subprocess.Popen([harness.program('scitracectl'), 'verify', copied, '-o', 'json'], stdout=writer,
                                  stderr=subprocess.DEVNULL, env=dict(daemon.env, TMPDIR=within),
                                  preexec_fn=heed_signals) as process:
                os.close(writer)
                harness.wait_for(lambda fd=reader: select.select([fd], [], [], 0)[0], 'it has found something')
                equal(len(os.listdir(within)), 1, 'copies meanwhile')
                process.send_signal(number)
                try:
                    equal(process.wait(harness.LIMIT), -number, 'how it ended')
                finally:
                    process.kill()
            os.close(reader)
            equal(os.listdir(within), [], f'what {number.name} leaves')


run([what_the_document_says_is_what_is_sealed, others_can_check_a_proof, a_store_taken_back_is_found_by_the_journal,
     a_copy_that_was_changed_says_so, a_damaged_row_among_the_newest_holds_up_the_seals_and_nothing_else,
     an_older_store_with_a_damaged_row_is_brought_to_ours_and_says_so, who_gives_up_verifying_leaves_no_copy_behind])
