#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Canonical bytes of events, from docs/FORMATS.md alone, against tests/data/event-vectors.txt. Speaks TAP.
With --make, reads lines of words and writes them with their bytes (that is how the file was made)."""

import os
import re
import struct
import sys
from urllib.parse import unquote_to_bytes

SOURCE = os.environ.get("SCITRACE_SOURCE", os.path.join(os.path.dirname(__file__), "..", ".."))


def tables():
    """The words and numbers of the tables and the fields' order, as the document has them."""
    with open(os.path.join(SOURCE, "docs", "FORMATS.md"), encoding="utf-8") as f:
        text = f.read()
    numbers = {}
    for column in ("kind", "origin", "cause", "type"):
        table = re.search(rf"^\| {column} \| number .*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M).group(1)
        numbers[column] = {m[0]: int(m[1]) for m in re.findall(r"^\| (\S+) \| (\d+) \|", table, re.M)}
    sources = re.search(r"Digest sources: (.*?)\.", text).group(1)
    numbers["digest-source"] = {m[0]: int(m[1]) for m in re.findall(r"`(\w+)` (\d+)", sources)}
    section = re.search(r"^## Canonical bytes of an event\n(.*?)(?=^## |\Z)", text, re.M | re.S).group(1)
    fields = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|", section, re.M)
    assert [int(n) for n, _, _ in fields] == list(range(1, len(fields) + 1))
    return numbers, [(name.strip().lower().replace(" ", "-"), form.strip()) for _, name, form in fields]


def encode(words, numbers, fields):
    values = dict(w.split("=", 1) for w in words.split())
    out = b"\x01"
    for name, form in fields:
        value = values.pop(name, None)
        if value is None:
            out += b"\xff\xff\xff\xff"
            continue
        if form in ("16", "32"):
            data = bytes.fromhex(value)
            assert len(data) == int(form)
        elif form == "bytes":
            data = unquote_to_bytes(value)
        else:
            data = struct.pack(">q", numbers[name][value] if name in numbers else int(value, 0))
        out += struct.pack(">I", len(data)) + data
    assert not values, values
    return out


def main():
    numbers, fields = tables()
    if sys.argv[1:] == ["--make"]:
        for line in sys.stdin:
            print(line.strip() + ": " + encode(line, numbers, fields).hex())
        return 0
    with open(os.path.join(SOURCE, "tests", "data", "event-vectors.txt"), encoding="ascii") as f:
        vectors = [line.rstrip("\n").split(": ") for line in f if not line.startswith("#")]
    print(f"1..{len(vectors) + 1}")
    failed = 0
    print(f"{'ok' if len(vectors) >= 3 else 'not ok'} 1 - there are three vectors or more")
    for i, (words, bytes_) in enumerate(vectors, 2):
        ok = encode(words, numbers, fields).hex() == bytes_
        failed += not ok
        print(f"{'ok' if ok else 'not ok'} {i} - {words.split('kind=')[1].split()[0]}: the document yields the same bytes")
    return failed != 0


sys.exit(main())
