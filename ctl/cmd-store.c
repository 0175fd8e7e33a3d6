/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "ctl/ask.h"
#include "ctl/say.h"
#include "ctl/view.h"
#include "lib/text.h"

/* FILE is made here, with the rights of whoever asks; the daemon gets the open file, never the name. */
Status cmd_store_backup(Ctl *c, char **arguments) {
        CLEANUP(freep) char *shown = NULL;
        CLEANUP(closep) int fd = -1;
        json_t *answer = NULL;
        char size[HUMAN_MAX];
        Status status;

        if (text_escape(BYTES_STR(arguments[0]), &shown) < 0)
                return complain_memory();
        fd = open(arguments[0], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 && errno == EEXIST)
                return complain(STATUS_FAILED, "%s exists; a backup overwrites nothing, name a new file",
                                shown);
        if (fd < 0)
                return complain_errno(errno, "cannot create %s", shown);
        status = ask_with_fd(c, "org.scitrace.Store.Backup", NULL, fd, &answer);
        if (status == STATUS_OK && fsync(fd) < 0)
                status = complain_errno(errno, "cannot write %s to the disk", shown);
        if (status != STATUS_OK) {
                (void) unlink(arguments[0]);    /* half a backup is worse than none */
                json_decref(answer);
                return status;
        }
        if (c->options.format != FORMAT_TABLE)
                view_json(c, answer);
        else
                note(c, "%s holds the record up to event %lld (%s), verified.", shown,
                     (long long) row_number(answer, "seq"), human_size(row_number(answer, "bytes"), size));
        json_decref(answer);
        return STATUS_OK;
}
