/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/event.h"
#include "ctl/row.h"
#include "ctl/screen.h"

/* Grows *s by what is formatted. */
static void append(char **s, const char *format, ...) PRINTF_LIKE(2, 3);

static void append(char **s, const char *format, ...) {
        CLEANUP(freep) char *more = NULL;
        char *joined = NULL;
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = vasprintf(&more, format, arguments);
        va_end(arguments);
        if (r < 0) {
                more = NULL;
                return;
        }
        if (asprintf(&joined, "%s%s", *s ? *s : "", more) < 0)
                return;
        free(*s);
        *s = joined;
}

char *event_path(const Ctl *c, const json_t *event) {
        CLEANUP(freep) char *path = row_name(event, "path"), *old = row_name(event, "oldPath");
        const char *kind = row_text(event, "kind"), *origin = row_text(event, "origin"),
                   *cause = row_text(event, "cause");
        int64_t count = row_number(event, "count");
        bool directory = strcmp(row_text(event, "type"), "directory") == 0;
        bool exchange = strcmp(kind, "exchange") == 0;
        char *s = NULL;

        if (old)
                append(&s, "%s%s %s ", old, directory ? "/" : "",
                       c->screen.utf8 ? exchange ? "↔" : "→" : exchange ? "<->" : "->");
        append(&s, "%s%s", path ? path : "", path && directory && strcmp(path, ".") != 0 ? "/" : "");
        if (*cause)
                append(&s, "%s%s", path ? ": " : "", cause);
        if (*origin && strcmp(origin, "live") != 0)
                append(&s, "%s[%s]", path ? " " : "", origin);
        if (count > 1)
                append(&s, " [%s%lld]", c->screen.utf8 ? "×" : "x", (long long) count);
        return s;
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
                { "transient", STYLE_DIM },
        };

        for (size_t i = 0; i < ELEMENTS(styles); i++)
                if (strcmp(styles[i].kind, row_text(event, "kind")) == 0)
                        return style(c, styles[i].style);
        return "";
}

size_t git_length(const char *path) {
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
        f->seq = row_number(row, "seq");
        f->time = row_number(row, "timeUsec");
}

void fold_done(Fold *f) {
        free(f->dataset);
        free(f->git);
        *f = (Fold) { 0 };
}
