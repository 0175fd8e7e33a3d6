/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "ctl/copying.h"
#include "ctl/say.h"
#include "daemon/store/rebuild.h"
#include "daemon/store/renew.h"
#include "daemon/store/sql.h"
#include "daemon/store/verify.h"
#include "lib/text.h"

/* `store rebuild`: what follows from the record is made anew from it, in another file. */

static void tell_table(void *userdata, const char *table, const char *key) {
        note(userdata, "Table %s is not what its events make of it (at %s), and is made anew.", table, key);
}

static void tell_finding(void *userdata, const VerifyFinding *f) {
        (void) userdata;
        (void) complain(STATUS_FAILED, "%s", f->what);
}

/* What no rebuild can put right: the record itself. */
static Status check_record(const StoreCopy *copy, const char *shown) {
        Verify v = { .found = tell_finding };
        VerifyResult result;
        int r;

        if (copy->form < STORE_FORM)
                return complain(STATUS_FAILED,
                                "%s is of an older form; the next start of scitraced brings it to this one",
                                shown);
        r = verify_run(copy->db, &v, &result);
        if (r < 0)
                return complain_errno(r, "cannot verify %s", shown);
        if (result.pruned > 0)
                return complain(STATUS_FAILED,
                                "of %s events were pruned: what follows from them cannot be made anew",
                                shown);
        if (result.outcome != VERIFY_SOUND && result.outcome != VERIFY_DAMAGED)
                return complain(STATUS_FAILED,
                                "the record in %s is not what was recorded; that is nothing that can be "
                                "rebuilt, keep it as it is, and take a backup that is sound",
                                shown);
        return STATUS_OK;
}

static Status make_anew(Ctl *c, const StoreCopy *copy, const char *shown, const char *path) {
        CLEANUP(store_closep) Store *anew = NULL;
        int64_t seq = 0, differing = 0;
        int r = rebuild(copy->db, copy->scratch, NULL, NULL, &anew, &seq);

        if (r == -EBADMSG)
                return complain(STATUS_FAILED, "event %lld of %s cannot be read, or not be applied again",
                                (long long) seq + 1, shown);
        if (r == 0)
                r = rebuild_compare(copy->db, anew, tell_table, c, &differing);
        if (r == -EBADMSG)
                note(c, "What follows from the events cannot be read, and is made anew.");
        if (r == 0 || r == -EBADMSG)
                r = renew(copy->db, anew, copy->work, path);
        return r < 0 ? complain_errno(r, "cannot rebuild %s", shown) : STATUS_OK;
}

static Status rebuild_store(Ctl *c, const char *source, const char *shown, const char *path) {
        StoreCopy *copy;
        Status status;

        status = copying_open(source, shown, "stop it first, or rebuild a backup", STATUS_FAILED, &copy);
        if (status != STATUS_OK)
                return status;
        status = check_record(copy, shown);
        if (status == STATUS_OK)
                status = make_anew(c, copy, shown, path);
        copying_close();
        return status;
}

Status cmd_store_rebuild(Ctl *c, char **arguments) {
        CLEANUP(freep) char *shown = NULL, *to = NULL;
        Status status;
        int fd;

        if (text_escape(BYTES_STR(arguments[0]), &shown) < 0 ||
            text_escape(BYTES_STR(arguments[1]), &to) < 0)
                return complain_memory();
        fd = open(arguments[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 && errno == EEXIST)
                return complain(STATUS_FAILED, "%s exists; nothing is overwritten, name a new file", to);
        if (fd < 0)
                return complain_errno(errno, "cannot create %s", to);
        close(fd);
        status = rebuild_store(c, arguments[0], shown, arguments[1]);
        if (status != STATUS_OK)
                (void) unlink(arguments[1]);    /* half a store is worse than none */
        else
                note(c, "%s holds the record of %s, with all that follows from it made anew.", to, shown);
        return status;
}
