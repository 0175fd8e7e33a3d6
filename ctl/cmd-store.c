/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>

#include "ctl/ask.h"
#include "ctl/say.h"
#include "ctl/view.h"
#include "lib/text.h"

/* The file is on the disk; its name is when the folder that it is in is, too. Some file systems of others
 * sync no folder, and say so. */
static int sync_folder(const char *file) {
        CLEANUP(freep) char *copy = strdup(file);
        CLEANUP(closep) int fd = -1;

        if (!copy)
                return -ENOMEM;
        fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errno == EACCES ? 0 : -errno;    /* one may write into it, and not read it */
        return fsync(fd) < 0 && errno != EINVAL && errno != EOPNOTSUPP ? -errno : 0;
}

/* FILE is made here, with the rights of whoever asks; the daemon gets the open file, never the name. */
Status cmd_store_backup(Ctl *c, char **arguments) {
        CLEANUP(freep) char *shown = NULL;
        CLEANUP(closep) int fd = -1;
        json_t *answer = NULL;
        char size[HUMAN_MAX];
        Status status;
        int r;

        if (text_escape(BYTES_STR(arguments[0]), &shown) < 0)
                return complain_memory();
        fd = open(arguments[0], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 && errno == EEXIST)
                return complain(STATUS_FAILED, "%s exists; a backup overwrites nothing, name a new file",
                                shown);
        if (fd < 0)
                return complain_errno(errno, "cannot create %s", shown);
        status = ask_with_fd(c, "org.scitrace.Store.Backup", NULL, fd, &answer);
        r = status != STATUS_OK ? 0 : fsync(fd) < 0 ? -errno : sync_folder(arguments[0]);
        if (r < 0)
                status = complain_errno(-r, "cannot write %s to the disk", shown);
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
