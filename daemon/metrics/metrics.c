/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>

#include "daemon/metrics/filesystems.h"
#include "daemon/metrics/labels.h"
#include "daemon/metrics/metrics.h"
#include "daemon/metrics/proc.h"
#include "daemon/metrics/series.h"

#define BUFFER_INITIAL (64 * 1024)
#define BUFFER_MAX (1024 * 1024)        /* a longer text is cut */
#define PROCESS_NAMES_MAX 8

/* A text, and what is taken from it. */
typedef struct Source {
        const char *path;
        struct {
                ProcParseFn parse;
                const Metric *metrics;
        } views[2];
} Source;

/* clang-format off */
static const Source sources[] = {
        { "/proc/stat",            { { proc_parse_cpus,     proc_cpu_metrics },
                                     { proc_parse_pairs,    proc_stat_metrics } } },
        { "/proc/meminfo",         { { proc_parse_pairs,    proc_meminfo_metrics } } },
        { "/proc/vmstat",          { { proc_parse_pairs,    proc_vmstat_metrics } } },
        { "/proc/diskstats",       { { proc_parse_disks,    proc_disk_metrics } } },
        { "/proc/net/dev",         { { proc_parse_network,  proc_network_metrics } } },
        { "/proc/loadavg",         { { proc_parse_load,     proc_load_metrics } } },
        { "/proc/pressure/cpu",    { { proc_parse_pressure, proc_pressure_cpu_metrics } } },
        { "/proc/pressure/memory", { { proc_parse_pressure, proc_pressure_memory_metrics } } },
        { "/proc/pressure/io",     { { proc_parse_pressure, proc_pressure_io_metrics } } },
};

static const Metric process_cpu = {
        "", "scitrace_process_cpu_seconds_total", "seconds", "process", "", 0, 2, true
};
static const Metric process_memory = {
        "", "scitrace_process_resident_memory_bytes", "bytes", "process", "", 12, 0, false
};
static const Metric process_count = { "", "scitrace_process_count", "", "process", "", 0, 0, false };
static const Metric series_kept = { "", "scitrace_metrics_series", "", "", "", 0, 0, false };
static const Metric points_refused = { "", "scitrace_metrics_refused_total", "", "", "", 0, 0, true };

static const struct {
        Metric metric;
        size_t offset;                  /* of an int64_t in MetricsWatching */
} watching_metrics[] = {
#define WATCHING(name, member, counter) \
        { { "", "scitrace_" name, "", "", "", 0, 0, counter }, offsetof(MetricsWatching, member) }
        WATCHING("watches", watches, false),
        WATCHING("unwatched_directories", unwatched, false),
        WATCHING("pending_changes", pending, false),
        WATCHING("overflows_total", overflows, true),
        WATCHING("swept_directories_total", swept, true),
        WATCHING("walked_again_directories_total", walked_again, true),
        WATCHING("watcher_restarts_total", restarts, true),
#undef WATCHING
};
/* clang-format on */

struct Metrics {
        MetricsWatching watching;
        bool watching_known;
        int fds[ELEMENTS(sources)];     /* -1: this machine has none */
        int mountinfo;
        FilesystemList filesystems;
        bool filesystems_known;
        char *store_path;               /* that filesystems.store_safe was found for */
        char *buffer;
        size_t buffer_size;
        SeriesTable series;
        int error;                      /* the first of a sample */
};

/* Processes of one name together, so that a restarted watcher is no new series. */
typedef struct ProcessSum {
        char name[64];
        size_t name_size;
        unsigned count;
        uint64_t ticks, resident_pages;
} ProcessSum;

Metrics *metrics_free(Metrics *m) {
        if (!m)
                return NULL;
        for (size_t i = 0; i < ELEMENTS(sources); i++)
                closep(&m->fds[i]);
        closep(&m->mountinfo);
        filesystems_done(&m->filesystems);
        series_done(&m->series);
        free(m->store_path);
        free(m->buffer);
        free(m);
        return NULL;
}

static void metrics_freep(Metrics **m) {
        metrics_free(*m);
}

int metrics_new(Metrics **ret) {
        CLEANUP(metrics_freep) Metrics *m = NULL;

        assert(ret);
        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTS(sources); i++)
                m->fds[i] = open(sources[i].path, O_RDONLY | O_CLOEXEC);
        m->mountinfo = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        m->buffer = malloc(BUFFER_INITIAL);
        m->buffer_size = BUFFER_INITIAL;
        if (!m->buffer)
                return -ENOMEM;
        *ret = STEAL(m);
        return 0;
}

static int grow_buffer(Metrics *m) {
        char *grown = realloc(m->buffer, 2 * m->buffer_size);

        if (!grown)
                return -ENOMEM;
        m->buffer = grown;
        m->buffer_size *= 2;
        return 0;
}

/* The whole text, which borrows from the buffer. A file of /proc may come in pieces, and is over at a read
 * of 0. */
static int read_text(Metrics *m, int fd, Bytes *ret) {
        size_t used = 0;

        for (;;) {
                ssize_t n;

                if (used == m->buffer_size) {
                        int r = m->buffer_size < BUFFER_MAX ? grow_buffer(m) : 0;

                        if (r < 0)
                                return r;
                        if (used == m->buffer_size)
                                break;
                }
                n = pread(fd, m->buffer + used, m->buffer_size - used, (off_t) used);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                used += (size_t) n;
        }
        *ret = BYTES(m->buffer, used);
        return 0;
}

static void note_error(Metrics *m, int r) {
        if (r < 0 && m->error == 0)
                m->error = r;
}

static void put(void *userdata, const Metric *metric, Bytes key, double value) {
        Metrics *m = userdata;

        note_error(m, series_put(&m->series, metric, key, value));
}

static void sample_sources(Metrics *m, const ProcSink *sink) {
        for (size_t i = 0; i < ELEMENTS(sources); i++) {
                const Source *source = &sources[i];
                Bytes text;
                int r;

                if (m->fds[i] < 0)
                        continue;
                r = read_text(m, m->fds[i], &text);
                if (r < 0) {
                        if (r == -ENOMEM)
                                note_error(m, r);
                        continue;       /* a source that cannot be read now is left out of this sample */
                }
                for (size_t j = 0; j < ELEMENTS(source->views) && source->views[j].parse; j++)
                        source->views[j].parse(text, source->views[j].metrics, sink);
        }
}

/* The kernel wakes a poll of mountinfo when the table has changed since it was read. */
static bool mounts_changed(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLPRI };

        return poll(&p, 1, 0) > 0;
}

static int refresh_filesystems(Metrics *m, const char *store_path) {
        CLEANUP(freep) char *copy = NULL;
        FilesystemList list;
        Bytes text;
        int r;

        if (m->mountinfo < 0)
                return 0;
        if (!mounts_changed(m->mountinfo) && m->filesystems_known &&
            strcmp(m->store_path ?: "", store_path ?: "") == 0)
                return 0;
        if (store_path) {
                copy = strdup(store_path);
                if (!copy)
                        return -ENOMEM;
        }
        r = read_text(m, m->mountinfo, &text);
        if (r < 0)
                return r;
        r = filesystems_parse(text, store_path, &list);
        if (r < 0)
                return r;
        filesystems_done(&m->filesystems);
        m->filesystems = list;
        m->filesystems_known = true;
        free(m->store_path);
        m->store_path = STEAL(copy);
        return 0;
}

static void add_process(Metrics *m, pid_t pid, ProcessSum *sums, size_t *n) {
        char path[64];
        CLEANUP(closep) int fd = -1;
        ProcProcess p;
        ProcessSum *sum;
        Bytes text;

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read_text(m, fd, &text) < 0 || proc_parse_process(text, &p) < 0)
                return;                 /* it has just ended */
        p.comm.size = MIN_OF(p.comm.size, sizeof(sum->name));
        for (sum = sums; sum < sums + *n; sum++)
                if (bytes_equal(p.comm, BYTES(sum->name, sum->name_size)))
                        break;
        if (sum == sums + *n) {
                if (*n == PROCESS_NAMES_MAX)
                        return;
                memcpy(sum->name, p.comm.data, p.comm.size);
                sum->name_size = p.comm.size;
                ++*n;
        }
        sum->count++;
        sum->ticks += p.ticks;
        sum->resident_pages += p.resident_pages;
}

static void sample_processes(Metrics *m, const pid_t *pids, size_t n_pids) {
        ProcessSum sums[PROCESS_NAMES_MAX] = { 0 };
        double page = (double) sysconf(_SC_PAGESIZE);
        size_t n = 0;

        add_process(m, getpid(), sums, &n);
        for (size_t i = 0; i < n_pids; i++)
                add_process(m, pids[i], sums, &n);
        for (size_t i = 0; i < n; i++) {
                Bytes name = BYTES(sums[i].name, sums[i].name_size);

                put(m, &process_cpu, name, (double) sums[i].ticks / 100);       /* USER_HZ, see proc.h */
                put(m, &process_memory, name, (double) sums[i].resident_pages * page);
                put(m, &process_count, name, sums[i].count);
        }
}

void metrics_watching(Metrics *m, const MetricsWatching *watching) {
        assert(m && watching);
        m->watching = *watching;
        m->watching_known = true;
}

static void sample_watching(Metrics *m) {
        for (size_t i = 0; m->watching_known && i < ELEMENTS(watching_metrics); i++)
                put(m, &watching_metrics[i].metric, BYTES("", 0),
                    (double) *(const int64_t *) ((const char *) &m->watching + watching_metrics[i].offset));
}

int metrics_sample(Metrics *m, int64_t now, const pid_t *pids, size_t n_pids, const char *store_path) {
        ProcSink sink = { put, m };

        assert(m && (pids || n_pids == 0));
        m->error = 0;
        series_begin(&m->series, now);
        sample_sources(m, &sink);
        note_error(m, refresh_filesystems(m, store_path));
        filesystems_sample(&m->filesystems, store_path, &sink);
        sample_processes(m, pids, n_pids);
        sample_watching(m);
        put(m, &series_kept, BYTES("", 0), (double) m->series.n);
        put(m, &points_refused, BYTES("", 0), (double) m->series.refused);
        return m->error;
}

int metrics_points(Metrics *m, MetricsPointFn fn, void *userdata) {
        assert(m && fn);
        return series_points(&m->series, fn, userdata);
}

int metrics_flush(Metrics *m, MetricsChunkFn fn, void *userdata) {
        assert(m && fn);
        return series_flush(&m->series, fn, userdata);
}
