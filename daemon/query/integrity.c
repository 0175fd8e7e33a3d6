/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/query/private.h"
#include "daemon/store/proof.h"
#include "daemon/store/verify.h"

int query_verify(Query *q, const Verify *v, VerifyResult *ret) {
        int r;

        assert(q && v && ret);
        r = call_begin(q);
        return call_end(q, r == 0 ? verify_run(q->sql.db, v, ret) : r);
}

int query_prove(Query *q, int64_t seq, char **ret) {
        int r = call_begin(q);

        if (r == 0)
                r = proof_make(q->sql.db, seq, ret);
        if (r == PROOF_E_NO_EVENT)
                r = QUERY_E_NO_EVENT;
        else if (r == PROOF_E_UNSEALED)
                r = QUERY_E_UNSEALED;
        else if (r > 0)
                r = -EBADMSG;
        return call_end(q, r);
}

int query_keys(Query *q, char **ret) {
        int r = call_begin(q);

        return call_end(q, r == 0 ? keys_make(q->sql.db, ret) : r);
}
