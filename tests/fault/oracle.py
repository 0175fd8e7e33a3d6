# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the record must say after a fault: all that was acknowledged, each event once, and the tree as it is."""

import concurrent.futures
import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get('SCITRACE_SOURCE') or os.path.join(HERE, '..', '..')
sys.path[:0] = [os.path.join(SOURCE, 'tests', folder) for folder in ('system', 'bench')]
import harness                                                                  # noqa: E402
from harness import LIMIT, check, equal, name_of                                # noqa: E402
from link import Refused, open_link                                             # noqa: E402

STATE = ('type', 'size', 'mode', 'digest')
TOLD = (*STATE, 'uid', 'gid', 'mtimeNsec', 'target')
NAME = 't'
MEMORY = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None         # for what is synced a thousand times
WORKERS = int(os.environ.get('WORKERS', '3'))
GONE = (OSError, Refused, ValueError)   # what a call may raise whose daemon has just ended


class Log:
    """The names and nodes that the log holds, as one event after the other says; an event that says again what is true
    already, or that something went which was not there, is one too many."""

    def __init__(self):
        self.names, self.nodes = {}, {}         # path: node; node: its state

    def remove(self, path):
        """The name and all beneath it: {path: node}."""
        return {name: self.names.pop(name) for name in list(self.names) if name == path or name.startswith(path + b'/')}

    def tell(self, event):
        kind, path, old, node = event['kind'], name_of(event), name_of(event, 'oldPath'), event.get('node')
        if path in (None, b'.') or kind not in ('create', 'link', 'modify', 'attribute', 'identify', 'rename', 'unlink'):
            return
        check(kind not in ('create', 'link') or path not in self.names, f'{path} comes twice: {event}')
        check((old or path) in self.names or kind in ('create', 'link'), f'{old or path} is not there: {event}')
        if kind == 'unlink':
            self.remove(path)
            return
        if kind == 'rename':
            moved = self.remove(old)
            self.remove(path)
            self.names.update({path + name[len(old):]: moved[name] for name in moved})
        before, state = self.nodes.get(node, {}), {key: event[key] for key in TOLD if event.get(key) is not None}
        check(kind not in ('modify', 'attribute', 'identify') or self.names[path] != node or
              any(before.get(key) != value for key, value in state.items()),
              f'{path} changes twice in the same way: {event}')
        self.names[path] = node
        self.nodes[node] = {**before, **({'digest': None} if kind == 'modify' else {}), **state}

    def state(self, path):
        state = self.nodes.get(self.names.get(path), {})
        return {key: state[key] for key in STATE if state.get(key) is not None and
                (key not in ('size', 'digest') or state['type'] == 'file')}

    def differs(self, tree):
        """{path: (as the log has it, as the tree does)}"""
        return {path: (self.state(path), tree.get(path)) for path in self.names.keys() | tree.keys()
                if self.state(path) != tree.get(path)}


def seen(tree):
    """A snapshot, as far as the log says the same."""
    return {path: {key: state[key] for key in STATE if key in state} for path, state in harness.snapshot(tree).items()}


class Oracle:
    """Follows the log of a daemon that will meet a fault, and is asked afterwards."""

    def __init__(self, daemon, tree):
        self.daemon, self.tree = daemon, tree
        self.told = {}                  # seq: event, as it was told to who follows
        self.states = []                # the tree, each time that settle said that it is recorded
        self.added = False
        self.thread = None

    def follow(self):
        """From now on, until the daemon ends. What is told is acknowledged."""
        link = open_link(self.daemon)

        def listen():
            try:
                with link:
                    for reply in link.call('Record.Events', {'follow': True}, more=True):
                        self.told[reply['event']['seq']] = reply['event']
            except GONE:
                pass
        self.thread = threading.Thread(target=listen, daemon=True)
        self.thread.start()

    def add(self):
        with open_link(self.daemon) as link:
            link.one('Datasets.Add', {'path': self.tree, 'name': NAME})
        self.added = True

    def settle(self):
        """Whether the tree as it is is acknowledged; nobody may change it meanwhile."""
        state = seen(self.tree)
        with open_link(self.daemon) as link:
            link.one('Service.Settle', {'dataset': NAME, 'timeoutUsec': int(LIMIT * 1e6)})
        self.states.append(state)

    def check_log(self, events):
        equal([event['seq'] for event in events], list(range(1, len(events) + 1)), 'the numbers of the events')
        for seq, event in self.told.items():
            check(seq <= len(events), f'event {seq} of {len(events)} was told and is gone: {event}')
            now = events[seq - 1]
            differs = {key for key in event.keys() | now.keys() if event.get(key) != now.get(key)}
            check(not differs, f'event {seq} was told as {event}, and is {now}')
        log, left = Log(), list(self.states)
        for event in (*events, None):
            while left and not log.differs(left[0]):
                left.pop(0)
            if event:
                log.tell(event)
        check(not left, f'state {len(self.states) - len(left) + 1} of {len(self.states)} was recorded, said settle, and the '
                        f'log never has it; how it differs at its end: {left and log.differs(left[0])}')
        return log

    def check(self):
        """The daemon has been started again, without faults. Leaves it stopped."""
        daemon = self.daemon
        if self.thread:
            self.thread.join(LIMIT)
        with open_link(daemon) as link:
            known = [reply['dataset']['name'] for reply in link.call('Datasets.List', {}, more=True)
                     if reply.get('dataset')]
        check(known or not self.added, 'the dataset that was added is gone')
        if not known:
            self.add()
        self.settle()
        with open_link(daemon) as link:
            rows = [reply['file'] for reply in link.call('Record.Files', {'dataset': NAME}, more=True)]
            harness.compare(rows, harness.snapshot(self.tree))
            harness.wait_for(lambda: not any('closedBy' not in gap for gap in self.gaps(link)), 'every gap is closed')
            events = [reply['event'] for reply in link.call('Record.Events', {}, more=True)]
            status = link.one('Service.Describe')
            check(status['state'] == 'running', f'after the fault it is {status["state"]}: {status.get("reason")}')
            result = [reply['row'] for reply in link.call('Integrity.Verify', {}, more=True)][-1]['result']
            equal(result['outcome'], 'sound', f'verify of the daemon ({result})')
        log = self.check_log(events)
        equal(log.differs(seen(self.tree)), {}, 'how the log differs from the tree at its end')
        daemon.stop()
        done = verify(daemon.state, '--against', daemon.err)    # each checkpoint that the journal was told of
        equal(done.returncode, 0, f'verify of the store ({done.stdout} {done.stderr})')

    def gaps(self, link):
        return [reply['stretch'] for reply in link.call('Datasets.Coverage', {'name': NAME}, more=True)
                if reply['stretch']['state'] == 'gap']


def verify(store, *words, env=None):
    return subprocess.run([harness.program('scitracectl'), '--state', '/nonexistent', 'verify', store, *words], env=env,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT * 2, check=False)


def sample(total, number):
    """So many of the points from 1 to total, others each day; FAULTS=all: all of them, and some more, since no two lives
    are alike."""
    if os.environ.get('FAULTS') == 'all':
        return range(1, total + total // 8)
    step = max(1, total // number)
    return range(1 + int(time.time() / 86400) % step, total + 1, step)


def sweep(how, points, life):
    """Calls life(how, point) for each, some at once: a life mostly waits."""
    def one(point):
        try:
            life(how, point)
            return None
        except Exception as failure:
            return f'{how}:{point}: {type(failure).__name__}: {failure}'
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        wrong = [result for result in pool.map(one, points) if result]
    check(not wrong, f'{len(wrong)} of {len(points)}:\n' + '\n'.join(wrong[:5]))
