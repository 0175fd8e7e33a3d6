/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <math.h>

#include "daemon/metrics/proc.h"

#define COLUMNS_MAX 24

/* clang-format off */
#define CPU(mode) { "", "node_cpu_seconds_total", "seconds", "cpu", "mode=" mode, 0, 2, true }
#define CPU_GUEST(mode) { "", "node_cpu_guest_seconds_total", "seconds", "cpu", "mode=" mode, 0, 2, true }
#define COUNT(field, name)   { field, name, "", "", "", 0, 0, true }
#define GAUGE(field, name)   { field, name, "", "", "", 0, 0, false }
#define MEMORY(field)        { field, "node_memory_" field "_bytes", "bytes", "", "", 10, 0, false }
#define VMSTAT(field)        { field, "node_vmstat_" field, "", "", "", 0, 0, true }
#define DISK(name)           { "", "node_disk_" name, "", "device", "", 0, 0, true }
#define DISK_SECTORS(name)   { "", "node_disk_" name, "bytes", "device", "", 9, 0, true }
#define DISK_MSEC(name)      { "", "node_disk_" name, "seconds", "device", "", 0, 3, true }
#define NETWORK(name, unit)  { "", "node_network_" name "_total", unit, "device", "", 0, 0, true }
#define SKIPPED              { "", "", "", "", "", 0, 0, false }
#define LOAD(name)           { "", name, "", "", "", 0, 2, false }
#define PRESSURE(field, name) \
        { field, "node_pressure_" name "_seconds_total", "seconds", "", "", 0, 6, true }
#define END                  { NULL, NULL, NULL, NULL, NULL, 0, 0, false }

const Metric proc_cpu_metrics[] = {
        CPU("user"), CPU("nice"), CPU("system"), CPU("idle"), CPU("iowait"), CPU("irq"), CPU("softirq"),
        CPU("steal"), CPU_GUEST("user"), CPU_GUEST("nice"),
        END,
};

const Metric proc_stat_metrics[] = {
        COUNT("intr", "node_intr_total"),
        COUNT("ctxt", "node_context_switches_total"),
        { "btime", "node_boot_time_seconds", "seconds", "", "", 0, 0, false },
        COUNT("processes", "node_forks_total"),
        GAUGE("procs_running", "node_procs_running"),
        GAUGE("procs_blocked", "node_procs_blocked"),
        COUNT("softirq", "scitrace_softirqs_total"),
        END,
};

const Metric proc_meminfo_metrics[] = {
        MEMORY("MemTotal"), MEMORY("MemFree"), MEMORY("MemAvailable"), MEMORY("Buffers"), MEMORY("Cached"),
        MEMORY("SwapCached"), MEMORY("Active"), MEMORY("Inactive"), MEMORY("SwapTotal"), MEMORY("SwapFree"),
        MEMORY("Dirty"), MEMORY("Writeback"), MEMORY("AnonPages"), MEMORY("Mapped"), MEMORY("Shmem"),
        MEMORY("Slab"), MEMORY("SReclaimable"), MEMORY("CommitLimit"), MEMORY("Committed_AS"),
        END,
};

const Metric proc_vmstat_metrics[] = {
        VMSTAT("pgpgin"), VMSTAT("pgpgout"), VMSTAT("pswpin"), VMSTAT("pswpout"), VMSTAT("pgfault"),
        VMSTAT("pgmajfault"), VMSTAT("oom_kill"),
        END,
};

const Metric proc_disk_metrics[] = {
        DISK("reads_completed_total"), DISK("reads_merged_total"), DISK_SECTORS("read_bytes_total"),
        DISK_MSEC("read_time_seconds_total"), DISK("writes_completed_total"), DISK("writes_merged_total"),
        DISK_SECTORS("written_bytes_total"), DISK_MSEC("write_time_seconds_total"),
        { "", "node_disk_io_now", "", "device", "", 0, 0, false },
        DISK_MSEC("io_time_seconds_total"), DISK_MSEC("io_time_weighted_seconds_total"),
        DISK("discards_completed_total"), DISK("discards_merged_total"), DISK("discarded_sectors_total"),
        DISK_MSEC("discard_time_seconds_total"), DISK("flush_requests_total"),
        DISK_MSEC("flush_requests_time_seconds_total"),
        END,
};

const Metric proc_network_metrics[] = {
        NETWORK("receive_bytes", "bytes"), NETWORK("receive_packets", ""), NETWORK("receive_errs", ""),
        NETWORK("receive_drop", ""), SKIPPED, SKIPPED, SKIPPED, SKIPPED,
        NETWORK("transmit_bytes", "bytes"), NETWORK("transmit_packets", ""), NETWORK("transmit_errs", ""),
        NETWORK("transmit_drop", ""),
        END,
};

const Metric proc_load_metrics[] = { LOAD("node_load1"), LOAD("node_load5"), LOAD("node_load15"), END };

const Metric proc_pressure_cpu_metrics[] = { PRESSURE("some", "cpu_waiting"), END };
const Metric proc_pressure_memory_metrics[] = {
        PRESSURE("some", "memory_waiting"), PRESSURE("full", "memory_stalled"), END,
};
const Metric proc_pressure_io_metrics[] = {
        PRESSURE("some", "io_waiting"), PRESSURE("full", "io_stalled"), END,
};
/* clang-format on */

static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6 };

/* Takes from *text what stands before the first `end`, and the end itself. 0: nothing is left. */
static int take_until(Bytes *text, char end, Bytes *ret) {
        const uint8_t *at;

        if (text->size == 0)
                return 0;
        at = memchr(text->data, end, text->size);
        *ret = BYTES(text->data, at ? (size_t) (at - text->data) : text->size);
        *text = BYTES(text->data + ret->size + (at != NULL), text->size - ret->size - (at != NULL));
        return 1;
}

static bool is_blank(uint8_t c) {
        return c == ' ' || c == '\t';
}

/* An empty word: the line is at its end. */
static Bytes take_word(Bytes *line) {
        Bytes word;

        while (line->size > 0 && is_blank(line->data[0]))
                *line = BYTES(line->data + 1, line->size - 1);
        word = BYTES(line->data, 0);
        while (word.size < line->size && !is_blank(line->data[word.size]))
                word.size++;
        *line = BYTES(line->data + word.size, line->size - word.size);
        return word;
}

/* A word of digits only, that fits. */
static int to_number(Bytes word, uint64_t *ret) {
        uint64_t n = 0;

        for (size_t i = 0; i < word.size; i++)
                if (word.data[i] < '0' || word.data[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
                    __builtin_add_overflow(n, word.data[i] - '0', &n))
                        return 0;
        *ret = n;
        return word.size > 0;
}

static bool is_word(Bytes word, const char *text) {
        return word.size > 0 && word.data[0] == (uint8_t) text[0] && bytes_equal(word, BYTES_STR(text));
}

static void emit(const ProcSink *sink, const Metric *metric, Bytes key, uint64_t number) {
        sink->fn(sink->userdata, metric, key,
                 ldexp((double) number, metric->shift) / powers[metric->exponent]);
}

/* The numbers of a line; stops at the first word that is none. */
static size_t take_numbers(Bytes line, uint64_t *numbers) {
        size_t n = 0;

        while (n < COLUMNS_MAX && to_number(take_word(&line), &numbers[n]))
                n++;
        return n;
}

static void emit_columns(Bytes line, const Metric *metrics, Bytes key, const ProcSink *sink) {
        uint64_t numbers[COLUMNS_MAX];
        size_t n = take_numbers(line, numbers);

        for (size_t i = 0; i < n && metrics[i].name; i++)
                if (*metrics[i].name)
                        emit(sink, &metrics[i], key, numbers[i]);
}

void proc_parse_pairs(Bytes text, const Metric *metrics, const ProcSink *sink) {
        size_t wanted = 0;
        Bytes line;

        while (metrics[wanted].name)
                wanted++;
        while (wanted > 0 && take_until(&text, '\n', &line)) {
                Bytes word = take_word(&line);
                uint64_t number;

                if (word.size > 0 && word.data[word.size - 1] == ':')
                        word.size--;
                for (const Metric *m = metrics; m->name; m++) {
                        if (!is_word(word, m->field))
                                continue;
                        if (to_number(take_word(&line), &number)) {
                                emit(sink, m, BYTES("", 0), number);
                                wanted--;
                        }
                        break;
                }
        }
}

void proc_parse_cpus(Bytes text, const Metric *metrics, const ProcSink *sink) {
        Bytes line;

        while (take_until(&text, '\n', &line)) {
                Bytes word = take_word(&line);
                uint64_t number;

                if (word.size < 3 || memcmp(word.data, "cpu", 3) != 0)
                        return;         /* they come first */
                word = BYTES(word.data + 3, word.size - 3);
                if (to_number(word, &number))
                        emit_columns(line, metrics, word, sink);
        }
}

void proc_parse_disks(Bytes text, const Metric *metrics, const ProcSink *sink) {
        uint64_t numbers[COLUMNS_MAX];
        Bytes line;

        while (take_until(&text, '\n', &line)) {
                uint64_t major, minor, used = 0;
                Bytes name;
                size_t n;

                if (!to_number(take_word(&line), &major) || !to_number(take_word(&line), &minor))
                        continue;
                name = take_word(&line);
                n = take_numbers(line, numbers);
                for (size_t i = 0; i < n; i++)
                        used |= numbers[i];
                if (used)
                        emit_columns(line, metrics, name, sink);
        }
}

void proc_parse_network(Bytes text, const Metric *metrics, const ProcSink *sink) {
        Bytes line;

        while (take_until(&text, '\n', &line)) {
                const uint8_t *colon;
                Bytes name;

                if (line.size == 0 || memchr(line.data, '|', line.size))
                        continue;       /* the two lines of headings */
                colon = memrchr(line.data, ':', line.size);
                if (!colon)
                        continue;
                name = BYTES(line.data, (size_t) (colon - line.data));
                while (name.size > 0 && is_blank(name.data[0]))
                        name = BYTES(name.data + 1, name.size - 1);
                line = BYTES(colon + 1, line.size - (size_t) (colon + 1 - line.data));
                if (name.size > 0)
                        emit_columns(line, metrics, name, sink);
        }
}

/* "0.22", always with two digits: 22. */
static int to_hundredths(Bytes word, uint64_t *ret) {
        uint64_t whole, hundredths;
        Bytes part;

        if (!take_until(&word, '.', &part) || !to_number(part, &whole) || word.size != 2 ||
            !to_number(word, &hundredths))
                return 0;
        return !__builtin_mul_overflow(whole, 100, &whole) &&
               !__builtin_add_overflow(whole, hundredths, ret);
}

void proc_parse_load(Bytes text, const Metric *metrics, const ProcSink *sink) {
        uint64_t number;

        for (const Metric *m = metrics; m->name; m++) {
                if (!to_hundredths(take_word(&text), &number))
                        return;
                emit(sink, m, BYTES("", 0), number);
        }
}

void proc_parse_pressure(Bytes text, const Metric *metrics, const ProcSink *sink) {
        Bytes line;

        while (take_until(&text, '\n', &line)) {
                Bytes kind = take_word(&line), word;
                uint64_t number;

                while ((word = take_word(&line)).size > 0) {
                        Bytes name;

                        if (!take_until(&word, '=', &name) || !is_word(name, "total") ||
                            !to_number(word, &number))
                                continue;
                        for (const Metric *m = metrics; m->name; m++)
                                if (is_word(kind, m->field))
                                        emit(sink, m, BYTES("", 0), number);
                }
        }
}

int proc_parse_process(Bytes text, ProcProcess *ret) {
        const uint8_t *open = memchr(text.data, '(', text.size), *close = memrchr(text.data, ')', text.size);
        ProcProcess p = { 0 };
        Bytes rest;

        if (!open || !close || close < open)
                return -EBADMSG;
        p.comm = BYTES(open + 1, (size_t) (close - open - 1));
        rest = BYTES(close + 1, text.size - (size_t) (close + 1 - text.data));

        /* proc(5) counts from 1; the state, which follows the name, is field 3 */
        for (int field = 3; field <= 24; field++) {
                Bytes word = take_word(&rest);
                uint64_t number = 0;

                if ((field == 14 || field == 15 || field == 24) && !to_number(word, &number))
                        return -EBADMSG;
                if (field == 24)
                        p.resident_pages = number;
                else
                        p.ticks += number;
        }
        *ret = p;
        return 0;
}
