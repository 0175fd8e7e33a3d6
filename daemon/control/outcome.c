/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "daemon/control/outcome.h"
#include "lib/text.h"

/* sentence: %1$s the path, %2$s the result's dataset. */
typedef struct Reason {
        IntakeOutcome outcome;
        const char *word, *sentence;
} Reason;

static const Reason reasons[] = {
        { INTAKE_E_MISSING, "missing",
          "%1$s does not exist, so it cannot be watched; check the spelling, or make it first." },
        { INTAKE_E_NOT_DIRECTORY, "not-directory",
          "%1$s is not a directory; add the directory that it is in." },
        { INTAKE_E_PERMISSION, "permission",
          "%1$s may not be read by the watcher; make it readable and searchable for the watcher's user." },
        { INTAKE_E_INSIDE, "inside",
          "%1$s is a directory inside dataset '%2$s' by another path (a bind mount), and recorded there "
          "already; add it by its path there if it is to be a dataset of its own." },
        { INTAKE_E_WATCHED, "watched", "%1$s is watched already, as dataset '%2$s'." },
        { INTAKE_E_NOT_KNOWN, "not-known",
          "%1$s is the root of no dataset that moved; name the dataset with --name, or add the directory as "
          "a new one." },
        { INTAKE_E_NO_WATCHER, "no-watcher",
          "%1$s cannot be watched now, since no watcher answers; see whether scitrace-watch.socket is "
          "active ('scitracectl status' shows what is wrong), then try again." },
        { INTAKE_E_NOT_ABSOLUTE, "not-absolute",
          "%1$s is not a plain absolute path; give one that begins with /, without '.', '..' or '//'." },
        { INTAKE_E_OWN, "own",
          "%1$s holds scitrace's own record, which would have no end; give it a tree of yours." },
        { INTAKE_E_PSEUDO, "pseudo",
          "%1$s is on a file system that the kernel makes up, as /proc is: it holds no files, and nobody "
          "tells when something in it changes." },
};

static json_t *sentence(const char *format, ...) PRINTF_LIKE(1, 2);

static json_t *sentence(const char *format, ...) {
        va_list ap;
        json_t *s;

        va_start(ap, format);
        s = json_vsprintf(format, ap);
        va_end(ap);
        return s;
}

/* path and message, and what is in `more`, which is taken over. */
static json_t *path_error(Bytes path, json_t *message, json_t *more) {
        if (varlink_set_bytes(more, "path", path) < 0 || json_object_set_new(more, "message", message) < 0) {
                json_decref(more);
                return NULL;
        }
        return more;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void cannot_watch(Call *c, const Reason *reason, Bytes path, const char *dataset) {
        CLEANUP(freep) char *shown = NULL;
        json_t *more = json_pack("{ss}", "reason", reason->word);

        if (text_escape(path, &shown) < 0 || !more) {
                json_decref(more);
                call_failed(c, "Out of memory.");
                return;
        }
        if (dataset)
                (void) json_object_set_new(more, "dataset", json_string(dataset));
        call_error(c, "org.scitrace.Datasets.CannotWatch",
                   path_error(path, sentence(reason->sentence, shown, dataset ? dataset : "?"), more));
}
#pragma GCC diagnostic pop

static void name_error(Call *c, const char *error, const char *name, const char *rest) {
        CLEANUP(freep) char *shown = NULL;

        if (text_escape(BYTES_STR(name), &shown) < 0) {
                call_failed(c, "Out of memory.");
                return;
        }
        call_error(c, error, json_pack("{ss so}", "name", name, "message", sentence("'%s'%s", shown, rest)));
}

void outcome_no_dataset(Call *c, const char *name) {
        name_error(c, "org.scitrace.Datasets.NoSuchDataset", name,
                   " is not the name of a dataset; 'scitracectl datasets' lists them.");
}

void outcome_error(Call *c, const IntakeResult *result, Bytes path, const char *name) {
        const char *dataset = result->dataset ? result->dataset : name ? name : "";
        const char *degraded = intake_degraded(c->service->config->intake);

        for (size_t i = 0; i < ELEMENTS(reasons); i++)
                if (reasons[i].outcome == result->outcome) {
                        cannot_watch(c, &reasons[i], path, result->dataset);
                        return;
                }
        if (result->outcome == INTAKE_E_NO_DATASET)
                outcome_no_dataset(c, name ? name : dataset);
        else if (result->outcome == INTAKE_E_NAME_TAKEN)
                name_error(c, "org.scitrace.Datasets.NameTaken", dataset,
                           " is the name of another dataset; choose one with --name.");
        else if (result->outcome == INTAKE_E_NAME_INVALID)
                name_error(c, "org.scitrace.Datasets.InvalidName", dataset,
                           " cannot be the name of a dataset; use letters, digits, '.', '_' and '-', a "
                           "letter or digit first.");
        else if (degraded)
                call_failed(c, "At present nothing can be recorded (%s): %s.", strerror(-result->error),
                            degraded);
        else
                call_failed(c, "Cannot carry out %s: %s.", c->method->name, strerror(-result->error));
}

typedef struct Holder {
        Bytes path;
        size_t root_size;
        char *name;
} Holder;

static int holder_row(void *userdata, const QueryDataset *d) {
        Holder *h = userdata;
        size_t size = d->root.size;

        if (size > h->path.size || memcmp(d->root.data, h->path.data, size) != 0)
                return 0;
        if (size > 1 && size < h->path.size && h->path.data[size] != '/')
                return 0;
        if (!h->name || size > h->root_size) {
                free(h->name);
                h->name = strdup(d->name);
                h->root_size = size;
        }
        return 0;
}

char *outcome_holder(Query *q, Bytes path) {
        Holder h = { .path = path };

        (void) query_datasets(q, NULL, true, holder_row, &h);
        return h.name;
}

void outcome_too_early(Call *c, Query *q, const char *name, Bytes path) {
        CLEANUP(freep) char *holder = name ? NULL : outcome_holder(q, path);
        const char *dataset = name ? name : holder ? holder : "";

        call_error(c, "org.scitrace.Record.TooEarly",
                   json_pack("{ss so}", "dataset", dataset, "message",
                             sentence("The record of dataset '%s' begins later; 'scitracectl coverage %s' "
                                      "says when.", dataset, dataset)));
}

void outcome_path(Call *c, Query *q, int outcome, Bytes path) {
        CLEANUP(freep) char *shown = NULL;
        CLEANUP(freep) char *dataset = NULL;
        const char *then = json_object_get(c->parameters, "asOfUsec") ? " as of then" : "";

        if (text_escape(path, &shown) < 0) {
                call_failed(c, "Out of memory.");
                return;
        }
        if (outcome == QUERY_E_NO_FILE)
                dataset = outcome_holder(q, path);
        if (dataset)
                call_error(c, "org.scitrace.Record.NoSuchFile",
                           path_error(path,
                                      sentence("Dataset '%s' has no record of %s%s.", dataset, shown, then),
                                      json_pack("{ss}", "dataset", dataset)));
        else
                call_error(
                        c, "org.scitrace.Record.NotWatched",
                        path_error(path,
                                   sentence("%s is in no dataset; 'scitracectl add DIR' makes one.", shown),
                                   json_object()));
}
