/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "daemon/store/copy.h"
#include "daemon/store/sql.h"

enum {
        LOCK_START = 0x40000000, /* where SQLite locks a database file, and how far */
        LOCK_SIZE = 512,
        PIECE = 1 << 20,
};

#define NAME "scitrace.db"

/* As long as the descriptor is open. A scitraced holds a write lock there. */
static int lock_source(int fd) {
        struct flock lock = {
                .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = LOCK_START, .l_len = LOCK_SIZE
        };

        if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
                return 0;
        return errno == EAGAIN || errno == EACCES ? STORE_E_LOCKED : -errno;
}

static int copy_by_hand(int from, int to) {
        CLEANUP(freep) uint8_t *buffer = malloc(PIECE);
        ssize_t n;

        if (!buffer)
                return -ENOMEM;
        while ((n = read(from, buffer, PIECE)) != 0) {
                for (ssize_t done = 0, w; done < n; done += w) {
                        w = write(to, buffer + done, (size_t) (n - done));
                        if (w < 0)
                                return -errno;
                }
                if (n < 0 && errno != EINTR)
                        return -errno;
        }
        return 0;
}

static int copy_bytes(int from, int to) {
        ssize_t n;
        bool some = false;

        if (ioctl(to, FICLONE, from) == 0)
                return 0;
        do {
                n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0);
                some |= n > 0;
        } while (n > 0);
        if (n < 0 && !some)
                return copy_by_hand(from, to);
        return n < 0 ? -errno : 0;
}

/* The source's folder is open, so that both files are of the same place. suffix: of the file's name; one
 * that is not there is -ENOENT. *ret_fd: stays open. */
static int copy_file(const char *source, const char *suffix, const StoreCopy *c, bool lock, int *ret_fd) {
        CLEANUP(freep) char *from = NULL, *to = NULL;
        CLEANUP(closep) int out = -1;
        int r;

        if (asprintf(&from, "%s%s", source, suffix) < 0)
                from = NULL;
        if (asprintf(&to, "%s/" NAME "%s", c->dir, suffix) < 0)
                to = NULL;
        if (!from || !to)
                return -ENOMEM;
        *ret_fd = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (*ret_fd < 0)
                return -errno;
        if (lock) {
                r = lock_source(*ret_fd);
                if (r != 0)
                        return r;
        }
        out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        return out < 0 ? -errno : copy_bytes(*ret_fd, out);
}

static int copy_files(const char *source, const StoreCopy *c) {
        CLEANUP(closep) int db = -1, wal = -1;
        int r = copy_file(source, "", c, true, &db);

        if (r == 0)
                r = copy_file(source, "-wal", c, false, &wal);
        return r == -ENOENT && db >= 0 ? 0 : r;
}

static int open_copy(StoreCopy *c) {
        CLEANUP(freep) char *path = NULL;
        int64_t application = 0, form = 0;
        int r;

        if (asprintf(&path, "%s/" NAME, c->dir) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = sqlite3_open_v2(path, &c->db,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                                    SQLITE_OPEN_EXRESCODE,
                            "unix-excl");
        r = sql_errno(c->db, r);
        if (r < 0)
                return r;
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        sqlite3_limit(c->db, SQLITE_LIMIT_ATTACHED, 0);
        r = sql_exec(c->db, "PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"
                            "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000");
        if (r == 0)
                r = sql_number(c->db, "PRAGMA application_id", &application);
        if (r == 0)
                r = sql_number(c->db, "PRAGMA user_version", &form);
        if (r < 0)
                return sqlite3_errcode(c->db) == SQLITE_NOTADB ? STORE_E_FOREIGN : r;
        c->form = (int) form;
        if (application != STORE_APPLICATION_ID)
                return STORE_E_FOREIGN;
        return form > STORE_FORM ? STORE_E_NEWER : form < STORE_FORM_FIRST ? STORE_E_OLDER : 0;
}

/* ret has all names before there is anything of them. */
static int make_folder(const char *within, StoreCopy *ret) {
        char *dir, *scratch, *work;
        int n;

        n = asprintf(&dir, "%s/scitrace-copy-XXXXXX", within);
        if (n < 0)
                return -ENOMEM;
        if (asprintf(&scratch, "%s/anew", dir) < 0) {
                free(dir);
                return -ENOMEM;
        }
        if (asprintf(&work, "%s/work", dir) < 0) {
                free(scratch);
                free(dir);
                return -ENOMEM;
        }
        ret->dir = dir;
        ret->scratch = scratch;
        ret->work = work;
        if (!mkdtemp(dir)) {
                int r = -errno;

                copy_close(ret);
                return r;
        }
        memcpy(scratch, dir, (size_t) n);
        memcpy(work, dir, (size_t) n);
        return 0;
}

int copy_open(const char *source, const char *within, StoreCopy *ret) {
        CLEANUP(freep) char *path = NULL;
        struct stat st;
        int r;

        assert(source && within && ret);
        *ret = (StoreCopy) { 0 };
        if (stat(source, &st) < 0)
                return -errno;
        if (asprintf(&path, "%s%s", source, S_ISDIR(st.st_mode) ? "/" NAME : "") < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = make_folder(within, ret);
        if (r < 0)
                return r;
        r = copy_files(path, ret);
        if (r == 0)
                r = open_copy(ret);
        if (r != 0)
                copy_close(ret);
        return r;
}

/* What a database in dir has left, and dir. */
static void remove_store(const char *dir) {
        static const char *const names[] = { NAME, NAME "-wal", NAME "-journal", NAME "-shm" };
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0)
                return;
        for (size_t i = 0; i < ELEMENTS(names); i++)
                (void) unlinkat(fd, names[i], 0);
        (void) close(fd);
        (void) rmdir(dir);
}

void copy_remove(const StoreCopy *c) {
        if (c->work)
                remove_store(c->work);
        if (c->scratch)
                remove_store(c->scratch);
        if (c->dir)
                remove_store(c->dir);
}

void copy_close(StoreCopy *c) {
        char *dir = c->dir, *scratch = c->scratch, *work = c->work;

        sqlite3_close(c->db);
        copy_remove(c);
        *c = (StoreCopy) { 0 };
        free(dir);
        free(scratch);
        free(work);
}
