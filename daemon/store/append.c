/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/store/private.h"

int sums_find(Store *s, int64_t dataset, StoreSums **ret) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        StoreSums *sums;
        int r;

        for (size_t i = 0; i < s->n_sums; i++)
                if (s->sums[i].id == dataset) {
                        *ret = &s->sums[i];
                        return 0;
                }
        r = store_stmt(s, SQL_DATASET_GET, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, dataset);
        r = sql_step(&s->sql, stmt);
        if (r <= 0)
                return r < 0 ? r : STORE_E_NONE;

        sums = reallocarray(s->sums, s->n_sums + 1, sizeof(*sums));
        if (!sums)
                return -ENOMEM;
        s->sums = sums;
        sums = &s->sums[s->n_sums++];
        *sums = (StoreSums) { .id = dataset, .filesystem = sql_column(stmt, 1) };
        memcpy(sums->uuid, sqlite3_column_blob(stmt, 0), EVENT_ID_SIZE);
        *ret = sums;
        return 0;
}

int sums_count(Store *s, int64_t dataset, int64_t files, int64_t bytes) {
        StoreSums *sums;
        int r;

        if (files == 0 && bytes == 0)
                return 0;
        r = sums_find(s, dataset, &sums);
        if (r != 0)
                return r < 0 ? r : -EINVAL;
        sums->files += files;
        sums->bytes += bytes;
        return 0;
}

static int add_batch(Store *s, int64_t seq) {
        sqlite3_stmt *stmt;
        int r;

        r = store_stmt(s, SQL_BOOT_ADD, &stmt);
        if (r < 0)
                return r;
        sql_bind_bytes(stmt, 1, BYTES(s->boot, EVENT_ID_SIZE));
        r = store_run(s, stmt);
        if (r == 0)
                r = store_stmt(s, SQL_BATCH_ADD, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, seq);
        sql_bind(stmt, 2, s->realtime);
        sql_bind_bytes(stmt, 3, BYTES(s->boot, EVENT_ID_SIZE));
        sql_bind(stmt, 4, s->boottime);
        r = store_run(s, stmt);
        if (r == 0)
                s->has_batch = true;
        return r;
}

static int content_id(Store *s, Bytes digest, int64_t size, int64_t *ret) {
        sqlite3_stmt *stmt;
        int r;

        r = bulk_flush(s);              /* what is gathered has contents, too */
        if (r == 0)
                r = digests_get(s->digests, digest.data, ret);
        if (r != 0)
                return r < 0 ? r : 0;
        r = store_stmt(s, SQL_CONTENT_ADD, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, *ret);
        sql_bind_bytes(stmt, 2, digest);
        sql_bind(stmt, 3, size);
        return store_run(s, stmt);
}

static void bind_what(sqlite3_stmt *stmt, const Event *e, int64_t realtime) {
        sql_bind(stmt, 1, e->seq);
        sql_bind(stmt, 2, realtime - e->last);
        sql_bind(stmt, 3, e->last - e->first);
        sql_bind_id(stmt, 4, e->dataset);
        sql_bind(stmt, 5, event_what(e));
        sql_bind_id(stmt, 6, e->node);
        sql_bind_id(stmt, 7, e->parent);
        sql_bind_bytes(stmt, 8, e->name);
        sql_bind_bytes(stmt, 15, e->target);
        sql_bind_bytes(stmt, 17, e->detail);
}

static void bind_state(sqlite3_stmt *stmt, const Event *e, int64_t attr, int64_t content) {
        if (e->introduces) {
                sql_bind(stmt, 9, (int64_t) e->inode);
                sql_bind(stmt, 10, event_lived(e->btime, e->has_state ? e->mtime : 0));
        } else {
                sql_bind_null(stmt, 9);
                sql_bind_null(stmt, 10);
        }
        sql_bind_id(stmt, 11, attr);
        if (e->has_state)
                sql_bind(stmt, 12, e->size);
        else
                sql_bind_null(stmt, 12);
        if (e->has_state && e->mtime != 0)
                sql_bind(stmt, 13, event_age(e));
        else
                sql_bind_null(stmt, 13);
        sql_bind_id(stmt, 14, content);
}

static int add_event(Store *s, const Event *e, int64_t attr, int64_t content) {
        uint8_t rest[EVENT_REST_MAX];
        sqlite3_stmt *stmt;
        int r;

        r = store_stmt(s, SQL_EVENT_ADD, &stmt);
        if (r < 0)
                return r;
        bind_what(stmt, e, s->realtime);
        bind_state(stmt, e, attr, content);
        sql_bind_bytes(stmt, 16, event_rest(e, rest));
        return store_run(s, stmt);
}

/* What no event may be, whoever made it: it could not be read back, or not be applied. */
static bool is_sound(const Store *s, const Event *e) {
        if (!kind_to_word(e->kind) || !origin_to_word(e->origin) || e->node < 0 || e->parent < 0)
                return false;
        if (e->name.size > 255 || e->old_name.size > 255 || e->count < 0 || e->count > EVENT_COUNT_MAX)
                return false;
        if (e->digest_source != DIGEST_SOURCE_NONE && !digest_source_to_word(e->digest_source))
                return false;
        if (e->digest.data && e->digest.size != EVENT_DIGEST_SIZE)
                return false;
        if (e->has_state && !type_to_word(e->type))
                return false;
        if (e->kind == KIND_DATASET_ADD || !e->introduces)
                return true;
        return e->has_state && e->node == s->next_node;
}

static int write_event(Store *s, Event *e, StoreTarget *t) {
        int64_t attr = 0, content = 0;
        int r = 0;

        if (!s->has_batch)
                r = add_batch(s, e->seq);
        if (r == 0 && e->has_state)
                r = attrs_id(s, &(StoreAttr) { e->type, e->mode, e->uid, e->gid }, &attr);
        if (r == 0 && e->digest.data)
                r = content_id(s, e->digest, e->has_state ? e->size : t->size, &content);
        if (r == 0)
                r = add_event(s, e, attr, content);
        if (r == 0)
                r = project_apply(s, e, t, attr, content);
        return r;
}

/* What every event gets, and what it must be. */
static int number(Store *s, Event *e, int64_t *ret_filesystem) {
        StoreSums *sums;
        int r;

        if (s->broken < 0)
                return s->broken == -ENOSPC ? STORE_E_FULL : s->broken;
        if (!is_sound(s, e))
                return -EINVAL;
        *ret_filesystem = 0;
        memset(e->dataset_uuid, 0, sizeof(e->dataset_uuid));
        if (e->dataset != 0) {
                r = sums_find(s, e->dataset, &sums);
                if (r != 0)
                        return r < 0 ? r : -EINVAL;
                memcpy(e->dataset_uuid, sums->uuid, EVENT_ID_SIZE);
                *ret_filesystem = sums->filesystem;
        }
        e->seq = s->last_seq + 1;
        memcpy(e->boot, s->boot, EVENT_ID_SIZE);
        return 0;
}

static int appended(Store *s, const Event *e, int error, bool is_new, int64_t *ret_seq) {
        if (error == 0)
                error = leaves_add(s, e);
        if (error == 0)
                error = trails_mark(s, e);
        if (error == 0)
                error = spans_mark(s, e);
        if (error < 0) {
                s->broken = error;      /* half an event is in the transaction */
                return error == -ENOSPC ? STORE_E_FULL : error;
        }
        s->last_seq = e->seq;
        if (is_new)
                s->next_node++;
        if (ret_seq)
                *ret_seq = e->seq;
        return 0;
}

int store_append(Store *s, Event *e, int64_t *ret_seq) {
        StoreTarget target;
        int64_t filesystem;
        int r;

        assert(s);
        assert(s->in_transaction);
        assert(e);

        r = number(s, e, &filesystem);
        if (r != 0)
                return r;
        s->n_let_go = 0;
        r = project_load(s, e, &target);
        if (r < 0)
                return r;
        if (e->kind == KIND_DATASET_ADD) {
                e->introduces = target.id != 0 && target.born == 0;
                e->inode = target.inode;
                e->btime = target.btime;
        }
        r = write_event(s, e, &target);
        return appended(s, e, r, target.is_new, ret_seq);
}

/* It says nothing that bulk.c does not write: its leaf is of all that it says. */
static bool is_plain(const Event *e) {
        return e->replaces == 0 && e->old_parent == 0 && !e->old_name.data && e->process == 0 &&
               e->cause == CAUSE_NONE && e->gap == 0 && !e->detail.data && e->parent != 0 && e->name.data &&
               !e->digest.data == (e->digest_source == DIGEST_SOURCE_NONE);
}

int store_append_new(Store *s, Event *e, int64_t ctime, int64_t *ret_seq) {
        int64_t filesystem, attr;
        int r;

        assert(s);
        assert(s->in_transaction);
        assert(e);

        r = number(s, e, &filesystem);
        if (r != 0)
                return r;
        if (e->kind != KIND_CREATE || !e->introduces || filesystem == 0 || !is_plain(e))
                return -EINVAL;
        if (!s->has_batch)
                r = add_batch(s, e->seq);
        if (r == 0)
                r = attrs_id(s, &(StoreAttr) { e->type, e->mode, e->uid, e->gid }, &attr);
        if (r == 0)
                r = bulk_add(s, e, attr, filesystem, ctime);
        if (r == 0 && e->type == TYPE_FILE)
                r = sums_count(s, e->dataset, 1, e->size);
        if (r == 0)
                r = wanted_changed(s, e->node, false, e->type == TYPE_FILE && !e->digest.data);
        if (r == 0)
                identities_add(s, filesystem, e->inode, e->btime);
        return appended(s, e, r, true, ret_seq);
}

int store_append_digest(Store *s, Event *e, int64_t ctime, int64_t *ret_seq) {
        int64_t filesystem, size;
        const StoreKnown *k;
        int r;

        assert(s);
        assert(s->in_transaction);
        assert(e);

        r = number(s, e, &filesystem);
        if (r != 0)
                return r;
        k = known_get(s, e->node);
        if (e->kind != KIND_IDENTIFY || !k || !e->digest.data || e->introduces || e->has_state ||
            e->target.data || filesystem == 0 || !is_plain(e))
                return -EINVAL;
        size = k->size;
        known_forget(s, e->node);
        if (!s->has_batch)
                r = add_batch(s, e->seq);
        if (r == 0)
                r = bulk_add_digest(s, e, size, ctime);
        if (r == 0)
                r = wanted_changed(s, e->node, true, false);
        return appended(s, e, r, false, ret_seq);
}
