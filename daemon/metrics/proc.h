/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_METRICS_PROC_H
#define SCITRACE_DAEMON_METRICS_PROC_H

/* proc: the texts of /proc, and the tables of what is taken from them. Tolerant: lines and fields that are
 * not known are passed over, a line that breaks off gives what stands before. Pure; no allocation.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

/** Metric: one kind of number. value = number in the text * 2^shift / 10^exponent. */
typedef struct Metric {
        const char *field;              /* its word in the text; "" where columns are counted */
        const char *name;               /* NULL ends a table; "": this column is not taken */
        const char *unit;               /* "seconds", "bytes", "ratio" or "" */
        const char *key;                /* label that tells the series of this metric apart, "" for a single
                                         * one, "*": the key given is the whole text of the labels */
        const char *fixed;              /* a further label "k=v" that sorts behind key, or "" */
        uint8_t shift, exponent;
        bool counter;
} Metric;

/** ProcFn - key: the value of the label metric->key. */
typedef void (*ProcFn)(void *userdata, const Metric *metric, Bytes key, double value);

typedef struct ProcSink {
        ProcFn fn;
        void *userdata;
} ProcSink;

/** proc_parse_*() - metrics: the table that goes with the text, below. Clock ticks are taken to be 1/100 s,
 *  as the kernel's USER_HZ is on all machines that Debian knows. */
typedef void (*ProcParseFn)(Bytes text, const Metric *metrics, const ProcSink *sink);
void proc_parse_pairs(Bytes text, const Metric *metrics, const ProcSink *sink);  /* meminfo, vmstat */
void proc_parse_cpus(Bytes text, const Metric *metrics, const ProcSink *sink);   /* the cpuN lines of stat */
void proc_parse_disks(Bytes text, const Metric *metrics, const ProcSink *sink);  /* those ever used */
void proc_parse_network(Bytes text, const Metric *metrics, const ProcSink *sink);
void proc_parse_load(Bytes text, const Metric *metrics, const ProcSink *sink);
void proc_parse_pressure(Bytes text, const Metric *metrics, const ProcSink *sink);

extern const Metric proc_cpu_metrics[], proc_stat_metrics[], proc_meminfo_metrics[], proc_vmstat_metrics[],
        proc_disk_metrics[], proc_network_metrics[], proc_load_metrics[], proc_pressure_cpu_metrics[],
        proc_pressure_memory_metrics[], proc_pressure_io_metrics[];

/** ProcProcess: of /proc/PID/stat. comm borrows from the text and may hold any byte. */
typedef struct ProcProcess {
        Bytes comm;
        uint64_t ticks, resident_pages;         /* ticks: user and system */
} ProcProcess;
/** proc_parse_process() - 0 or -EBADMSG. */
int proc_parse_process(Bytes text, ProcProcess *ret);

#endif
