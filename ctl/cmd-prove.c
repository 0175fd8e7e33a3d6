/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/say.h"
#include "ctl/view.h"

static bool number_of(const char *word, int64_t *ret) {
        char *end = NULL;
        long long n = strtoll(word, &end, 10);

        *ret = n;
        return end != word && *end == '\0' && n > 0;
}

/* One text of the answer, as it is: it is made for a file. */
static Status show_text(Ctl *c, const char *method, json_t *parameters, const char *key) {
        json_t *answer = NULL;
        Status status = ask(c, method, parameters, &answer);

        if (status == STATUS_OK && c->options.format != FORMAT_TABLE)
                view_json(c, answer);
        else if (status == STATUS_OK)
                fputs(row_text(answer, key), stdout);
        json_decref(answer);
        return status;
}

Status cmd_prove(Ctl *c, char **arguments) {
        int64_t seq;

        if (!number_of(arguments[0], &seq))
                return complain(
                        STATUS_USAGE,
                        "an event is named by its number, as 'scitracectl log -o json' shows it in \"seq\"");
        return show_text(c, "org.scitrace.Integrity.Prove", json_pack("{sI}", "seq", (json_int_t) seq),
                         "proof");
}

Status cmd_store_keys(Ctl *c, char **arguments) {
        (void) arguments;
        return show_text(c, "org.scitrace.Integrity.Keys", NULL, "keys");
}
