/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/control/args.h"
#include "daemon/control/methods.h"
#include "daemon/control/outcome.h"
#include "daemon/control/rows.h"

/* Datasets as the query thread finds them, kept for the main thread, which knows how their watchers are. */
typedef struct Found {
        QueryDataset row;               /* name, root and commit are copies */
} Found;

typedef struct List {
        const char *name;               /* of the request, or added */
        char *added;                    /* the name that Add has given */
        bool all;
        Found *found;
        size_t n;
        bool failed;
} List;

static void list_free(Call *c) {
        List *l = c->state;

        watchers_forget(c->service->config->watchers, c);
        if (!l)
                return;
        for (size_t i = 0; i < l->n; i++) {
                free((char *) l->found[i].row.name);
                free((uint8_t *) l->found[i].row.root.data);
                free((char *) l->found[i].row.commit);
        }
        free(l->found);
        free(l->added);
        free(l);
}

static int list_start(Call *c) {
        List *l = calloc(1, sizeof(*l));

        if (!l)
                return -ENOMEM;
        c->state = l;
        l->name = args_string(c->parameters, "name");
        l->all = args_bool(c->parameters, "all");
        if (!l->name && !c->request.more)
                call_error(c, "org.varlink.service.ExpectedMore", NULL);
        return 0;
}

static int list_row(void *userdata, const QueryDataset *d) {
        List *l = userdata;
        Found *p = realloc(l->found, (l->n + 1) * sizeof(*p));
        uint8_t *root;

        if (!p) {
                l->failed = true;
                return 1;
        }
        l->found = p;
        p += l->n++;
        p->row = *d;
        p->row.name = strdup(d->name);
        p->row.commit = d->commit ? strdup(d->commit) : NULL;
        root = malloc(d->root.size + 1);
        if (root)
                memcpy(root, d->root.data, d->root.size);
        p->row.root.data = root;
        l->failed = !p->row.name || !root || (d->commit && !p->row.commit);
        return l->failed;
}

static int list_run(Call *c, Query *q) {
        List *l = c->state;
        int r = query_datasets(q, l->name, l->all, list_row, l);

        if (r == QUERY_E_NO_DATASET || (r == 0 && l->name && l->n == 0 && !l->failed)) {
                outcome_no_dataset(c, l->name ? l->name : "");
                return 0;
        }
        return r == 0 && l->failed ? -ENOMEM : r;
}

static const char *state_word(const QueryDataset *d, const WatchersStatus *s) {
        return d->removed ? "removed" : s->stalled ? "stalled" : s->lost ? "lost" :
               s->scanning ? "scanning" : "watched";
}

static int list_finish(Call *c) {
        List *l = c->state;
        int stop = 0;

        for (size_t i = 0; i < l->n && !stop; i++) {
                const QueryDataset *d = &l->found[i].row;
                WatchersStatus s = { 0 };
                Emit *e = call_row(c, "dataset");

                if (!d->removed)
                        watchers_status(c->service->config->watchers, d->id, &s);
                emit_word(e, "name", d->name);
                emit_word(e, "uuid", d->uuid);
                emit_bytes(e, "path", d->root);
                emit_word(e, "kind", dataset_kind_to_word(d->kind));
                emit_word(e, "state", state_word(d, &s));
                emit_int(e, "files", d->files);
                emit_int(e, "bytes", d->bytes);
                emit_int(e, "watches", s.watches);
                emit_int(e, "gapsOpen", d->gaps_open);
                emit_int(e, "pending", s.pending);
                emit_word(e, "gitCommit", d->commit);
                stop = call_row_end(c, NULL);
        }
        return 0;
}

/* Add: the bytes of the path as they came; what is wrong with it, daemon/watchers says. */
static int add_path(Call *c, uint8_t **ret, size_t *ret_size) {
        int r = varlink_get_bytes(c->parameters, "path", ret, ret_size);

        if (r == -ENOMEM)
                return r;
        if (r < 0 || !*ret || *ret_size == 0 || memchr(*ret, 0, *ret_size))
                call_invalid(c, "path");
        return 0;
}

static void added(void *userdata, const IntakeResult *result) {
        CLEANUP(freep) uint8_t *path = NULL;
        Call *c = userdata;
        List *l = c->state;
        size_t size = 0;

        if (result->outcome == INTAKE_DONE) {
                l->added = strdup(result->dataset);
                l->name = l->added;
                if (l->added) {
                        call_run(c);
                        return;
                }
                call_failed(c, "Out of memory.");
        } else if (varlink_get_bytes(c->parameters, "path", &path, &size) < 0) {
                call_failed(c, "Out of memory.");
        } else {
                outcome_error(c, result, BYTES(path, size), args_string(c->parameters, "name"));
        }
        call_answer(c);
}

static int add_start(Call *c) {
        CLEANUP(freep) uint8_t *path = NULL;
        unsigned flags = (args_bool(c->parameters, "new") ? INTAKE_ADD_NEW : 0) |
                         (args_bool(c->parameters, "move") ? INTAKE_ADD_MOVE : 0);
        size_t size = 0;
        int r;

        c->state = calloc(1, sizeof(List));
        if (!c->state)
                return -ENOMEM;
        r = add_path(c, &path, &size);
        if (r < 0 || c->answered)
                return r;
        r = watchers_add(c->service->config->watchers, BYTES(path, size), args_string(c->parameters, "name"),
                         flags, added, c);
        return r < 0 ? r : CALL_LATER;
}

static void asked(void *userdata, const IntakeResult *result) {
        Call *c = userdata;

        if (result->outcome == INTAKE_DONE)
                call_reply(c, json_object());
        else
                outcome_error(c, result, BYTES_NONE, args_string(c->parameters, "name"));
        call_answer(c);
}

static int remove_start(Call *c) {
        int r = watchers_remove(c->service->config->watchers, args_string(c->parameters, "name"), asked, c);

        return r < 0 ? r : CALL_LATER;
}

static int scan_start(Call *c) {
        int r = watchers_scan(c->service->config->watchers, args_string(c->parameters, "name"), asked, c);

        return r < 0 ? r : CALL_LATER;
}

static void asked_free(Call *c) {
        watchers_forget(c->service->config->watchers, c);
}

typedef struct Coverage {
        Call *call;
        Query *query;
} Coverage;

static int coverage_row(void *userdata, const QueryStretch *row) {
        Coverage *k = userdata;

        rows_stretch(call_row(k->call, "stretch"), row);
        return call_row_end(k->call, k->query);
}

static int coverage_run(Call *c, Query *q) {
        const char *name = args_string(c->parameters, "name");
        Coverage k = { c, q };
        int r = query_coverage(q, name, coverage_row, &k);

        if (r != QUERY_E_NO_DATASET)
                return r;
        outcome_no_dataset(c, name);
        return 0;
}

const Method methods_datasets[] = {
        { "org.scitrace.Datasets.List", .start = list_start, .run = list_run, .finish = list_finish,
          .free = list_free },
        { "org.scitrace.Datasets.Add", .start = add_start, .run = list_run, .finish = list_finish,
          .free = list_free },
        { "org.scitrace.Datasets.Remove", .start = remove_start, .free = asked_free },
        { "org.scitrace.Datasets.Scan", .start = scan_start, .free = asked_free },
        { "org.scitrace.Datasets.Coverage", .more = true, .run = coverage_run },
        { 0 },
};
