/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "lib/embed.h"
#include "lib/varlink-idl.h"
#include "lib/varlink.h"
#include "tests/fuzz/fuzz.h"

/* A call that was taken is written again and is the same call. */
static void check_call(Bytes m) {
        VarlinkCall call, again;
        char *text;
        size_t size;

        if (varlink_call_parse(m, &call) < 0)
                return;
        if (varlink_call_format(call.method, call.parameters, (call.more ? VARLINK_MORE : 0) |
                                (call.oneway ? VARLINK_ONEWAY : 0), &text, &size) < 0)
                abort();
        /* ASCII out is up to 6 times as long as what came in. */
        if (varlink_call_parse(BYTES(text, size - 1), &again) < 0 ||
            strcmp(call.method, again.method) != 0 || call.more != again.more ||
            call.oneway != again.oneway ||
            (call.parameters && !json_equal(call.parameters, again.parameters)))
                abort();
        free(text);
        varlink_call_done(&again);
        varlink_call_done(&call);
}

static void check_reply(Bytes m) {
        VarlinkReply reply;
        uint8_t *path;
        size_t size;

        if (varlink_reply_parse(m, &reply) < 0)
                return;
        if (varlink_get_bytes(reply.parameters, "path", &path, &size) == 0)
                free(path);
        varlink_reply_done(&reply);
}

static void check_idl(Bytes m) {
        char *text = strndup((const char *) m.data, m.size);
        Idl *idl = NULL;
        int line = 0;

        if (idl_parse(text, &idl, &line) == 0)
                idl_free(idl);
        free(text);
}

/* Any stream, in pieces whose size the first byte says: the splitter, then each message as a call, a reply,
 * and an interface file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        VarlinkInput in = { .max = VARLINK_REQUEST_MAX };
        size_t piece = size > 0 ? 1 + data[0] : 1;

        for (size_t at = 1; at < size;) {
                size_t room, n;
                Bytes m;
                char *p;
                int r;

                if (varlink_input_room(&in, &p, &room) < 0)
                        break;
                n = MIN_OF(MIN_OF(piece, room), size - at);
                memcpy(p, data + at, n);
                varlink_input_filled(&in, n);
                at += n;
                while ((r = varlink_input_next(&in, &m)) > 0) {
                        check_call(m);
                        check_reply(m);
                        check_idl(m);
                }
                if (r < 0)
                        break;
        }
        varlink_input_done(&in);
        return 0;
}
