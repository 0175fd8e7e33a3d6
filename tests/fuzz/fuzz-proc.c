/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "daemon/metrics/filesystems.h"
#include "daemon/metrics/labels.h"
#include "daemon/metrics/proc.h"
#include "tests/fuzz/fuzz.h"

static const struct {
        ProcParseFn fn;
        const Metric *metrics;
} parsers[] = {
        { proc_parse_cpus, proc_cpu_metrics },     { proc_parse_pairs, proc_stat_metrics },
        { proc_parse_pairs, proc_meminfo_metrics }, { proc_parse_disks, proc_disk_metrics },
        { proc_parse_network, proc_network_metrics }, { proc_parse_load, proc_load_metrics },
        { proc_parse_pressure, proc_pressure_io_metrics },
};

static void check_key(void *userdata, const Metric *metric, Bytes key, double value) {
        char labels[LABELS_MAX] = "";

        if (labels_add(labels, "k", key) == 0 && strchr(labels, ','))
                abort();
}

/* Any text of /proc: nothing is read outside it, and no label can be taken for two. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        ProcSink sink = { check_key, NULL };
        FilesystemList list = { 0 };
        ProcProcess process;

        for (size_t i = 0; i < ELEMENTS(parsers); i++)
                parsers[i].fn(BYTES(data, size), parsers[i].metrics, &sink);
        (void) proc_parse_process(BYTES(data, size), &process);
        if (filesystems_parse(BYTES(data, size), "/var/lib/x", &list) == 0)
                filesystems_done(&list);
        return 0;
}
