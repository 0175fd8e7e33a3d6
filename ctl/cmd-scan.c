/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/say.h"

Status cmd_scan(Ctl *c, char **arguments) {
        Status status = ask(c, "org.scitrace.Datasets.Scan", named(arguments[0]), NULL);

        if (status == STATUS_OK)
                note(c, "Dataset %s is being compared with its record; 'scitracectl settle %s' waits for the end.",
                     arguments[0], arguments[0]);
        return status;
}
