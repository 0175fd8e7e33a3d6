/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/say.h"
#include "ctl/view.h"

Status cmd_settle(Ctl *c, char **arguments) {
        json_t *parameters = json_object(), *answer = NULL;
        int64_t digests;
        Status status;

        if (arguments[0])
                json_object_set_new(parameters, "dataset", word_value(arguments[0]));
        if (c->options.timeout)
                json_object_set_new(parameters, "timeoutUsec", json_integer(c->options.timeout));
        status = ask(c, "org.scitrace.Service.Settle", parameters, &answer);
        if (status != STATUS_OK)
                return status;
        digests = row_number(answer, "digestsPending");
        if (c->options.format != FORMAT_TABLE)
                view_json(c, answer);
        else if (digests > 0)
                note(c, "Settled: all is recorded up to event %lld; %lld digest%s still to come.",
                     (long long) row_number(answer, "seq"), (long long) digests,
                     digests == 1 ? " is" : "s are");
        else
                note(c, "Settled: all is recorded up to event %lld.", (long long) row_number(answer, "seq"));
        json_decref(answer);
        return STATUS_OK;
}
