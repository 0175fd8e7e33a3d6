/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "ctl/ask.h"
#include "ctl/row.h"
#include "ctl/say.h"
#include "ctl/then.h"
#include "lib/varlink.h"

typedef struct Within {
        const char *path;
        bool found;
} Within;

static Status look_at_root(Ctl *c, json_t *row, bool *stop, void *userdata) {
        CLEANUP(freep) uint8_t *root = NULL;
        Within *w = userdata;
        size_t size = 0;

        if (varlink_get_bytes(row, "path", &root, &size) < 0 || !root)
                return STATUS_OK;
        w->found |= strncmp(w->path, (const char *) root, size) == 0 &&
                    (size == 1 || w->path[size] == '/' || w->path[size] == '\0');
        return STATUS_OK;
}

int then_parameter(Ctl *c, json_t *object, const char *argument, PathEnd end) {
        CLEANUP(freep) char *here = NULL, *path = NULL;
        Within w = { 0 };

        assert(c && object && argument);
        if (!c->options.as_of)
                return path_parameter(object, argument, end);
        if (*argument != '/') {
                here = getcwd(NULL, 0);
                if (!here)
                        return -errno;
        }
        if (asprintf(&path, "%s/%s", here ? here : "", argument) < 0)
                return -ENOMEM;
        path_clean(path);
        w.path = path;
        (void) ask_rows_quietly(c, "org.scitrace.Datasets.List", json_pack("{sb}", "all", 1), "dataset",
                                look_at_root, &w);
        return w.found ? varlink_set_bytes(object, "path", BYTES_STR(path))
                       : path_parameter(object, argument, end);
}

static bool has_word(const char *words, const char *word) {
        size_t size = strlen(word);

        for (const char *at = words; (at = strstr(at, word)); at += size)
                if ((at == words || at[-1] == ' ') && (at[size] == ',' || at[size] == '\0'))
                        return true;
        return false;
}

static void add_cause(Unseen *u, const char *cause) {
        size_t size = strlen(u->causes);

        if (!has_word(u->causes, cause))
                snprintf(u->causes + size, sizeof(u->causes) - size, "%s%s", size > 0 ? ", " : "", cause);
}

void unseen_add(Unseen *u, const json_t *row) {
        assert(u && row);
        if (!row_has(row, "gap"))
                return;
        u->rows++;
        add_cause(u, row_text(row, "gap"));
}

void unseen_note(const Ctl *c, const Unseen *u) {
        assert(c && u);
        if (u->causes[0] == '\0')
                return;
        if (c->options.as_of)
                note(c,
                     "That time lies in a gap (%s): what happened within it may have gone unseen, so this "
                     "may not be how it was; 'scitracectl coverage' has the gaps.", u->causes);
        else
                note(c,
                     "A gap is open (%s): changes may go unseen, so this may not be how it is; 'scitracectl "
                     "coverage' says what ends it.", u->causes);
}

typedef struct At {
        Unseen *unseen;
        int64_t usec;
} At;

static Status take_stretch(Ctl *c, json_t *row, bool *stop, void *userdata) {
        At *at = userdata;

        if (strcmp(row_text(row, "state"), "gap") == 0 && row_number(row, "fromUsec") <= at->usec &&
            (!row_has(row, "untilUsec") || row_number(row, "untilUsec") > at->usec))
                add_cause(at->unseen, row_text(row, "cause"));
        return STATUS_OK;
}

void unseen_dataset(Ctl *c, const char *dataset) {
        Unseen u = { 0 };
        At at = { &u, c->options.as_of ? c->options.as_of : now_usec(CLOCK_REALTIME) };

        (void) ask_rows_quietly(c, "org.scitrace.Datasets.Coverage", named(dataset), "stretch", take_stretch,
                                &at);
        unseen_note(c, &u);
}
