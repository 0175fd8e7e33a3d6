/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/say.h"
#include "ctl/view.h"
#include "lib/text.h"
#include "lib/time.h"

/* What the screen says of the machine; a value that nobody sampled is below 0. */
typedef struct Machine {
        double load[3], total, available;
} Machine;

/* Seconds that the processors spent between the first and the last of a few samples. Points come series by
 * series, each in the order of time. */
typedef struct Processors {
        char series[64];                /* cpu and mode of the last point */
        bool idle;
        double first, last;
        double spent, spent_idle;       /* of the series before */
} Processors;

enum { PROCESSORS_USEC = 25 * 1000 * 1000 };    /* the daemon samples each 10 s */

static void end_series(Processors *p) {
        if (p->last > p->first) {
                p->spent += p->last - p->first;
                p->spent_idle += p->idle ? p->last - p->first : 0;
        }
}

static Status take_processor(Ctl *c, json_t *point, bool *stop, void *userdata) {
        const json_t *labels = json_object_get(point, "labels");
        const char *mode = row_text(labels, "mode");
        Processors *p = userdata;
        double value = json_number_value(json_object_get(point, "value"));
        char series[sizeof(p->series)];

        snprintf(series, sizeof(series), "%.24s %.24s", row_text(labels, "cpu"), mode);
        if (strcmp(series, p->series) != 0) {
                end_series(p);
                memcpy(p->series, series, sizeof(series));
                p->idle = strcmp(mode, "idle") == 0 || strcmp(mode, "iowait") == 0;
                p->first = value;
        }
        p->last = value;
        return STATUS_OK;
}

static Status take_point(Ctl *c, json_t *point, bool *stop, void *userdata) {
        double value = json_number_value(json_object_get(point, "value"));
        Machine *m = userdata;
        const struct {
                const char *name;
                double *to;
        } wanted[] = {
                { "node_load1", &m->load[0] },
                { "node_load5", &m->load[1] },
                { "node_load15", &m->load[2] },
                { "node_memory_MemTotal_bytes", &m->total },
                { "node_memory_MemAvailable_bytes", &m->available },
        };

        for (size_t i = 0; i < ELEMENTS(wanted); i++)
                if (strcmp(wanted[i].name, row_text(point, "name")) == 0)
                        *wanted[i].to = value;
        return STATUS_OK;
}

static void print_machine(Ctl *c) {
        json_t *parameters = json_pack("{s:[s,s]}", "names", "node_load", "node_memory_Mem");
        Machine m = { .load = { -1, -1, -1 }, .total = -1, .available = -1 };
        char total[HUMAN_MAX], used[HUMAN_MAX];
        Processors p = { 0 };

        (void) ask_rows_quietly(c, "org.scitrace.Metrics.Sample", parameters, "point", take_point, &m);
        if (m.load[0] < 0 || m.total <= 0 || m.available < 0)
                return;
        parameters = named("node_cpu_seconds_total");
        (void) json_object_set_new(parameters, "sinceUsec",
                                   json_integer(now_usec(CLOCK_REALTIME) - PROCESSORS_USEC));
        (void) ask_rows_quietly(c, "org.scitrace.Metrics.Series", parameters, "point", take_processor, &p);
        end_series(&p);
        view_line(c, "machine", "", "load %.2f %.2f %.2f, memory %.0f%% used (%s of %s)", m.load[0],
                  m.load[1], m.load[2], 100 * (m.total - m.available) / m.total,
                  human_size((int64_t) (m.total - m.available), used), human_size((int64_t) m.total, total));
        if (p.spent > 0)
                view_line(c, "", "", "processors %.0f%% busy", 100 * (p.spent - p.spent_idle) / p.spent);
}

static void print_troubles(const Ctl *c, const json_t *d) {
        static const struct {
                const char *member, *one, *many;
        } troubles[] = {
                { "overflows", "queue ran over", "queues ran over" },
                { "watcherRestarts", "watcher was restarted", "watchers were restarted" },
        };

        for (size_t i = 0; i < ELEMENTS(troubles); i++) {
                long long n = (long long) row_number(d, troubles[i].member);

                if (n > 0)
                        view_line(c, "since start", STYLE_YELLOW, "%lld %s", n,
                                  n == 1 ? troubles[i].one : troubles[i].many);
        }
}

/* Of what is watched: the gaps of a dataset that was removed worry nobody. */
static void print_coverage(const Ctl *c, const json_t *datasets) {
        const char *name = "";
        long long gaps = 0;
        json_t *dataset;
        size_t i;

        json_array_foreach(datasets, i, dataset) {
                if (row_number(dataset, "gapsOpen") > 0 && gaps == 0)
                        name = row_text(dataset, "name");
                gaps += row_number(dataset, "gapsOpen");
        }
        if (gaps == 0) {
                view_line(c, "coverage", "", "no gap is open");
                return;
        }
        view_line(c, "coverage", STYLE_RED,
                  "%lld gap%s open: changes may go unseen; 'scitracectl coverage %s'",
                  gaps, gaps == 1 ? " is" : "s are", name);
}

static void print_daemon(Ctl *c, const json_t *d, const json_t *datasets) {
        CLEANUP(freep) char *store = row_name(d, "storePath"), *reason = row_name(d, "reason");
        long long pending = (long long) row_number(d, "pending");
        bool running = strcmp(row_text(d, "state"), "running") == 0;
        char span[TIME_TEXT_MAX], size[HUMAN_MAX];

        printf("%sscitraced %s%s: %s%s%s, %s mode, pid %lld, up %s\n", style(c, STYLE_BOLD),
               row_text(d, "version"), style(c, STYLE_END), style(c, running ? STYLE_GREEN : STYLE_RED),
               row_text(d, "state"), style(c, STYLE_END), row_text(d, "mode"),
               (long long) row_number(d, "pid"), time_format_span(row_number(d, "uptimeUsec"), span));
        if (reason)
                view_line(c, "reason", STYLE_RED, "%s", reason);
        view_line(c, "store", "", "%s, %lld events, %s", human_size(row_number(d, "storeBytes"), size),
                  (long long) row_number(d, "events"), store ? store : "?");
        view_line(c, "memory", "", "%s", human_size(row_number(d, "memoryBytes"), size));
        view_line(c, "watching", "", "%lld director%s, %lld change%s pending",
                  (long long) row_number(d, "watches"), row_number(d, "watches") == 1 ? "y" : "ies", pending,
                  pending == 1 ? "" : "s");
        print_coverage(c, datasets);
        view_limit(c, d, "            ");
        print_troubles(c, d);
        print_machine(c);
}

static Status take_dataset(Ctl *c, json_t *row, bool *stop, void *userdata) {
        return json_array_append(userdata, row) < 0 ? complain_memory() : STATUS_OK;
}

static Status print_all(Ctl *c, const json_t *d, json_t *datasets) {
        Viewer v = { .view = &dataset_view };
        json_t *dataset;
        Status status;
        size_t i;

        status = ask_rows(c, "org.scitrace.Datasets.List", NULL, "dataset", take_dataset, datasets);
        if (status == STATUS_OK)
                status = pager_open(c);
        if (status != STATUS_OK)
                return status;
        print_daemon(c, d, datasets);
        putchar('\n');
        json_array_foreach(datasets, i, dataset)
                if (status == STATUS_OK)
                        status = viewer_show(c, &v, dataset);
        return viewer_close(c, &v, status);
}

Status cmd_status(Ctl *c, char **arguments) {
        json_t *answer = NULL, *datasets;
        Status status = ask(c, "org.scitrace.Service.Describe", NULL, &answer);

        if (status != STATUS_OK)
                return status;
        datasets = json_array();
        if (c->options.format == FORMAT_TABLE)
                status = print_all(c, answer, datasets);
        else
                view_json(c, answer);
        json_decref(datasets);
        json_decref(answer);
        return status;
}
