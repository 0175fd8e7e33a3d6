/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "ctl/ask.h"
#include "ctl/path.h"
#include "ctl/say.h"
#include "ctl/then.h"
#include "ctl/view.h"
#include "lib/text.h"
#include "lib/time.h"

static void line(const Ctl *c, const char *key, const char *value) {
        printf("%s%12s%s  %s\n", style(c, STYLE_DIM), key, style(c, STYLE_END), value);
}

static void text_line(const Ctl *c, const char *key, const json_t *row, const char *member) {
        CLEANUP(freep) char *value = row_name(row, member);

        if (value)
                line(c, key, value);
}

static void owner_line(const Ctl *c, const json_t *file) {
        uid_t uid = (uid_t) row_number(file, "uid");
        gid_t gid = (gid_t) row_number(file, "gid");
        const struct passwd *user = getpwuid(uid);
        const struct group *group = getgrgid(gid);
        char value[256];

        snprintf(value, sizeof(value), "%s (%u), group %s (%u)", user ? user->pw_name : "nobody known",
                 (unsigned) uid, group ? group->gr_name : "nobody known", (unsigned) gid);
        line(c, "owner", value);
}

static void print_file(const Ctl *c, const json_t *file) {
        char value[256], buf[TIME_TEXT_MAX], human[HUMAN_MAX], mode[MODE_TEXT_MAX];

        text_line(c, "path", file, "path");
        text_line(c, "dataset", file, "dataset");
        text_line(c, "type", file, "type");
        text_line(c, "target", file, "target");
        if (strcmp(row_text(file, "path"), ".") == 0) {
                /* Of a dataset's root nothing more is recorded. */
                line(c, "see also", "scitracectl files, scitracectl coverage");
                return;
        }
        if (row_has(file, "size")) {
                long long size = (long long) row_number(file, "size");

                if (size < 1000)
                        snprintf(value, sizeof(value), "%lld bytes", size);
                else
                        snprintf(value, sizeof(value), "%s (%lld bytes)", human_size(size, human), size);
                line(c, "size", value);
        }
        if (row_has(file, "mtimeNsec"))
                line(c, "modified",
                     time_format(row_number(file, "mtimeNsec") / (int64_t) NSEC_PER_USEC, buf));
        snprintf(value, sizeof(value), "%s (%04llo)", mode_text(file, mode),
                 (unsigned long long) row_number(file, "mode"));
        line(c, "mode", value);
        owner_line(c, file);
        text_line(c, "digest", file, "digest");
        text_line(c, "digest from", file, "digestSource");
        text_line(c, "annex key", file, "annexKey");
        text_line(c, "git commit", file, "gitCommit");
        snprintf(value, sizeof(value), "%lld, with %lld recorded name%s",
                 (long long) row_number(file, "node"), (long long) row_number(file, "links"),
                 row_number(file, "links") == 1 ? "" : "s");
        line(c, "node", value);
        snprintf(value, sizeof(value), "%lld", (long long) row_number(file, "seq"));
        line(c, "last event", value);
}

Status cmd_show(Ctl *c, char **arguments) {
        json_t *parameters = json_object(), *answer = NULL, *file;
        Unseen unseen = { 0 };
        int r = then_parameter(c, parameters, arguments[0], PATH_ITSELF);
        Status status;

        if (r < 0) {
                json_decref(parameters);
                return complain_errno(r, "cannot ask about that file");
        }
        if (c->options.as_of)
                json_object_set_new(parameters, "asOfUsec", json_integer(c->options.as_of));
        status = ask(c, "org.scitrace.Record.Show", parameters, &answer);
        if (status != STATUS_OK)
                return status;
        file = json_object_get(answer, "file");
        if (c->options.format != FORMAT_TABLE)
                view_json(c, file);
        else
                print_file(c, file);
        unseen_add(&unseen, file);
        if (c->options.format == FORMAT_TABLE)
                unseen_note(c, &unseen);
        json_decref(answer);
        return STATUS_OK;
}
