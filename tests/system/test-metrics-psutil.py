#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine's metrics are what python3-psutil says, in one run.

Each number is read by psutil before and after ours, and must lie between the two readings (or equal them): no
tolerance is needed for what only grows. What moves both ways (free memory, load) may differ by a little more.
Rows come from `scitracectl metrics -o json` when SCITRACE_METRICS=scitracectl is set and a daemon runs for it,
else from metrics-dump, which links the same module.
"""

import json
import os
import subprocess
import sys


def skip(reason):
    print(f"1..0 # SKIP {reason}")
    sys.exit(0)


BUILD = os.environ.get("SCITRACE_BUILD", ".")
COMMAND = (os.environ.get("SCITRACE_METRICS") or os.path.join(BUILD, "tests/system/metrics-dump")).split()

# Debian's psutil belongs to Debian's python3, which need not be the first in PATH.
try:
    import psutil
except ImportError:
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", __file__])
    skip("python3-psutil is not installed")

results = []


def check(name, ok, detail=""):
    results.append(ok)
    print(f"{'ok' if ok else 'not ok'} {len(results)} - {name}")
    if not ok:
        print(f"# {detail}")


def labels_of(value):
    if isinstance(value, dict):
        return value
    return dict(label.split("=", 1) for label in value.split(",")) if value else {}


def key(name, **labels):
    return name, tuple(sorted(labels.items()))


def ours():
    rows = subprocess.run(COMMAND, check=True, stdout=subprocess.PIPE).stdout.decode().splitlines()
    points = {}
    for row in map(json.loads, rows):
        points[key(row["name"], **labels_of(row["labels"]))] = row["value"]
    return points


def disks(disk, c):
    return {
        key("node_disk_reads_completed_total", device=disk): c.read_count,
        key("node_disk_writes_completed_total", device=disk): c.write_count,
        key("node_disk_read_bytes_total", device=disk): c.read_bytes,
        key("node_disk_written_bytes_total", device=disk): c.write_bytes,
        key("node_disk_reads_merged_total", device=disk): c.read_merged_count,
        key("node_disk_writes_merged_total", device=disk): c.write_merged_count,
        key("node_disk_read_time_seconds_total", device=disk): c.read_time / 1000,
        key("node_disk_write_time_seconds_total", device=disk): c.write_time / 1000,
        key("node_disk_io_time_seconds_total", device=disk): c.busy_time / 1000,
    }


def network(device, c):
    return {
        key("node_network_receive_bytes_total", device=device): c.bytes_recv,
        key("node_network_transmit_bytes_total", device=device): c.bytes_sent,
        key("node_network_receive_packets_total", device=device): c.packets_recv,
        key("node_network_transmit_packets_total", device=device): c.packets_sent,
        key("node_network_receive_errs_total", device=device): c.errin,
        key("node_network_transmit_errs_total", device=device): c.errout,
        key("node_network_receive_drop_total", device=device): c.dropin,
        key("node_network_transmit_drop_total", device=device): c.dropout,
    }


def growing():
    """psutil's numbers that only grow, under our names."""
    found = {}
    for cpu, times in enumerate(psutil.cpu_times(percpu=True)):
        for mode in ("user", "nice", "system", "idle", "irq", "softirq", "steal"):
            found[key("node_cpu_seconds_total", cpu=str(cpu), mode=mode)] = getattr(times, mode)
        found[key("node_cpu_guest_seconds_total", cpu=str(cpu), mode="user")] = times.guest
        found[key("node_cpu_guest_seconds_total", cpu=str(cpu), mode="nice")] = times.guest_nice
    stats = psutil.cpu_stats()
    found[key("node_context_switches_total")] = stats.ctx_switches
    found[key("node_intr_total")] = stats.interrupts
    found[key("scitrace_softirqs_total")] = stats.soft_interrupts
    found[key("node_boot_time_seconds")] = psutil.boot_time()
    for disk, c in psutil.disk_io_counters(perdisk=True, nowrap=False).items():
        if any(c):
            found.update(disks(disk, c))
    for device, c in psutil.net_io_counters(pernic=True, nowrap=False).items():
        found.update(network(device, c))
    found[key("node_vmstat_pswpin")] = psutil.swap_memory().sin // 4096
    found[key("node_vmstat_pswpout")] = psutil.swap_memory().sout // 4096
    return found


def moving():
    """psutil's numbers that go up and down."""
    m, s = psutil.virtual_memory(), psutil.swap_memory()
    memory = {f"memory {name}": getattr(m, name) for name in
              ("total", "available", "free", "used", "cached", "buffers", "active", "inactive", "shared", "slab")}
    load = {f"load {i}": value for i, value in enumerate(psutil.getloadavg())}
    return {**memory, **load, "swap total": s.total, "swap used": s.used}


def ours_moving(points):
    """The same from our points, by psutil's formulas."""
    def memory(name):
        return points[key(f"node_memory_{name}_bytes")]

    cached = memory("Cached") + memory("SReclaimable")
    found = {"memory used": memory("MemTotal") - memory("MemFree") - cached - memory("Buffers"),
             "memory cached": cached, "swap used": memory("SwapTotal") - memory("SwapFree")}
    for name, source in (("memory total", "MemTotal"), ("memory available", "MemAvailable"), ("memory free", "MemFree"),
                         ("memory buffers", "Buffers"), ("memory active", "Active"), ("memory inactive", "Inactive"),
                         ("memory shared", "Shmem"), ("memory slab", "Slab"), ("swap total", "SwapTotal")):
        found[name] = memory(source)
    found.update({f"load {i}": points[key(f"node_load{n}")] for i, n in enumerate((1, 5, 15))})
    return found


def check_filesystems(points):
    mounts = [dict(labels)["mountpoint"] for name, labels in points if name == "node_filesystem_size_bytes"]
    check("the root's file system is among those sampled", "/" in mounts, mounts)
    for mount in mounts:
        labels = next(dict(at) for name, at in points
                      if name == "node_filesystem_size_bytes" and dict(at)["mountpoint"] == mount)
        size, free, avail = (points[key(f"node_filesystem_{what}_bytes", **labels)] for what in ("size", "free", "avail"))
        u = psutil.disk_usage(mount)
        used = size - free
        percent = 100 * used / (used + avail) if used + avail else 0
        near = 64 << 20
        check(f"file system at {mount}: size, used, free and percent",
              size == u.total and abs(used - u.used) <= near and abs(avail - u.free) <= near
              and (abs(percent - u.percent) <= 1 or size < 2 * near), f"{size} {used} {avail} {percent}, psutil: {u}")


def main():
    if not os.access(COMMAND[0], os.X_OK) and "/" in COMMAND[0]:
        skip(f"{COMMAND[0]} is not built")
    before, moving_before = growing(), moving()
    points = ours()
    after, moving_after = growing(), moving()

    # Counters of one interrupt or tick may be read on two processors in either order.
    wrong = {}
    for name in before:
        if name not in points:
            wrong[name] = "missing"
        elif not before[name] - 0.02 <= points[name] <= after.get(name, before[name]) + 0.02:
            wrong[name] = (before[name], points[name], after.get(name))
    for family in sorted({name for name, _ in before}):
        bad = {at: what for at, what in wrong.items() if at[0] == family}
        check(f"{family}: each series lies between psutil's two readings", not bad, bad)

    # Other programs of the machine come and go meanwhile.
    for name, our in ours_moving(points).items():
        low, high = sorted((moving_before[name], moving_after[name]))
        near = 0.5 if name.startswith("load") else 0 if name.endswith("total") else 128 << 20
        check(f"{name} agrees", low - near <= our <= high + near, f"ours {our}, psutil's {low} to {high}")
    check_filesystems(points)

    unknown = {at for at in points if at[0].startswith(("node_disk", "node_network")) and at[0] in
               {name for name, _ in before} and at not in after}
    check("there is no disk and no interface that psutil does not know", not unknown, unknown)
    print(f"1..{len(results)}")
    sys.exit(0 if all(results) else 1)


main()
