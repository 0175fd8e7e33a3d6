/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "ctl/ask.h"
#include "ctl/event.h"
#include "ctl/path.h"
#include "ctl/say.h"
#include "ctl/then.h"
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

/* With -n the newest lines are counted first, newest to oldest, and then shown, oldest to newest: however
 * many they are, no row is kept. */
typedef struct Log {
        Viewer viewer;
        bool one, fold;
        bool live;                      /* what comes now has only just happened: it is shown at once */
        Fold run, counted;              /* of .git, as far as rows were shown; as far as they were counted */
        int64_t wanted, lines;          /* how many lines are wanted; have been counted */
        int64_t oldest, newest;         /* seq of the events that make them; 0: not counted */
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
        if (log->live)
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

        if (log->run.git && !log->live)
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
                /* Nobody knows when a run that goes on ends: its first event shows it. */
                if (log->live)
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

/* Whether the row begins a line of its own; .git's are folded. */
static bool begins_line(Log *log, const json_t *row) {
        CLEANUP(freep) char *path = row_name(row, "path");
        const char *dataset = row_text(row, "dataset");

        if (!log->fold)
                return true;
        if (path && fold_same(&log->counted, dataset, path))
                return false;
        (void) fold_begin(&log->counted, dataset, path ? path : "");
        return true;
}

static Status count(Ctl *c, json_t *row, bool *stop, void *userdata) {
        Log *log = userdata;

        log->lines += begins_line(log, row);
        if (log->lines > log->wanted) {
                *stop = true;
                return STATUS_OK;
        }
        log->oldest = row_number(row, "seq");
        log->newest = MAX_OF(log->newest, log->oldest);
        return STATUS_OK;
}

static Status count_newest(Ctl *c, Log *log, json_t *filter) {
        json_t *parameters = json_copy(filter);
        Status status;

        json_object_set_new(parameters, "reverse", json_true());
        if (!log->fold)
                json_object_set_new(parameters, "limit", json_integer(log->wanted));
        status = ask_rows(c, method, parameters, key, count, log);
        if (log->oldest > 0)
                json_object_set_new(filter, "after", json_integer(log->oldest - 1));
        return status;
}

static Status show(Ctl *c, json_t *row, bool *stop, void *userdata) {
        Log *log = userdata;
        int64_t seq = row_number(row, "seq");
        Status status;

        /* Recorded since the newest were counted. */
        *stop = screen_broken() || (log->newest > 0 && seq > log->newest && !c->options.follow);
        if (*stop)
                return STATUS_OK;
        status = viewer_show(c, &log->viewer, row);
        if (!log->live && seq != log->newest)
                return status;
        if (!log->live && log->viewer.table)
                end_run(c, log->viewer.table, log);
        log->live = c->options.follow;
        return status == STATUS_OK ? viewer_flush(&log->viewer) : status;
}

/* Newest first: the lines are counted as they are shown. */
static Status show_reverse(Ctl *c, json_t *row, bool *stop, void *userdata) {
        Log *log = userdata;

        *stop = screen_broken() || (log->wanted > 0 && (log->lines += begins_line(log, row)) > log->wanted);
        return *stop ? STATUS_OK : viewer_show(c, &log->viewer, row);
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
        return json_object_size(name) > 0 ? 0 : then_parameter(c, name, argument, PATH_ITSELF);
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
        if (o->as_of)
                json_object_set_new(filter, "asOfUsec", json_integer(o->as_of));
        if (o->until)
                json_object_set_new(filter, "untilUsec", json_integer(o->until));
        return *arguments ? add_paths(c, filter, arguments, ret_in_git) : 0;
}

static Status ask_log(Ctl *c, Log *log, json_t *filter) {
        const Options *o = &c->options;
        Status status = STATUS_OK;

        log->wanted = o->lines ? o->lines : o->follow && !o->since ? FOLLOW_LINES : 0;
        if (o->reverse) {
                json_object_set_new(filter, "reverse", json_true());
                return ask_rows(c, method, json_incref(filter), key, show_reverse, log);
        }
        if (log->wanted)
                status = count_newest(c, log, filter);
        if (status != STATUS_OK || (log->wanted && log->newest == 0 && !o->follow))
                return status;
        if (o->follow) {
                c->options.no_pager = true;
                ask_until_interrupted();
                log->live = log->newest == 0;
                json_object_set_new(filter, "follow", json_true());
        }
        return ask_rows(c, method, json_incref(filter), key, show, log);
}

static Status take_name(Ctl *c, json_t *row, bool *stop, void *userdata) {
        return json_array_append(userdata, json_object_get(row, "name")) < 0 ? complain_memory() : STATUS_OK;
}

/* Whether the log of then lacks what happened in a gap. */
static void unseen_then(Ctl *c) {
        json_t *names = json_array(), *name;
        size_t i;

        if (c->options.dataset)
                json_array_append_new(names, word_value(c->options.dataset));
        else
                (void) ask_rows_quietly(c, "org.scitrace.Datasets.List", NULL, "dataset", take_name, names);
        json_array_foreach(names, i, name)
                unseen_dataset(c, json_string_value(name));
        json_decref(names);
}

Status cmd_log(Ctl *c, char **arguments) {
        Log log = { .one = c->options.dataset != NULL };
        bool in_git = false;
        json_t *filter;
        Status status;
        int r;

        if (c->options.follow && (c->options.reverse || c->options.as_of))
                return complain(STATUS_USAGE,
                                "--follow shows what comes, newest last; --%s cannot go with it",
                                c->options.as_of ? "as-of" : "reverse");
        filter = json_object();
        r = make_filter(c, arguments, filter, &in_git);
        if (r < 0) {
                json_decref(filter);
                return complain_errno(r, "cannot ask about that path");
        }
        log.fold = c->options.format == FORMAT_TABLE && !c->options.all && !in_git;
        log.viewer = (Viewer) { .view = log.one ? &view_of_one : &view, .userdata = &log };
        status = ask_log(c, &log, filter);
        status = viewer_close(c, &log.viewer, status);
        if (status == STATUS_OK && c->options.as_of && c->options.format == FORMAT_TABLE)
                unseen_then(c);
        fold_done(&log.run);
        fold_done(&log.counted);
        json_decref(filter);
        return status;
}
