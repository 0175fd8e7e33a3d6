/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "ctl/event.h"
#include "ctl/row.h"
#include "ctl/screen.h"
#include "lib/time.h"

char *event_path(const Ctl *c, const json_t *event) {
        CLEANUP(freep) char *path = row_name(event, "path"), *old = row_name(event, "oldPath");
        const char *kind = row_text(event, "kind"), *origin = row_text(event, "origin");
        const char *cause = row_text(event, "cause"), *arrow = c->screen.utf8 ? "→" : "->";
        const char *from = row_text(event, "oldDataset");
        const char *slash = strcmp(row_text(event, "type"), "directory") == 0 ? "/" : "";
        int64_t count = row_number(event, "count");
        char *text = NULL, span[TIME_TEXT_MAX];
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        if (strcmp(kind, "exchange") == 0)
                arrow = c->screen.utf8 ? "↔" : "<->";
        if (old)
                fprintf(f, "%s%s%s%s %s ", from, *from ? ":" : "", old, slash, arrow);
        if (*from)
                fprintf(f, "%s:", row_text(event, "dataset"));
        if (path)
                fprintf(f, "%s%s", path, strcmp(path, ".") == 0 ? "" : slash);
        if (strcmp(kind, "commit") == 0)
                fprintf(f, "HEAD %.10s", row_text(event, "gitCommit"));
        if (strcmp(kind, "prune") == 0)
                fprintf(f, "%s up to %lld", row_has(event, "prunedTo") ? "events" : "checkpoints",
                        (long long) (row_number(event, "prunedTo") + row_number(event, "thinnedTo")));
        if (row_has(event, "stepUsec"))
                fprintf(f, "set %s by %s", row_number(event, "stepUsec") < 0 ? "back" : "ahead",
                        time_format_span(imaxabs(row_number(event, "stepUsec")), span));
        if (row_has(event, "lostTo"))
                fprintf(f, "events up to %lld had been there", (long long) row_number(event, "lostTo"));
        else if (strcmp(kind, "store-lost") == 0)
                fprintf(f, "taken away, and saved");
        if (*cause)
                fprintf(f, "%s%s", path ? ": " : "", cause);
        if (*origin && strcmp(origin, "live") != 0)
                fprintf(f, " [%s]", origin);
        if (count > 1)
                fprintf(f, " [%s%lld]", c->screen.utf8 ? "×" : "x", (long long) count);
        fclose(f);
        return text;
}

const char *event_style(const Ctl *c, const json_t *event) {
        static const struct {
                const char *kind, *style;
        } styles[] = {
                { "create", STYLE_GREEN },
                { "unlink", STYLE_RED },
                { "rename", STYLE_YELLOW },
                { "exchange", STYLE_YELLOW },
                { "gap-open", STYLE_RED STYLE_BOLD },
                { "gap-close", STYLE_BOLD },
                { "store-lost", STYLE_RED STYLE_BOLD },
                { "transient", STYLE_DIM },
        };

        for (size_t i = 0; i < ELEMENTS(styles); i++)
                if (strcmp(styles[i].kind, row_text(event, "kind")) == 0)
                        return style(c, styles[i].style);
        return "";
}

/* Of a path that is beneath a directory called .git: the length of that directory's path, else 0. */
static size_t git_length(const char *path) {
        for (const char *p = path; p; p = strchr(p, '/')) {
                p += *p == '/';
                if (strncmp(p, ".git/", 5) == 0)
                        return (size_t) (p + 4 - path);
        }
        return 0;
}

bool fold_same(const Fold *f, const char *dataset, const char *path) {
        size_t n = f->git ? strlen(f->git) : 0;

        return n > 0 && strcmp(f->dataset, dataset) == 0 && strncmp(path, f->git, n) == 0 &&
               (path[n] == '/' || path[n] == '\0');
}

bool fold_begin(Fold *f, const char *dataset, const char *path) {
        size_t n = git_length(path);

        fold_done(f);
        if (n == 0)
                return false;
        f->dataset = strdup(dataset);
        f->git = strndup(path, n);
        if (!f->dataset || !f->git)
                fold_done(f);
        return f->git != NULL;
}

void fold_add(Fold *f, const json_t *row) {
        f->rows++;
        f->bytes += row_number(row, "size");
        if (row_number(row, "seq") > f->seq) {
                f->seq = row_number(row, "seq");
                f->time = row_number(row, "timeUsec");
        }
}

void fold_done(Fold *f) {
        free(f->dataset);
        free(f->git);
        *f = (Fold) { 0 };
}
