/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/say.h"

Status cmd_scan(Ctl *c, char **arguments) {
        Status status = ask(c, "org.scitrace.Datasets.Scan", named(arguments[0]), NULL);

        if (status == STATUS_OK)
                note(c, "Comparing; 'scitracectl settle %s' waits for the end.", arguments[0]);
        return status;
}
