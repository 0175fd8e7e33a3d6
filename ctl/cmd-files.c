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

static const TableColumn columns[] = {
        { "MODE", false, false },    { "SIZE", true, false }, { "MODIFIED", false, false },
        { "DATASET", false, false }, { "PATH", false, true },
};
/* The same without DATASET, when one was asked for. */
static const TableColumn columns_of_one[] = {
        { "MODE", false, false },
        { "SIZE", true, false },
        { "MODIFIED", false, false },
        { "PATH", false, true },
};

typedef struct Files {
        bool one, fold;
        Fold git;
        json_t *git_row;                /* of the .git directory itself, waiting for what is beneath it */
        Unseen unseen;
} Files;

/* path: what stands in the last column. */
static void print_file(Ctl *c, Table *t, const json_t *row, const Files *f, int64_t size, const char *path) {
        char mode[MODE_TEXT_MAX], human[HUMAN_MAX], time[TIME_TEXT_MAX];
        int64_t modified = row_number(row, "mtimeNsec") / (int64_t) NSEC_PER_USEC;
        bool directory = strcmp(row_text(row, "type"), "directory") == 0;

        table_cell(t, mode_text(row, mode), NULL);
        table_cell(t, size >= 0 ? human_size(size, human) : "-", NULL);
        table_cell(t, row_has(row, "mtimeNsec") && !directory ? time_format(modified, time) : "-", NULL);
        if (!f->one)
                cell_text(t, row, "dataset", NULL);
        table_cell(t, path, style(c, directory ? STYLE_BOLD : ""));
}

static void end_run(Ctl *c, Table *t, void *userdata) {
        CLEANUP(freep) char *text = NULL;
        Files *f = userdata;

        if (f->git_row && f->git.rows > 0 &&
            asprintf(&text, "%s/ [%lld entries; --all]", f->git.git, (long long) f->git.rows) > 0)
                print_file(c, t, f->git_row, f, f->git.bytes, text);
        else if (f->git_row && asprintf(&text, "%s/", f->git.git) > 0)
                print_file(c, t, f->git_row, f, -1, text);
        json_decref(f->git_row);
        f->git_row = NULL;
        fold_done(&f->git);
}

static void cells(Ctl *c, Table *t, json_t *row, void *userdata) {
        CLEANUP(freep) char *path = row_name(row, "path"), *target = row_name(row, "target"), *text = NULL;
        const char *dataset = row_text(row, "dataset");
        bool directory = strcmp(row_text(row, "type"), "directory") == 0;
        Files *f = userdata;

        unseen_add(&f->unseen, row);
        if (!path || asprintf(&text, "%s%s%s%s", path, directory ? "/" : "",
                              !target ? "" : c->screen.utf8 ? " → " : " -> ", target ? target : "") < 0)
                return;
        if (fold_same(&f->git, dataset, path)) {
                fold_add(&f->git, row);
                return;
        }
        end_run(c, t, f);
        if (f->fold && directory && fold_begin(&f->git, dataset, text) &&
            strlen(f->git.git) == strlen(path)) {
                f->git_row = json_incref(row);
                return;
        }
        fold_done(&f->git);
        print_file(c, t, row, f, row_has(row, "size") ? row_number(row, "size") : -1, text);
}

static Status print_raw(Ctl *c, json_t *row, bool *stop, void *userdata) {
        CLEANUP(freep) uint8_t *bytes = NULL;
        size_t size = 0;

        if (varlink_get_bytes(row, "path", &bytes, &size) < 0 || !bytes)
                return complain(STATUS_FAILED, "the daemon sent a file without a name");
        fwrite(bytes, 1, size + 1, stdout);     /* with the NUL behind it */
        *stop = screen_broken();
        return STATUS_OK;
}

static Status take_name(Ctl *c, json_t *row, bool *stop, void *userdata) {
        return json_array_append(userdata, json_object_get(row, "name")) < 0 ? complain_memory() : STATUS_OK;
}

/* Of one dataset or directory, as filter says, or, when it says neither, of one dataset after the other. */
static Status ask_files(Ctl *c, json_t *filter, bool one, AskRowFn fn, void *userdata) {
        json_t *names = json_array(), *name;
        Status status = STATUS_OK;
        size_t i;

        if (one)
                json_array_append_new(names, json_null());
        else
                status = ask_rows(c, "org.scitrace.Datasets.List", NULL, "dataset", take_name, names);
        json_array_foreach(names, i, name) {
                if (status != STATUS_OK || screen_broken())
                        break;
                if (!one)
                        json_object_set(filter, "dataset", name);
                status = ask_rows(c, "org.scitrace.Record.Files", json_copy(filter), "file", fn, userdata);
        }
        json_decref(names);
        return status;
}

static Status look_for(Ctl *c, json_t *row, bool *stop, void *userdata) {
        *(bool *) userdata = true;
        return STATUS_OK;
}

/* A word may be a dataset's name or a directory's. A dataset comes first; "./NAME" is always the
 * directory. */
static bool is_directory(Ctl *c, const char *word) {
        bool found = false;
        struct stat st;

        if (strchr(word, '/') || strcmp(word, ".") == 0 || strcmp(word, "..") == 0)
                return true;
        if (stat(word, &st) < 0 || !S_ISDIR(st.st_mode))
                return false;
        (void) ask_rows_quietly(c, "org.scitrace.Datasets.List", named(word), "dataset", look_for, &found);
        return !found;
}

static int make_filter(Ctl *c, const char *word, json_t *filter, bool *ret_in_git) {
        json_t *directory;
        int r;

        if (c->options.lines)
                json_object_set_new(filter, "limit", json_integer(c->options.lines));
        if (c->options.as_of)
                json_object_set_new(filter, "asOfUsec", json_integer(c->options.as_of));
        if (!word)
                return 0;
        if (!is_directory(c, word))
                return json_object_set_new(filter, "dataset", word_value(word)) < 0 ? -ENOMEM : 0;
        directory = json_object();
        if (!directory || json_object_set_new(filter, "directory", directory) < 0)
                return -ENOMEM;
        r = then_parameter(c, directory, word, PATH_FOLLOWED);
        *ret_in_git = strstr(row_text(directory, "path"), "/.git") != NULL;
        return r;
}

Status cmd_files(Ctl *c, char **arguments) {
        View view = {
                NULL, NULL, columns, ELEMENTS(columns), cells, "Nothing is recorded there.", end_run,
        };
        json_t *filter = json_object();
        Files files = { .one = arguments[0] != NULL };
        Viewer viewer = { .view = &view, .userdata = &files };
        bool in_git = false;
        Status status;
        int r;

        r = make_filter(c, arguments[0], filter, &in_git);
        if (r < 0) {
                json_decref(filter);
                return complain_errno(r, "cannot ask about that directory");
        }
        files.fold = !c->options.all && !in_git;
        if (files.one) {
                view.columns = columns_of_one;
                view.n_columns = ELEMENTS(columns_of_one);
        }
        if (c->options.null)
                status = ask_files(c, filter, files.one, print_raw, NULL);
        else
                status = viewer_close(c, &viewer, ask_files(c, filter, files.one, viewer_row, &viewer));
        unseen_note(c, &files.unseen);
        if (status == STATUS_OK && viewer.rows == 0 && json_object_get(filter, "dataset"))
                unseen_dataset(c, row_text(filter, "dataset"));
        json_decref(filter);
        return status;
}
