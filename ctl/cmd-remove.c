/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/say.h"
#include "ctl/view.h"

Status cmd_remove(Ctl *c, char **arguments) {
        Status status = ask(c, "org.scitrace.Datasets.Remove", named(arguments[0]), NULL);

        if (status == STATUS_OK)
                note(c, "Dataset %s is no longer watched; its record stays.", arguments[0]);
        return status;
}
