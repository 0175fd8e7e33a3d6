/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "ctl/ask.h"
#include "ctl/path.h"
#include "ctl/say.h"
#include "ctl/view.h"
#include "lib/text.h"

static Status look_for_remote(Ctl *c, json_t *row, bool *stop, void *userdata) {
        (void) c;
        if (strcmp(row_text(row, "cause"), "remote") == 0 && !row_has(row, "untilUsec"))
                *stop = *(bool *) userdata = true;
        return STATUS_OK;
}

/* Who adds a network file system is told at once what cannot be seen of it. */
static void say_remote(Ctl *c, const char *name) {
        bool remote = false;

        (void) ask_rows_quietly(c, "org.scitrace.Datasets.Coverage", named(name), "stretch", look_for_remote,
                                &remote);
        if (remote)
                note(c,
                     "Other hosts may change it, which nobody tells us: it is compared with the record now "
                     "and then (PollInterval= in scitraced.conf(5)), or by 'scitracectl scan %s'.",
                     name);
}

Status cmd_add(Ctl *c, char **arguments) {
        CLEANUP(freep) char *shown = NULL, *name = NULL;
        json_t *parameters = json_object(), *answer = NULL, *dataset;
        Status status;
        int r;

        if (c->options.fresh && c->options.move) {
                json_decref(parameters);
                return complain(STATUS_USAGE, "--new begins a record and --move goes on with one; choose");
        }
        r = path_parameter(parameters, arguments[0], PATH_FOLLOWED);
        if (r == 0 && c->options.name)
                r = json_object_set_new(parameters, "name", word_value(c->options.name)) < 0 ? -EILSEQ : 0;
        if (r == 0 && c->options.fresh)
                r = json_object_set_new(parameters, "new", json_true());
        if (r == 0 && c->options.move)
                r = json_object_set_new(parameters, "move", json_true());
        if (r < 0) {
                json_decref(parameters);
                return complain_errno(r, "cannot add that directory");
        }
        status = ask(c, "org.scitrace.Datasets.Add", parameters, &answer);
        if (status != STATUS_OK)
                return status;
        dataset = json_object_get(answer, "dataset");
        if (c->options.format != FORMAT_TABLE) {
                view_json(c, dataset);
        } else {
                name = row_name(dataset, "name");
                shown = row_name(dataset, "path");
                note(c, "Watching %s as dataset %s.", shown ? shown : "it", name ? name : "?");
                if (name && !c->options.quiet)
                        say_remote(c, name);
        }
        json_decref(answer);
        return STATUS_OK;
}
