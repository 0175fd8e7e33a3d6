/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/lib/unit.h"

#include <errno.h>
#include <math.h>

#include "daemon/metrics/filesystems.h"
#include "daemon/metrics/labels.h"
#include "daemon/metrics/metrics.h"
#include "daemon/metrics/proc.h"
#include "daemon/metrics/series.h"

/* What a parser gave, "name key value" a line. */
typedef struct Found {
        char text[16384];
        size_t used;
} Found;

static void note(void *userdata, const Metric *metric, Bytes key, double value) {
        Found *f = userdata;

        f->used += (size_t) snprintf(f->text + f->used, sizeof(f->text) - f->used, "%s[%s] %.*s %.17g\n",
                                     metric->name, metric->fixed, (int) key.size, key.data, value);
        assert_true(f->used < sizeof(f->text));
}

static const char *parse(ProcParseFn fn, const Metric *metrics, const char *text, Found *f) {
        ProcSink sink = { note, f };

        f->used = 0;
        f->text[0] = '\0';
        fn(BYTES_STR(text), metrics, &sink);
        return f->text;
}

static const char stat_text[] =
        "cpu  6702 0 4751 266148 1055 0 105 176 0 0\n"
        "cpu0 2235 1 1765 135282 135 2 9 63 5 6\n"
        "cpu1 4467 0 2986\n"
        "intr 290492 0 0 15\n"
        "ctxt 543670\n"
        "btime 1795557115\n"
        "newfield 7 8 9\n"
        "processes 19395\n"
        "procs_running 3\n"
        "procs_blocked 0\n"
        "softirq 246888 0 26588\n";

static void processors_are_told_by_mode_and_the_sum_line_is_left_out(void **state) {
        Found f;

        (void) state;
        assert_string_equal(parse(proc_parse_cpus, proc_cpu_metrics, stat_text, &f),
                "node_cpu_seconds_total[mode=user] 0 22.350000000000001\n"
                "node_cpu_seconds_total[mode=nice] 0 0.01\n"
                "node_cpu_seconds_total[mode=system] 0 17.649999999999999\n"
                "node_cpu_seconds_total[mode=idle] 0 1352.8199999999999\n"
                "node_cpu_seconds_total[mode=iowait] 0 1.3500000000000001\n"
                "node_cpu_seconds_total[mode=irq] 0 0.02\n"
                "node_cpu_seconds_total[mode=softirq] 0 0.089999999999999997\n"
                "node_cpu_seconds_total[mode=steal] 0 0.63\n"
                "node_cpu_guest_seconds_total[mode=user] 0 0.050000000000000003\n"
                "node_cpu_guest_seconds_total[mode=nice] 0 0.059999999999999998\n"
                "node_cpu_seconds_total[mode=user] 1 44.670000000000002\n"
                "node_cpu_seconds_total[mode=nice] 1 0\n"
                "node_cpu_seconds_total[mode=system] 1 29.859999999999999\n");
        assert_string_equal(parse(proc_parse_pairs, proc_stat_metrics, stat_text, &f),
                "node_intr_total[]  290492\nnode_context_switches_total[]  543670\n"
                "node_boot_time_seconds[]  1795557115\nnode_forks_total[]  19395\nnode_procs_running[]  3\n"
                "node_procs_blocked[]  0\nscitrace_softirqs_total[]  246888\n");
}

static void memory_is_in_bytes_and_a_value_that_is_no_number_is_left_out(void **state) {
        Found f;

        (void) state;
        assert_string_equal(parse(proc_parse_pairs, proc_meminfo_metrics,
                "MemTotal:       24684084 kB\nMemFree:  x kB\nActive(anon):  5 kB\nHugePages_Total:  0\n"
                "MemAvailable:\nDirty: 18446744073709551616 kB\nSwapTotal: 8", &f),
                "node_memory_MemTotal_bytes[]  25276502016\nnode_memory_SwapTotal_bytes[]  8192\n");
        assert_string_equal(
                parse(proc_parse_pairs, proc_vmstat_metrics, "nr_free 1\npswpin 2\npswpout 3\n", &f),
                "node_vmstat_pswpin[]  2\nnode_vmstat_pswpout[]  3\n");
}

static void disks_that_were_never_used_are_left_out(void **state) {
        Found f;

        (void) state;
        assert_string_equal(parse(proc_parse_disks, proc_disk_metrics,
                "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
                "   8       1 sda1 1 2 3 4000 5 6 7 8 9 10 11\n"
                "junk\n"
                " 254       0 vda 117201 25861 4954122 55329 14655 17607 1032784 4576 0 15836 60750 7337 26 312800 772 "
                "1435 72 99 98\n", &f),
                "node_disk_reads_completed_total[] sda1 1\nnode_disk_reads_merged_total[] sda1 2\n"
                "node_disk_read_bytes_total[] sda1 1536\nnode_disk_read_time_seconds_total[] sda1 4\n"
                "node_disk_writes_completed_total[] sda1 5\nnode_disk_writes_merged_total[] sda1 6\n"
                "node_disk_written_bytes_total[] sda1 3584\n"
                "node_disk_write_time_seconds_total[] sda1 0.0080000000000000002\n"
                "node_disk_io_now[] sda1 9\nnode_disk_io_time_seconds_total[] sda1 0.01\n"
                "node_disk_io_time_weighted_seconds_total[] sda1 0.010999999999999999\n"
                "node_disk_reads_completed_total[] vda 117201\nnode_disk_reads_merged_total[] vda 25861\n"
                "node_disk_read_bytes_total[] vda 2536510464\nnode_disk_read_time_seconds_total[] vda 55.329000000000001\n"
                "node_disk_writes_completed_total[] vda 14655\nnode_disk_writes_merged_total[] vda 17607\n"
                "node_disk_written_bytes_total[] vda 528785408\n"
                "node_disk_write_time_seconds_total[] vda 4.5759999999999996\n"
                "node_disk_io_now[] vda 0\nnode_disk_io_time_seconds_total[] vda 15.836\n"
                "node_disk_io_time_weighted_seconds_total[] vda 60.75\n"
                "node_disk_discards_completed_total[] vda 7337\nnode_disk_discards_merged_total[] vda 26\n"
                "node_disk_discarded_sectors_total[] vda 312800\nnode_disk_discard_time_seconds_total[] vda 0.77200000000000002\n"
                "node_disk_flush_requests_total[] vda 1435\n"
                "node_disk_flush_requests_time_seconds_total[] vda 0.071999999999999995\n");
}

static void an_interface_may_stand_close_to_its_numbers(void **state) {
        Found f;

        (void) state;
        assert_string_equal(parse(proc_parse_network, proc_network_metrics,
                "Inter-|   Receive                  |  Transmit\n"
                " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop\n"
                "  eth0:42661682    1104    1    2    3     4          5         6    46062     560    7    8    9\n"
                "br:0: 1\n  : 5 5\nno colon 5\n", &f),
                "node_network_receive_bytes_total[] eth0 42661682\nnode_network_receive_packets_total[] eth0 1104\n"
                "node_network_receive_errs_total[] eth0 1\nnode_network_receive_drop_total[] eth0 2\n"
                "node_network_transmit_bytes_total[] eth0 46062\nnode_network_transmit_packets_total[] eth0 560\n"
                "node_network_transmit_errs_total[] eth0 7\nnode_network_transmit_drop_total[] eth0 8\n"
                "node_network_receive_bytes_total[] br:0 1\n");
}

static void load_and_pressure(void **state) {
        Found f;

        (void) state;
        assert_string_equal(parse(proc_parse_load, proc_load_metrics, "0.22 10.20 0.09 1/90 19400\n", &f),
                "node_load1[]  0.22\nnode_load5[]  10.199999999999999\nnode_load15[]  0.089999999999999997\n");
        assert_string_equal(parse(proc_parse_load, proc_load_metrics, "0.22 1.2.3 0.09\n", &f),
                            "node_load1[]  0.22\n");
        assert_string_equal(parse(proc_parse_pressure, proc_pressure_io_metrics,
                "some avg10=0.91 avg60=0.32 avg300=0.30 total=9390931\n"
                "full avg10=0.81 total=9068752\nother total=1\nsome total=x\n", &f),
                "node_pressure_io_waiting_seconds_total[]  9.3909310000000001\n"
                "node_pressure_io_stalled_seconds_total[]  9.0687519999999999\n");
}

static void a_process_may_be_called_anything(void **state) {
        static const char text[] =
                "42 (a) (b\n) S 1 42 42 0 -1 4194560 100 0 0 0 7 3 0 0 20 0 1 0 55 1000000 321 "
                "18446744073709551615 1 1\n";
        ProcProcess p;

        (void) state;
        assert_int_equal(proc_parse_process(BYTES_STR(text), &p), 0);
        assert_true(bytes_equal(p.comm, BYTES_STR("a) (b\n")));
        assert_int_equal(p.ticks, 10);
        assert_int_equal(p.resident_pages, 321);
        assert_int_equal(proc_parse_process(BYTES_STR(")("), &p), -EBADMSG);
        assert_int_equal(proc_parse_process(BYTES_STR("1 (a) S 1"), &p), -EBADMSG);
        assert_int_equal(proc_parse_process(BYTES_STR(""), &p), -EBADMSG);
}

static void junk_gives_nothing_and_harms_nothing(void **state) {
        static const struct {
                ProcParseFn fn;
                const Metric *metrics;
        } parsers[] = {
                { proc_parse_cpus, proc_cpu_metrics },   { proc_parse_pairs, proc_stat_metrics },
                { proc_parse_disks, proc_disk_metrics }, { proc_parse_network, proc_network_metrics },
                { proc_parse_load, proc_load_metrics },  { proc_parse_pressure, proc_pressure_io_metrics },
        };
        static const char *const junk[] = {
                "", "\n\n\n", " ", "cpu", "cpux 1", "cpu-1 1", "cpu99999999999999999999 1", "8 0", "8 0 sda", ":", "a:b",
                "=", "some =1", "total", "\xff\xff\xff", "ctxt", "ctxt -1", ".", "1.", "1.234 5", "-1.00",
        };
        Found f;

        (void) state;
        for (size_t i = 0; i < ELEMENTS(parsers); i++)
                for (size_t j = 0; j < ELEMENTS(junk); j++)
                        assert_string_equal(parse(parsers[i].fn, parsers[i].metrics, junk[j], &f), "");
}

static const char mounts[] =
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
        "27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard\n"
        "30 27 254:0 /home /home ro - ext4 /dev/vda rw\n"                 /* a second mount of the same */
        "31 27 0:40 / /mnt/nfs rw - nfs4 server:/x rw\n"
        "32 31 8:1 / /mnt/nfs/disk rw - ext4 /dev/sda1 rw\n"              /* the way there is through NFS */
        "33 27 8:2 / /mnt/nfsx rw - xfs /dev/my\\040disk,1 ro,seclabel\n"
        "34 27 0:41 / /net rw - autofs systemd-1 rw\n"
        "35 27 0:42 / /tmp rw - tmpfs  rw\n"                              /* no source */
        "36 27 8:3 / /over rw - ext4 /dev/sda3 rw\n"
        "37 36 0:43 / /over rw - fuse.sshfs host: rw\n"                   /* hides the one before */
        "39 27 8:4 / /home2 rw - ext4 /dev/sda4 rw\n"                     /* as ProtectHome=yes does */
        "40 39 0:50 /inaccessible /home2 ro - tmpfs tmpfs rw\n"
        "41 27 8:4 / /again rw - ext4 /dev/sda4 rw\n"
        "not a mount\n"
        "38 27 0:44 / /x rw\n";

static void only_file_systems_that_cannot_hang_are_asked(void **state) {
        FilesystemList list = { 0 };

        (void) state;
        assert_int_equal(filesystems_parse(BYTES_STR(mounts), "/home/store", &list), 0);
        assert_int_equal(list.n, 5);
        assert_string_equal(list.items[0].labels, "device=/dev/vda,fstype=ext4,mountpoint=/");
        assert_false(list.items[0].readonly);
        assert_string_equal(list.items[1].labels,
                            "device=/dev/my disk\\x2c1,fstype=xfs,mountpoint=/mnt/nfsx");
        assert_string_equal(list.items[1].path, "/mnt/nfsx");
        assert_true(list.items[1].readonly);
        assert_string_equal(list.items[2].labels, "device=,fstype=tmpfs,mountpoint=/tmp");
        assert_string_equal(list.items[3].labels, "device=tmpfs,fstype=tmpfs,mountpoint=/home2");
        assert_string_equal(list.items[4].labels, "device=/dev/sda4,fstype=ext4,mountpoint=/again");
        assert_true(list.store_safe);
        filesystems_done(&list);

        assert_int_equal(filesystems_parse(BYTES_STR(mounts), "/mnt/nfs/store", &list), 0);
        assert_false(list.store_safe);
        filesystems_done(&list);
        assert_int_equal(filesystems_parse(BYTES_STR(mounts), "/network", &list), 0);
        assert_true(list.store_safe);
        filesystems_done(&list);
}

static void labels_can_be_taken_apart_again(void **state) {
        char text[LABELS_MAX] = "";
        static char longest[LABELS_MAX];

        (void) state;
        assert_int_equal(labels_add(text, "a", BYTES_STR("x=y,z\\\n\xff\xc3\xa4")), 0);
        assert_int_equal(labels_add(text, "b", BYTES_STR("")), 0);
        assert_string_equal(text, "a=x=y\\x2cz\\x5c\\x0a\\xff\xc3\xa4,b=");
        memset(longest, 'l', sizeof(longest));
        assert_int_equal(labels_add(text, "c", BYTES(longest, sizeof(longest))), -ENAMETOOLONG);
        assert_string_equal(text, "a=x=y\\x2cz\\x5c\\x0a\\xff\xc3\xa4,b=");
}

/* The points that a chunk should give, in order. */
typedef struct Points {
        const double *values;
        const int64_t *times;           /* ms */
        int n;
} Points;

static int check_point(void *userdata, int64_t time, double value) {
        Points *p = userdata;

        assert_int_equal(time, p->times[p->n] * 1000);
        assert_memory_equal(&value, &p->values[p->n], sizeof(value));
        p->n++;
        return 0;
}

static void check_round_trip(ChunkForm form, const int64_t *times, const double *values, int n) {
        Chunk c = { 0 };
        Points p = { values, times, 0 };

        for (int i = 0; i < n; i++)
                assert_int_equal(chunk_add(&c, form, times[i] * 1000 + 999, values[i]), 0);
        assert_int_equal(metrics_decode(BYTES(c.data, c.size), check_point, &p), 0);
        assert_int_equal(p.n, n);
        chunk_done(&c);
}

static void a_chunk_gives_back_every_point_to_the_bit(void **state) {
        static const double values[] = {
                0, 1, 1, 2, 4096, 4095.99, -7, 1e15, 1e18, -1e300, 0.01, 22.35, 5e-324, INFINITY, -INFINITY,
                1, 2, 3, 3, 3, 1.0 / 3, 9007199254740992.0, -9007199254740992.0,
        };
        int64_t times[ELEMENTS(values)];

        (void) state;
        for (size_t i = 0; i < ELEMENTS(values); i++)
                times[i] = 1795557115123 + (int64_t) (10000 * i + (i * 7919) % 13);
        times[5] = times[4];                    /* the clock stands still, */
        times[9] = 0;                           /* steps back, */
        times[11] = 4000000000000000;           /* and far ahead */
        for (int exponent = 0; exponent <= CHUNK_EXPONENT_MAX; exponent += 3)
                for (int shift = 0; shift <= 12; shift += 6)
                        for (int counter = 0; counter < 2; counter++)
                                check_round_trip((ChunkForm) { (uint8_t) exponent, (uint8_t) shift, counter },
                                                 times, values, ELEMENTS(values));
}

static void a_counter_need_not_begin_at_zero(void **state) {
        static const double values[] = { 1234.56, 1234.56, 1244.54, 0.01, 9.99 };
        static const int64_t times[] = { 5000, 15000, 25000, 35001, 45000 };

        (void) state;
        for (int counter = 0; counter < 2; counter++)
                check_round_trip((ChunkForm) { 2, 0, counter }, times, values, ELEMENTS(values));
}

static int count_point(void *userdata, int64_t time, double value) {
        ++*(int *) userdata;
        return 0;
}

static void at_rest_a_point_takes_less_than_two_bytes(void **state) {
        Chunk counter = { 0 }, gauge = { 0 };
        uint32_t x = 1;

        (void) state;
        for (int i = 0; i < 360; i++) {
                int64_t time;

                x = x * 1103515245 + 12345;
                time = INT64_C(1795557600000000) + i * INT64_C(10000000) +
                       x % 3000; /* timers are late by up to 3 ms */
                /* an idle processor: 9.98 s of 10, give or take a few ticks */
                assert_int_equal(chunk_add(&counter, (ChunkForm) { 2, 0, true }, time,
                                           (double) (135282 + 998 * i + (int) (x >> 16) % 4) / 100), 0);
                assert_int_equal(chunk_add(&gauge, (ChunkForm) { 0, 10, false }, time, 25276502016.0), 0);
        }
        assert_in_range(counter.size, 1, 360 * 2);
        assert_in_range(gauge.size, 1, 360);
        chunk_done(&counter);
        chunk_done(&gauge);
}

static void a_chunk_that_was_cut_or_lengthened_is_refused(void **state) {
        Chunk c = { 0 };
        uint8_t copy[512];
        int n = 0;

        (void) state;
        for (int i = 0; i < 20; i++)
                assert_int_equal(
                        chunk_add(&c, (ChunkForm) { 2, 0, true }, i * INT64_C(10000000), i * i * 0.37), 0);
        for (size_t size = 0; size < c.size; size++)
                assert_int_equal(metrics_decode(BYTES(c.data, size), count_point, &n), -EBADMSG);
        memcpy(copy, c.data, c.size);
        copy[c.size] = 0;
        assert_int_equal(metrics_decode(BYTES(copy, c.size + 1), count_point, &n), -EBADMSG);
        assert_int_equal(metrics_decode(BYTES(copy, c.size), count_point, &n), 0);
        for (int at = 0; at < 4; at++) {        /* version, form, shift, zero */
                copy[at] ^= 0x70;
                assert_int_equal(metrics_decode(BYTES(copy, c.size), count_point, &n), -EBADMSG);
                copy[at] ^= 0x70;
        }
        copy[4] += 4;                           /* more points than bits */
        assert_int_equal(metrics_decode(BYTES(copy, c.size), count_point, &n), -EBADMSG);
        chunk_done(&c);
}

static void a_full_chunk_takes_no_more_and_stays_readable(void **state) {
        Chunk c = { 0 };
        int added = 0, n = 0, r;

        (void) state;
        while ((r = chunk_add(&c, (ChunkForm) { 0, 0, false }, added * INT64_C(123456789012), added / 3.1)) ==
               0)
                added++;
        assert_int_equal(r, CHUNK_E_FULL);
        assert_true(added > 3600);
        assert_true(c.capacity <= CHUNK_SIZE_MAX);
        assert_int_equal(metrics_decode(BYTES(c.data, c.size), count_point, &n), 0);
        assert_int_equal(n, added);
        chunk_done(&c);
}

static const Metric gauge = { "", "g", "", "k", "", 0, 0, false };
static const Metric counter = { "", "c_total", "seconds", "", "", 0, 2, true };

/* The chunks of a flush, "name labels from points" a line, times in s. */
static int note_chunk(void *userdata, const MetricsChunk *c) {
        Found *f = userdata;
        int n = 0;

        assert_int_equal(metrics_decode(c->data, count_point, &n), 0);
        assert_int_equal(n, c->points);
        f->used += (size_t) snprintf(f->text + f->used, sizeof(f->text) - f->used, "%s %s %d-%d %d\n",
                                     c->name, c->labels, (int) (c->from / 1000000),
                                     (int) (c->until / 1000000), c->points);
        return 0;
}

static const char *flush(SeriesTable *t, Found *f) {
        f->used = 0;
        f->text[0] = '\0';
        assert_int_equal(series_flush(t, note_chunk, f), 0);
        return f->text;
}

static int refuse_chunk(void *userdata, const MetricsChunk *c) {
        return -ENOSPC;
}

static int note_value(void *userdata, const MetricsPoint *p) {
        Found *f = userdata;

        f->used += (size_t) snprintf(f->text + f->used, sizeof(f->text) - f->used, "%s{%s} %g\n", p->name,
                                     p->labels, p->value);
        return 0;
}

static const char *points(SeriesTable *t, Found *f) {
        f->used = 0;
        f->text[0] = '\0';
        assert_int_equal(series_points(t, note_value, f), 0);
        return f->text;
}

static void sample(SeriesTable *t, int64_t seconds, const char *keys) {
        series_begin(t, seconds * 1000000);
        for (const char *k = keys; *k; k++)
                assert_int_equal(series_put(t, &gauge, BYTES(k, 1), (double) seconds), 0);
        assert_int_equal(series_put(t, &counter, BYTES("", 0), (double) seconds), 0);
}

static void a_chunk_ends_at_the_full_hour_and_is_flushed_until_it_was_taken(void **state) {
        SeriesTable t = { 0 };
        Found f;

        (void) state;
        sample(&t, 3000, "a");
        assert_string_equal(flush(&t, &f), "g k=a 3000-3000 1\nc_total  3000-3000 1\n");
        sample(&t, 3010, "a");
        assert_string_equal(flush(&t, &f), "g k=a 3000-3010 2\nc_total  3000-3010 2\n");
        sample(&t, 3599, "a");
        sample(&t, 3600, "a");
        assert_int_equal(series_flush(&t, refuse_chunk, NULL), -ENOSPC);
        assert_string_equal(flush(&t, &f),
                            "g k=a 3000-3599 3\ng k=a 3600-3600 1\nc_total  3000-3599 3\nc_total  3600-3600 1\n");
        assert_string_equal(flush(&t, &f), "g k=a 3600-3600 1\nc_total  3600-3600 1\n");
        series_done(&t);
}

static void what_has_gone_is_no_point_and_is_dropped_after_an_hour(void **state) {
        SeriesTable t = { 0 };
        Found f;

        (void) state;
        sample(&t, 10, "abc");
        sample(&t, 20, "cdb");
        assert_string_equal(points(&t, &f), "g{k=b} 20\ng{k=c} 20\nc_total{} 20\ng{k=d} 20\n");
        sample(&t, 3610, "b");
        assert_int_equal(t.n, 5);
        (void) flush(&t, &f);
        assert_non_null(strstr(f.text, "g k=a 10-10 1\n"));
        assert_int_equal(t.n, 4);       /* c and d were still there at 20 */
        sample(&t, 3620, "b");
        (void) flush(&t, &f);
        assert_int_equal(t.n, 2);
        series_done(&t);
}

static void series_beyond_the_limit_are_refused_and_counted(void **state) {
        SeriesTable t = { 0 };
        char key[16];

        (void) state;
        series_begin(&t, 0);
        for (int i = 0; i < SERIES_MAX; i++) {
                snprintf(key, sizeof(key), "%d", i);
                assert_int_equal(series_put(&t, &gauge, BYTES_STR(key), 0), 0);
        }
        assert_int_equal(series_put(&t, &gauge, BYTES_STR("x"), 0), SERIES_E_REFUSED);
        assert_int_equal(series_put(&t, &gauge, BYTES_STR("0"), 0), 0);
        assert_int_equal(t.refused, 1);
        series_done(&t);
}

static int find_own(void *userdata, const MetricsPoint *p) {
        int *found = userdata;

        assert_int_equal(p->time, 1234567);
        if (strcmp(p->name, "scitrace_process_resident_memory_bytes") == 0 &&
            strcmp(p->labels, "process=test-metrics") == 0)
                *found += p->value > 100000;
        if (strcmp(p->name, "scitrace_process_count") == 0)
                *found += p->value == 2;
        if (strcmp(p->name, "scitrace_unwatched_directories") == 0)
                *found += p->value == 2;
        if (strcmp(p->name, "node_boot_time_seconds") == 0)
                *found += p->value > 1e9;
        return 0;
}

static void the_machine_and_this_process_are_sampled(void **state) {
        pid_t pid = getpid();
        Metrics *m = NULL;
        int found = 0;

        (void) state;
        assert_int_equal(metrics_new(&m), 0);
        metrics_watching(m, &(MetricsWatching) { .watches = 3, .unwatched = 2, .restarts = 1 });
        assert_int_equal(metrics_sample(m, 1234567, &pid, 1, "/tmp"), 0);
        assert_int_equal(metrics_points(m, find_own, &found), 0);
        assert_int_equal(found, 4);
        metrics_free(m);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(processors_are_told_by_mode_and_the_sum_line_is_left_out),
                cmocka_unit_test(memory_is_in_bytes_and_a_value_that_is_no_number_is_left_out),
                cmocka_unit_test(disks_that_were_never_used_are_left_out),
                cmocka_unit_test(an_interface_may_stand_close_to_its_numbers),
                cmocka_unit_test(load_and_pressure),
                cmocka_unit_test(a_process_may_be_called_anything),
                cmocka_unit_test(junk_gives_nothing_and_harms_nothing),
                cmocka_unit_test(only_file_systems_that_cannot_hang_are_asked),
                cmocka_unit_test(labels_can_be_taken_apart_again),
                cmocka_unit_test(a_chunk_gives_back_every_point_to_the_bit),
                cmocka_unit_test(a_counter_need_not_begin_at_zero),
                cmocka_unit_test(at_rest_a_point_takes_less_than_two_bytes),
                cmocka_unit_test(a_chunk_that_was_cut_or_lengthened_is_refused),
                cmocka_unit_test(a_full_chunk_takes_no_more_and_stays_readable),
                cmocka_unit_test(a_chunk_ends_at_the_full_hour_and_is_flushed_until_it_was_taken),
                cmocka_unit_test(what_has_gone_is_no_point_and_is_dropped_after_an_hour),
                cmocka_unit_test(series_beyond_the_limit_are_refused_and_counted),
                cmocka_unit_test(the_machine_and_this_process_are_sampled),
        };

        return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
