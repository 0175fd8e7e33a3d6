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
import time


def skip(reason):
    print(f"1..0 # SKIP {reason}")
    sys.exit(0)


BUILD = os.environ.get("SCITRACE_BUILD", ".")
PATIENCE = 60           # seconds for a sample that is new enough

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


def sample(command, env=None):
    """The points of a sample that was taken after this call."""
    began = time.time()
    while True:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=env)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        if rows and min(row["timeUsec"] for row in rows) >= began * 1e6:
            return {key(row["name"], **labels_of(row["labels"])): row["value"] for row in rows}
        if time.time() > began + PATIENCE:
            sys.exit(f"no new sample within {PATIENCE} s")
        time.sleep(0.1)


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


def check_filesystems(source, points):
    mounts = [dict(labels)["mountpoint"] for name, labels in points if name == "node_filesystem_size_bytes"]
    check(f"{source}: the root's file system is among those sampled", "/" in mounts, mounts)
    for mount in mounts:
        labels = next(dict(at) for name, at in points
                      if name == "node_filesystem_size_bytes" and dict(at)["mountpoint"] == mount)
        size, free, avail = (points[key(f"node_filesystem_{what}_bytes", **labels)] for what in ("size", "free", "avail"))
        u = psutil.disk_usage(mount)
        used = size - free
        percent = 100 * used / (used + avail) if used + avail else 0
        near = 64 << 20
        check(f"{source}: file system at {mount}: size, used, free and percent",
              size == u.total and abs(used - u.used) <= near and abs(avail - u.free) <= near
              and (abs(percent - u.percent) <= 1 or size < 2 * near), f"{size} {used} {avail} {percent}, psutil: {u}")


def compare(source, command, env=None):
    print(f"# {source}")
    before, moving_before = growing(), moving()
    points = sample(command, env)
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
        check(f"{source}: {family}: each series lies between psutil's two readings", not bad, bad)

    # Other programs of the machine come and go meanwhile.
    for name, our in ours_moving(points).items():
        low, high = sorted((moving_before[name], moving_after[name]))
        near = 0.5 if name.startswith("load") else 0 if name.endswith("total") else 128 << 20
        check(f"{source}: {name} agrees", low - near <= our <= high + near, f"ours {our}, psutil's {low} to {high}")
    check_filesystems(source, points)

    compared = {name for name, _ in before}
    unknown = {at for at in points if at[0] in compared and at[0].startswith(("node_disk", "node_network"))
               and at not in after}
    check(f"{source}: there is no disk and no interface that psutil does not know", not unknown, unknown)
    return points


def compare_daemon():
    """The daemon as a whole, and what it says of its own processes."""
    try:
        from harness import Daemon
    except ImportError:
        return
    if not all(os.access(os.path.join(BUILD, name), os.X_OK) for name in ("scitraced", "scitracectl", "scitrace-watch")):
        print("# scitraced is not built: not compared")
        return
    with Daemon(settings="[Metrics]\nSampleInterval=1s\n") as daemon:
        os.mkdir(os.path.join(daemon.top, "tree"))
        daemon.add(os.path.join(daemon.top, "tree"))
        pids = {"scitraced": daemon.process.pid, "scitrace-watch": daemon.watcher()}
        low = {name: psutil.Process(pid).cpu_times() for name, pid in pids.items()}
        points = compare("scitracectl", [os.path.join(BUILD, "scitracectl"), "--state", daemon.state, "metrics", "-o", "json"],
                         daemon.env)
        for name, pid in pids.items():
            high, memory = psutil.Process(pid).cpu_times(), psutil.Process(pid).memory_info().rss
            used = points[key("scitrace_process_cpu_seconds_total", process=name)]
            resident = points[key("scitrace_process_resident_memory_bytes", process=name)]
            check(f"{name}: its own processor time and memory",
                  low[name].user + low[name].system - 0.02 <= used <= high.user + high.system + 0.02
                  and abs(resident - memory) <= 64 << 20, f"ours {used} {resident}, psutil's {low[name]} {high} {memory}")


def main():
    command = os.environ.get("SCITRACE_METRICS", "").split()
    dump = os.path.join(BUILD, "tests/system/metrics-dump")
    if command:
        compare(command[0], command)
    elif os.access(dump, os.X_OK):
        compare("metrics-dump", [dump])
        compare_daemon()
    else:
        skip(f"{dump} is not built")
    print(f"1..{len(results)}")
    sys.exit(0 if all(results) else 1)


main()
