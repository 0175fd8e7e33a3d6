/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/store/private.h"

/* How the database is opened, and why (all of it was measured against faults):
 *
 * vfs=unix-excl     other processes are locked out as long as it is open, the wal-index is on the heap: no
 *                   -shm file whose pages a full file system could take away under us (SIGBUS), and none
 *                   needed to start on a full disk. It holds only if this connection is the first one and if
 *                   nothing in this process ever opens the database file by itself: one close(2) of it
 *                   would drop the lock.
 * WAL, PERSIST_WAL  the -wal file stays allocated, so that a stopped store opens again on a full disk.
 * synchronous=FULL  what was acknowledged survives a power cut; NORMAL lost up to 1,845 acknowledged rows.
 * defensive, ...    a damaged or prepared file can at worst be refused.
 */

extern const EmbeddedFile schema_files[];

static const char *const statements[] = {
#define STORE_STATEMENT_TEXT(name, text) text,
        STORE_STATEMENTS(STORE_STATEMENT_TEXT)
};

int store_stmt(Store *s, StoreStatement which, sqlite3_stmt **ret) {
        int r = bulk_flush(s);

        return r < 0 ? r : sql_get(&s->sql, which, ret);
}

int store_run(Store *s, sqlite3_stmt *stmt) {
        int r = sql_step(&s->sql, stmt);

        assert(r <= 0);
        return r;
}

/* The folder is ours and nobody else's; the file is made 0600 before SQLite would make it 0644. That is the
 * one time that it is opened outside SQLite: nobody can hold a lock yet on a file that did not exist. */
static int prepare_files(const char *dir, const char *path) {
        struct stat st;
        int fd, r;

        if (mkdir(dir, 0700) < 0 && errno != EEXIST)
                return -errno;
        if (stat(dir, &st) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode))
                return -ENOTDIR;
        if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
                return -EPERM;
        r = rescue_finish(dir, path);
        if (r < 0)
                return r;

        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return errno == EEXIST ? 0 : -errno;
        close(fd);
        return 0;
}

/* Reads only: a store that is not ours is left as it is. *ret_form 0: it is empty, to be made. */
static int look_at(sqlite3 *db, int64_t *ret_form) {
        int64_t application, form, tables = 0;
        int r;

        r = sql_number(db, "PRAGMA application_id", &application);
        if (r == 0)
                r = sql_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
        if (r == 0)
                r = sql_number(db, "PRAGMA user_version", &form);
        if (r == -EBUSY)
                return STORE_E_LOCKED;
        if (r < 0)
                return sqlite3_errcode(db) == SQLITE_NOTADB ? STORE_E_FOREIGN : r;
        *ret_form = 0;
        if (application == 0 && tables == 0)
                return 0;
        if (application != STORE_APPLICATION_ID)
                return STORE_E_FOREIGN;
        *ret_form = form;
        return form > STORE_FORM ? STORE_E_NEWER : form < STORE_FORM_FIRST ? STORE_E_OLDER : 0;
}

static int configure(sqlite3 *db, bool is_new) {
        int64_t is_wal;
        int persist = 1, r = 0;

        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
        sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
        sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
        sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
        if (is_new)                     /* auto_vacuum is written, which a full disk would not have */
                r = sql_exec(db, "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL");
        if (r == 0)
                r = sql_exec(db,
                             "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                             "PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"
                             "PRAGMA temp_store = MEMORY; PRAGMA secure_delete = FAST;"
                             "PRAGMA journal_size_limit = 16777216; PRAGMA wal_autocheckpoint = 1000;"
                             "PRAGMA cache_size = -16000");
        if (r == 0)
                r = sql_number(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &is_wal);
        if (r < 0)
                return r;
        return is_wal ? 0 : -ENOTSUP;
}

int store_write_file(int fd, const void *data, size_t size) {
        ssize_t n;

        do
                n = pwrite(fd, data, size, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        return (size_t) n == size && fsync(fd) == 0 ? 0 : -EIO;
}

int store_sync_dir(const char *dir) {
        int fd, r = 0;

        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (fsync(fd) < 0)
                r = -errno;
        close(fd);
        return r;
}

/* The files' names begin with the form that they make. */
int schema_apply(sqlite3 *db, int64_t form) {
        char identity[128];
        int r = migrate_prepare(db);

        snprintf(identity, sizeof(identity), "PRAGMA application_id = %d; PRAGMA user_version = %d",
                 STORE_APPLICATION_ID, STORE_FORM);
        for (const EmbeddedFile *f = schema_files; r == 0 && f->name; f++)
                if (strtol(f->name, NULL, 10) > form)
                        r = sql_exec(db, f->text);
        return r == 0 ? sql_exec(db, identity) : r;
}

/* One transaction, application_id and user_version in it: there is no half-made store. */
static int create(sqlite3 *db, const char *dir) {
        int r = sql_exec(db, "BEGIN IMMEDIATE");

        if (r == 0)
                r = schema_apply(db, 0);
        if (r == 0)
                r = sql_exec(db, "COMMIT");
        if (r < 0) {
                if (!sqlite3_get_autocommit(db))
                        sql_exec(db, "ROLLBACK");
                return r;
        }
        r = sql_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)");
        return r < 0 ? r : store_sync_dir(dir);
}

/* What is kept in memory, from what is committed. */
static int load(Store *s) {
        int64_t node;
        int r;

        free(s->sums);
        s->sums = NULL;
        s->n_sums = 0;
        r = sql_number(s->sql.db, "SELECT max(seq) FROM event", &s->last_seq);
        if (r == 0)
                r = sql_number(s->sql.db, "SELECT max(id) FROM node", &node);
        if (r < 0)
                return r;
        s->next_node = node + 1;
        r = attrs_load(s);
        if (r == 0)
                r = wanted_load(s);
        return r < 0 ? r : leaves_load(s);
}

/* A new store is made, one of an older form is brought to ours. */
static int prepare(Store *s, sqlite3 *db, int64_t form) {
        if (form == 0)
                return create(db, s->dir);
        return form < STORE_FORM ? migrate(s, db, form) : 0;
}

static int open_database(Store *s) {
        sqlite3 *db = NULL;
        int64_t form;
        int r;

        r = sqlite3_open_v2(s->path, &db,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                                    SQLITE_OPEN_EXRESCODE,
                            "unix-excl");
        if (r != SQLITE_OK) {
                r = sql_errno(db, r);
                goto fail;
        }
        r = look_at(db, &form);
        if (r == 0)
                r = configure(db, form == 0);
        if (r == 0)
                r = bulk_init(s, db);
        if (r == 0)
                r = sql_init(&s->sql, db, statements, ELEMENTS(statements));
        if (r != 0)
                goto fail;
        r = reader_new(db, &s->reader);
        if (r == 0)
                r = digests_new(db, DIGESTS_LEAST, &s->digests);
        if (r == 0)
                r = prepare(s, db, form);
        return r == 0 ? load(s) : r;
fail:
        sqlite3_close(db);
        return r;
}

int database_open(Store *s) {
        int r = hold_standard_descriptors();

        if (r == 0)
                r = prepare_files(s->dir, s->path);
        return r == 0 ? open_database(s) : r;
}

void database_close(Store *s) {
        store_rollback(s);
        attrs_done(&s->attrs);
        free(s->sums);
        roots_done(&s->roots);
        spans_done(&s->spans);
        trails_done(&s->trails);
        signer_forget(s);
        tree_done(&s->tree);
        reader_free(s->reader);
        digests_free(s->digests);
        free(s->leaf);
        sql_done(&s->sql);
        bulk_done(s);
        store_identities_forget(s);
        known_clear(s);
        contents_forget(s);
        *s = (Store) { .dir = s->dir, .path = s->path, .acked = s->acked, .n_wanted = s->n_wanted };
}

int store_open(const char *dir, Store **ret) {
        CLEANUP(store_closep) Store *s = NULL;
        int r;

        assert(dir);
        assert(ret);

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->dir = strdup(dir);
        if (!s->dir)
                return -ENOMEM;
        if (asprintf(&s->path, "%s/scitrace.db", dir) < 0) {
                s->path = NULL;
                return -ENOMEM;
        }
        r = database_open(s);
        if (r != 0)
                return r;
        witness_compare(s);

        *ret = STEAL(s);
        return 0;
}

Store *store_close(Store *s) {
        if (!s)
                return NULL;
        database_close(s);
        free(s->path);
        free(s->dir);
        free(s);
        return NULL;
}

const char *store_path(const Store *s) {
        assert(s);
        return s->path;
}

const char *store_dir(const Store *s) {
        assert(s);
        return s->dir;
}

int64_t store_migrated_from(const Store *s) {
        assert(s);
        return s->migrated_from;
}

int store_begin(Store *s, int64_t realtime, int64_t boottime, const uint8_t boot[EVENT_ID_SIZE]) {
        int r;

        assert(s);
        assert(boot);
        assert(!s->in_transaction);

        if (!s->sql.db)                 /* store_reopen() saved it, and could not open it so far */
                return -ESTALE;
        if (s->broken < 0)
                s->broken = load(s);
        if (s->broken < 0)
                return s->broken;
        r = sql_exec(s->sql.db, "BEGIN IMMEDIATE");
        if (r < 0)
                return r;
        s->in_transaction = true;
        s->has_batch = false;
        s->realtime = realtime;
        s->boottime = boottime;
        memcpy(s->boot, boot, EVENT_ID_SIZE);
        return 0;
}

static int write_counters(Store *s) {
        sqlite3_stmt *stmt;
        int r;

        for (size_t i = 0; i < s->n_sums; i++) {
                StoreSums *sum = &s->sums[i];

                if (sum->files == 0 && sum->bytes == 0)
                        continue;
                r = store_stmt(s, SQL_COUNTER_ADD, &stmt);
                if (r < 0)
                        return r;
                sql_bind(stmt, 1, sum->id);
                sql_bind(stmt, 2, sum->files);
                sql_bind(stmt, 3, sum->bytes);
                r = store_run(s, stmt);
                if (r < 0)
                        return r;
                sum->files = sum->bytes = 0;
        }
        return 0;
}

int store_commit(Store *s) {
        int r;

        assert(s);
        assert(s->in_transaction);

        r = s->broken;
        if (r == 0)
                r = bulk_flush(s);
        if (r == 0)
                r = digests_flush(s->digests);
        if (r == 0)
                r = store_is_gone(s) ? -ESTALE : write_counters(s);
        if (r == 0)
                r = wanted_flush(s);
        if (r == 0)
                r = spans_flush(s);
        if (r == 0)
                r = trails_flush(s);
        if (r == 0)
                r = sql_exec(s->sql.db, "COMMIT");
        if (r == 0) {
                s->in_transaction = false;
                signer_committed(s);
                witness_committed(s);
                return 0;
        }
        /* A failed fsync may have written; only a failed write has surely not. */
        if (sqlite3_extended_errcode(s->sql.db) == SQLITE_IOERR_FSYNC)
                r = -EIO;
        store_rollback(s);
        return r == -ENOSPC ? STORE_E_FULL : STORE_E_FAILED;
}

void store_rollback(Store *s) {
        assert(s);

        if (!s->in_transaction)
                return;
        s->in_transaction = false;
        bulk_forget(s);
        digests_forget(s->digests);
        spans_forget(s);
        roots_forget(s);
        trails_forget(s);
        known_clear(s);
        contents_forget(s);
        if (!sqlite3_get_autocommit(s->sql.db))
                (void) sql_exec(s->sql.db, "ROLLBACK");
        signer_forget(s);
        witness_forget(s);
        /* What cannot be read again now cannot be written either: the next begin says so. */
        s->broken = load(s);
}

void store_rest(Store *s) {
        assert(s);
        (void) sqlite3_db_release_memory(s->sql.db);
}

int64_t store_last_seq(const Store *s) {
        assert(s);
        return s->last_seq;
}

int64_t store_silent(const Store *s) {
        assert(s);
        return s->n_silent;
}

int store_let_go(Store *s, StoreLink *ret) {
        assert(s && ret);
        if (s->n_let_go == 0)
                return 0;
        *ret = s->let_go[--s->n_let_go % ELEMENTS(s->let_go)];
        return 1;
}

int64_t store_next_node(Store *s) {
        assert(s);
        return s->next_node;
}

static int run_write(Store *s, StoreStatement which) {
        sqlite3_stmt *stmt;
        int r;

        r = store_stmt(s, which, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, s->last_seq);
        return store_run(s, stmt);      /* autocommit: a transaction of its own */
}

int store_run_start(Store *s, bool *ret_clean, bool *ret_first) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        bool first, clean;
        int r;

        assert(s);
        assert(!s->in_transaction);
        assert(ret_clean);
        assert(ret_first);

        r = store_stmt(s, SQL_RUN_LAST, &stmt);
        if (r == 0)
                r = sql_step(&s->sql, stmt);
        if (r < 0)
                return r;
        first = r == 0;
        clean = r > 0 && sql_column(stmt, 0) != 0;
        sqlite3_reset(stmt);
        r = run_write(s, SQL_RUN_START);
        if (r < 0)
                return r;
        *ret_first = first;
        *ret_clean = clean;
        return 0;
}

int store_run_end(Store *s) {
        assert(s);
        assert(!s->in_transaction);
        if (!s->sql.db)
                return -ESTALE;
        return run_write(s, SQL_RUN_END);
}
