/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>

#include "daemon/store/private.h"

int store_care(Store *s, const char *what, const char *result) {
        sqlite3_stmt *stmt;
        int r;

        assert(s && what && result);
        assert(s->in_transaction);
        r = store_stmt(s, SQL_CARE_PUT, &stmt);
        if (r < 0)
                return r;
        sql_bind_text(stmt, 1, what);
        sql_bind(stmt, 2, s->realtime);
        sql_bind_text(stmt, 3, result);
        sql_bind(stmt, 4, s->last_seq);
        r = store_run(s, stmt);
        if (r < 0)
                s->broken = r;
        return r;
}
