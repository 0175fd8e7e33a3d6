/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/control/args.h"
#include "daemon/control/methods.h"
#include "daemon/control/outcome.h"
#include "daemon/control/rows.h"

/* Events: answered in slices. A slice ends where the client does not read on, or where the record ends; the
 * next one goes on behind the last row. So neither a slow reader nor a follower holds a query thread or a
 * snapshot. */
typedef struct Events {
        QueryEvents filter;
        Bytes *paths;
        bool follow;
        Call *call;
        Query *query;                   /* while a slice runs */
        bool stopped;
} Events;

static void events_free(Call *c) {
        Events *v = c->state;

        if (!v)
                return;
        for (size_t i = 0; i < v->filter.n_paths; i++)
                free((uint8_t *) v->paths[i].data);
        free(v->paths);
        free(v);
}

static int events_paths(Call *c, Events *v) {
        json_t *paths = json_object_get(c->parameters, "paths"), *path;
        size_t i;

        if (json_array_size(paths) == 0)
                return 0;
        v->paths = calloc(json_array_size(paths), sizeof(*v->paths));
        if (!v->paths)
                return -ENOMEM;
        v->filter.paths = v->paths;
        json_array_foreach(paths, i, path) {
                uint8_t *data;
                size_t size;

                if (!args_path(c, path, "paths", &data, &size))
                        return 0;
                v->paths[v->filter.n_paths++] = BYTES(data, size);
        }
        return 0;
}

static int events_start(Call *c) {
        Events *v = calloc(1, sizeof(*v));
        QueryEvents *f;

        if (!v)
                return -ENOMEM;
        c->state = v;
        c->resumable = true;
        v->call = c;
        v->follow = args_bool(c->parameters, "follow");
        f = &v->filter;
        f->dataset = args_string(c->parameters, "dataset");
        f->reverse = args_bool(c->parameters, "reverse");
        if (!args_number(c, "sinceUsec", 0, &f->since) || !args_number(c, "untilUsec", 0, &f->until) ||
            !args_number(c, "asOfUsec", 1, &f->as_of) || !args_number(c, "after", 0, &f->after) ||
            !args_number(c, "before", 1, &f->before) || !args_number(c, "limit", 1, &f->limit) ||
            !args_words(c, "kinds", kind_from_word, &f->kinds) ||
            !args_words(c, "origins", origin_from_word, &f->origins))
                return 0;
        if (v->follow && f->reverse)
                call_invalid(c, "reverse");
        else if (v->follow && f->before)
                call_invalid(c, "before");
        else if (v->follow && f->as_of)
                call_invalid(c, "asOfUsec");
        return c->answered ? 0 : events_paths(c, v);
}

static int events_row(void *userdata, const QueryEvent *row) {
        Events *v = userdata;
        QueryEvents *f = &v->filter;

        rows_event(call_row(v->call, "event"), row);
        *(f->reverse ? &f->before : &f->after) = row->event.seq;
        v->stopped = call_row_end(v->call, v->query) != 0;
        if (f->limit > 0 && --f->limit == 0) {
                v->stopped = true;
                v->call->next = CALL_END;
        }
        return v->stopped;
}

/* Which of the paths is in no dataset? */
static void events_nowhere(Call *c, Query *q, const QueryEvents *f) {
        for (size_t i = 0; i < f->n_paths; i++) {
                CLEANUP(freep) char *name = outcome_holder(q, f->paths[i]);

                if (!name) {
                        outcome_path(c, q, QUERY_E_NO_DATASET, f->paths[i]);
                        return;
                }
        }
        outcome_no_dataset(c, f->dataset ? f->dataset : "");
}

static int events_run(Call *c, Query *q) {
        Events *v = c->state;
        QueryEvents filter = v->filter; /* ours moves on with each row */
        int r;

        v->query = q;
        v->stopped = false;
        r = query_events(q, &filter, events_row, v);
        if (r == QUERY_E_NO_DATASET) {
                events_nowhere(c, q, &v->filter);
                return 0;
        }
        if (r != 0 || v->stopped || !v->follow)
                return r;
        /* All up to here was looked at, whether it matched or not. */
        v->filter.after = MAX_OF(v->filter.after, c->upto);
        c->after = v->filter.after;
        c->next = CALL_PARK;
        return 0;
}

/* Files, History, Show: one run each. */
typedef struct Walk {
        Bytes path;                     /* absent: the whole dataset */
        int64_t as_of;                  /* µs; 0: now */
        int64_t limit;
        Call *call;
        Query *query;
} Walk;

static void walk_free(Call *c) {
        Walk *w = c->state;

        if (w)
                free((uint8_t *) w->path.data);
        free(w);
}

/* object: has the path; NULL: there is none. */
static int walk_start(Call *c, const json_t *object, const char *parameter) {
        Walk *w = calloc(1, sizeof(*w));
        uint8_t *data;
        size_t size;

        if (!w)
                return -ENOMEM;
        c->state = w;
        w->call = c;
        if (object && args_path(c, object, parameter, &data, &size))
                w->path = BYTES(data, size);
        if (!c->answered && args_number(c, "limit", 1, &w->limit))
                (void) args_number(c, "asOfUsec", 1, &w->as_of);
        return 0;
}

static int path_start(Call *c) {
        return walk_start(c, c->parameters, "path");
}

static int files_start(Call *c) {
        json_t *directory = json_object_get(c->parameters, "directory");

        if (json_is_null(directory))
                directory = NULL;
        if (!directory && !args_string(c->parameters, "dataset"))
                call_invalid(c, "dataset");
        else if (directory && args_string(c->parameters, "dataset"))
                call_invalid(c, "directory");
        return c->answered ? 0 : walk_start(c, directory, "directory");
}

static int file_row(void *userdata, const QueryFile *row) {
        Walk *w = userdata;

        rows_file(call_row(w->call, "file"), row);
        return call_row_end(w->call, w->query);
}

static int event_row(void *userdata, const QueryEvent *row) {
        Walk *w = userdata;

        rows_event(call_row(w->call, "event"), row);
        return call_row_end(w->call, w->query);
}

static int named(Call *c, Query *q, int outcome) {
        const Walk *w = c->state;

        if (outcome == QUERY_E_PRUNED) {
                call_error(c, "org.scitrace.Record.Pruned", NULL);
                return 0;
        }
        if (outcome == QUERY_E_TOO_EARLY) {
                outcome_too_early(c, q, args_string(c->parameters, "dataset"), w->path);
                return 0;
        }
        if (outcome != QUERY_E_NO_DATASET && outcome != QUERY_E_NO_FILE)
                return outcome;
        if (w->path.data)
                outcome_path(c, q, outcome, w->path);
        else
                outcome_no_dataset(c, args_string(c->parameters, "dataset"));
        return 0;
}

static int files_run(Call *c, Query *q) {
        Walk *w = c->state;

        w->query = q;
        return named(c, q,
                     query_files(q, args_string(c->parameters, "dataset"), w->path, w->as_of, w->limit,
                                 file_row, w));
}

static int history_run(Call *c, Query *q) {
        Walk *w = c->state;

        w->query = q;
        return named(c, q, query_history(q, w->path, w->limit, event_row, w));
}

static int show_run(Call *c, Query *q) {
        Walk *w = c->state;

        w->query = q;
        return named(c, q, query_show(q, w->path, w->as_of, file_row, w));
}

const Method methods_record[] = {
        { "org.scitrace.Record.Events", .more = true, .start = events_start, .run = events_run,
          .free = events_free },
        { "org.scitrace.Record.Files", .more = true, .start = files_start, .run = files_run,
          .free = walk_free },
        { "org.scitrace.Record.History", .more = true, .start = path_start, .run = history_run,
          .free = walk_free },
        { "org.scitrace.Record.Show", .start = path_start, .run = show_run, .free = walk_free },
        { 0 },
};
