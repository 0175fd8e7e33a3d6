/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "ctl/ask.h"
#include "ctl/event.h"
#include "ctl/path.h"
#include "ctl/say.h"
#include "ctl/view.h"
#include "lib/time.h"

static const char method[] = "org.scitrace.Record.Events", key[] = "event";

enum { FOLLOW_LINES = 10 };     /* what -f shows of the past, unless it is told */

static const TableColumn columns[] = {
        { "SEQ", true, false },  { "TIME", false, false },    { "KIND", false, false },
        { "SIZE", true, false }, { "DATASET", false, false }, { "PATH", false, true },
};
static const TableColumn columns_of_one[] = {
        { "SEQ", true, false },
        { "TIME", false, false },
        { "KIND", false, false },
        { "SIZE", true, false },
        { "PATH", false, true },
};

typedef struct Log {
        Viewer viewer;
        bool one, fold, following;
        Fold run;                       /* what is being shown */
        json_t *newest;                 /* the newest rows, newest first */
        Fold counted;                   /* the run at the end of newest */
        int64_t lines;                  /* that newest will be */
        int64_t wanted;
} Log;

static void print_event(Ctl *c, Table *t, const json_t *row, const Log *log) {
        CLEANUP(freep) char *path = event_path(c, row);

        cell_number(t, row, "seq");
        cell_time(t, row, "timeUsec");
        cell_text(t, row, "kind", event_style(c, row));
        cell_size(t, row, "size");
        if (!log->one)
                cell_text(t, row, "dataset", NULL);
        table_cell(t, path ? path : "", NULL);
}

static void print_run(Ctl *c, Table *t, const Log *log) {
        const Fold *run = &log->run;
        char seq[32], buf[TIME_TEXT_MAX], path[256];

        snprintf(seq, sizeof(seq), "%lld", (long long) run->seq);
        if (log->following)
                snprintf(path, sizeof(path), "%s/ [changes; --all]", run->git);
        else
                snprintf(path, sizeof(path), "%s/ [%lld event%s; --all]", run->git, (long long) run->rows,
                         run->rows == 1 ? "" : "s");
        table_cell(t, seq, NULL);
        table_cell(t, time_format(run->time, buf), NULL);
        table_cell(t, "-", NULL);
        table_cell(t, "-", NULL);
        if (!log->one)
                table_cell(t, run->dataset, NULL);
        table_cell(t, path, style(c, STYLE_DIM));
}

static void end_run(Ctl *c, Table *t, void *userdata) {
        Log *log = userdata;

        if (log->run.git && !log->following)
                print_run(c, t, log);
        fold_done(&log->run);
}

static void cells(Ctl *c, Table *t, json_t *row, void *userdata) {
        CLEANUP(freep) char *path = row_name(row, "path");
        const char *dataset = row_text(row, "dataset");
        Log *log = userdata;

        if (log->fold && path && fold_same(&log->run, dataset, path)) {
                fold_add(&log->run, row);
                return;
        }
        end_run(c, t, log);
        if (log->fold && path && fold_begin(&log->run, dataset, path)) {
                fold_add(&log->run, row);
                /* Nobody knows when a run that is being followed ends: its first event shows it. */
                if (log->following)
                        print_run(c, t, log);
                return;
        }
        print_event(c, t, row, log);
}

static const View view = { method, key, columns, ELEMENTS(columns), cells, "Nothing is recorded of that.",
                           end_run };
static const View view_of_one = {
        method,  key, columns_of_one, ELEMENTS(columns_of_one), cells, "Nothing is recorded of that.",
        end_run,
};

static Status show(Ctl *c, json_t *row, bool *stop, void *userdata) {
        Log *log = userdata;
        Status status = viewer_show(c, &log->viewer, row);

        if (status == STATUS_OK && log->following)
                status = viewer_flush(&log->viewer);
        *stop = screen_broken();
        return status;
}

/* Keeps rows, newest first, until they make as many lines as are wanted. */
static Status keep(Ctl *c, json_t *row, bool *stop, void *userdata) {
        CLEANUP(freep) char *path = row_name(row, "path");
        const char *dataset = row_text(row, "dataset");
        Log *log = userdata;

        if (!log->fold || !path || !fold_same(&log->counted, dataset, path)) {
                if (log->lines == log->wanted) {
                        *stop = true;
                        return STATUS_OK;
                }
                log->lines++;
                if (path)
                        (void) fold_begin(&log->counted, dataset, path);
        }
        return json_array_append(log->newest, row) < 0 ? complain_memory() : STATUS_OK;
}

/* Copies the filter and adds to it. */
static json_t *with(const json_t *filter, const char *name, json_t *value) {
        json_t *copy = json_copy((json_t *) filter);

        json_object_set_new(copy, name, value);
        return copy;
}

static Status show_newest(Ctl *c, Log *log, const json_t *filter) {
        json_t *parameters = with(filter, "reverse", json_true());
        Status status;

        if (!log->fold)
                json_object_set_new(parameters, "limit", json_integer(log->wanted));
        log->newest = json_array();
        status = ask_rows(c, method, parameters, key, keep, log);
        fold_done(&log->counted);
        for (size_t i = 0, n = json_array_size(log->newest);
             i < n && status == STATUS_OK && !screen_broken(); i++)
                status = viewer_show(c, &log->viewer,
                                     json_array_get(log->newest, c->options.reverse ? i : n - 1 - i));
        return status;
}

static Status follow(Ctl *c, Log *log, const json_t *filter) {
        json_t *parameters = with(filter, "follow", json_true());
        json_t *newest = json_array_get(log->newest, 0);
        Status status = viewer_flush(&log->viewer);

        if (status != STATUS_OK) {
                json_decref(parameters);
                return status;
        }
        if (newest)
                json_object_set_new(parameters, "after", json_integer(row_number(newest, "seq")));
        if (log->viewer.table)
                end_run(c, log->viewer.table, log);
        log->following = true;
        ask_until_interrupted();
        return ask_rows(c, method, parameters, key, show, log);
}

static Status take_root(Ctl *c, json_t *row, bool *stop, void *userdata) {
        static const char *const members[] = { "path", "pathBase64" };

        for (size_t i = 0; i < ELEMENTS(members); i++)
                if (row_has(row, members[i]))
                        json_object_set(userdata, members[i], json_object_get(row, members[i]));
        return STATUS_OK;
}

/* A word that is no file here, but a dataset's name, means its root. */
static int name_of_path(Ctl *c, const char *argument, json_t *name) {
        struct stat st;

        if (!strchr(argument, '/') && lstat(argument, &st) < 0)
                (void) ask_rows_quietly(c, "org.scitrace.Datasets.List", named(argument), "dataset",
                                        take_root, name);
        return json_object_size(name) > 0 ? 0 : path_parameter(name, argument, PATH_ITSELF);
}

static int add_paths(Ctl *c, json_t *filter, char **arguments, bool *ret_in_git) {
        json_t *paths = json_array();

        if (!paths || json_object_set_new(filter, "paths", paths) < 0)
                return -ENOMEM;
        for (; *arguments; arguments++) {
                json_t *name = json_object();
                int r = name_of_path(c, *arguments, name);

                if (json_array_append_new(paths, name) < 0)
                        return -ENOMEM;
                if (r < 0)
                        return r;
                *ret_in_git |= strstr(*arguments, ".git") != NULL;
        }
        return 0;
}

static int make_filter(Ctl *c, char **arguments, json_t *filter, bool *ret_in_git) {
        const Options *o = &c->options;

        if (o->dataset)
                json_object_set_new(filter, "dataset", word_value(o->dataset));
        if (o->kinds)
                json_object_set(filter, "kinds", o->kinds);
        if (o->since)
                json_object_set_new(filter, "sinceUsec", json_integer(o->since));
        if (o->until)
                json_object_set_new(filter, "untilUsec", json_integer(o->until));
        return *arguments ? add_paths(c, filter, arguments, ret_in_git) : 0;
}

Status cmd_log(Ctl *c, char **arguments) {
        Log log = { .one = c->options.dataset != NULL, .wanted = c->options.lines };
        bool in_git = false;
        json_t *filter;
        Status status;
        int r;

        if (c->options.follow && c->options.reverse)
                return complain(STATUS_USAGE,
                                "--follow shows what comes, newest last; --reverse cannot go with it");
        filter = json_object();
        r = make_filter(c, arguments, filter, &in_git);
        if (r < 0) {
                json_decref(filter);
                return complain_errno(r, "cannot ask about that path");
        }
        if (c->options.follow) {
                c->options.no_pager = true;
                if (!log.wanted && !c->options.since)
                        log.wanted = FOLLOW_LINES;
        }
        log.fold = c->options.format == FORMAT_TABLE && !c->options.all && !in_git;
        log.viewer = (Viewer) { .view = log.one ? &view_of_one : &view, .userdata = &log };
        if (log.wanted)
                status = show_newest(c, &log, filter);
        else if (!c->options.follow)
                status = ask_rows(c, method, with(filter, "reverse", json_boolean(c->options.reverse)), key,
                                  show, &log);
        else
                status = STATUS_OK;
        if (status == STATUS_OK && c->options.follow)
                status = follow(c, &log, filter);
        status = viewer_close(c, &log.viewer, status);
        fold_done(&log.run);
        json_decref(log.newest);
        json_decref(filter);
        return status;
}
