# SPDX-License-Identifier: LGPL-2.1-or-later
"""A file system in user space of a few read-only files, which can stop to answer: FUSE's own protocol, no library. Run
as `fuse.py DEVICE TARGET NAME=SIZE...`; a file whose name begins with "silent" is never read to its end: its reads are
not answered until the file system is unmounted (or, after SIGUSR1, from then on). After SIGUSR2 the last file is gone. With a block device it is mounted as
fuseblk, like the drivers of foreign disks; DEVICE "-" makes it a plain one."""

import ctypes
import errno
import os
import signal
import stat
import struct
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, INIT = 1, 2, 3, 14, 15, 17, 18, 26
OPENDIR, READDIR, RELEASEDIR, INTERRUPT, DESTROY, BATCH_FORGET = 27, 28, 29, 36, 38, 42
UNANSWERED = (FORGET, BATCH_FORGET, INTERRUPT)
BEGAN = 1_700_000_000


class Server:
    def __init__(self, device, target, files):
        self.files = [(b'.', 0, b'')] + [(os.fsencode(name), size, name.encode()) for name, size in files]
        self.silent, self.held = True, []
        self.fd = os.open('/dev/fuse', os.O_RDWR | os.O_CLOEXEC)
        options = f'fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions'
        kind, source = ('fuse', 'scitrace-test') if device == '-' else ('fuseblk', device)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(source.encode(), target.encode(), kind.encode(), 0, options.encode()) != 0:
            sys.exit(f'mount: {os.strerror(ctypes.get_errno())}')
        signal.signal(signal.SIGUSR1, lambda *_: self.speak())
        signal.signal(signal.SIGUSR2, lambda *_: self.files.pop())

    def reply(self, unique, error=0, data=b''):
        os.write(self.fd, struct.pack('<IiQ', 16 + len(data), -error, unique) + data)

    def speak(self):
        """What was not answered is."""
        self.silent = False
        for arguments in self.held:
            self.read(*arguments)
        self.held = []

    def attributes(self, node):
        size = self.files[node - 1][1]
        mode, links = (stat.S_IFDIR | 0o755, 2) if node == 1 else (stat.S_IFREG | 0o644, 1)
        return struct.pack('<QQQQQQIIIIIIIIII', node, size, (size + 511) // 512, BEGAN, BEGAN, BEGAN, 0, 0, 0, mode, links,
                           0, 0, 0, 4096, 0)

    def lookup(self, unique, name):
        for node, entry in enumerate(self.files, 1):
            if node > 1 and entry[0] == name:
                self.reply(unique, data=struct.pack('<QQQQII', node, 0, 1, 1, 0, 0) + self.attributes(node))
                return
        self.reply(unique, errno.ENOENT)

    def list(self, unique, offset, size):
        data = b''
        for node, (name, _, _) in enumerate(self.files, 1):
            if node <= offset:
                continue
            entry = struct.pack('<QQII', node, node, len(name), 4 if node == 1 else 8) + name
            entry += bytes(-len(entry) % 8)
            if len(data) + len(entry) > size:
                break
            data += entry
        self.reply(unique, data=data)

    def read(self, unique, node, offset, size):
        name, length, pattern = self.files[node - 1]
        if self.silent and name.startswith(b'silent'):
            self.held.append((unique, node, offset, size))
            return
        whole = pattern * (length // len(pattern) + 1)
        self.reply(unique, data=whole[offset:min(offset + size, length)])

    def take(self, request):
        length, code, unique, node = struct.unpack_from('<IIQQ', request)
        body = request[40:length]
        if code == INIT:
            self.reply(unique, data=struct.pack('<IIIIHHIIHHI7I', 7, 31, 65536, 0, 12, 9, 65536, 1, 16, 0, 0,
                                                *[0] * 7))
        elif code == LOOKUP:
            self.lookup(unique, body.rstrip(b'\0'))
        elif code == GETATTR:
            self.reply(unique, data=struct.pack('<QII', 1, 0, 0) + self.attributes(node))
        elif code in (OPEN, OPENDIR):
            self.reply(unique, data=struct.pack('<QII', 0, 0, 0))
        elif code == READDIR:
            self.list(unique, *struct.unpack_from('<QI', body, 8))
        elif code == READ:
            self.read(unique, node, *struct.unpack_from('<QI', body, 8))
        elif code == STATFS:
            self.reply(unique, data=struct.pack('<QQQQQIII7I', 1000, 1000, 1000, 1000, 1000, 4096, 255, 4096, *[0] * 7))
        elif code in (RELEASE, RELEASEDIR, DESTROY):
            self.reply(unique)
        elif code not in UNANSWERED:
            self.reply(unique, errno.ENOSYS)

    def run(self):
        while True:
            try:
                self.take(os.read(self.fd, 1 << 17))
            except OSError as error:
                if error.errno == errno.ENODEV:         # it was unmounted
                    return
                if error.errno not in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    raise


if __name__ == '__main__':
    made = [part.rpartition('=') for part in sys.argv[3:]]
    server = Server(sys.argv[1], sys.argv[2], [(name, int(size)) for name, _, size in made])
    print('mounted', flush=True)
    server.run()
