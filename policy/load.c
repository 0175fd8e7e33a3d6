/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* load: which files count, and may they be trusted; policy.c reads what is in them. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "policy/policy.h"

#define MAIN_FILE "scitraced.conf"
#define DROPINS_FOLDER "scitraced.conf.d"

enum {                                  /* named outcomes of this file */
        LOAD_E_REFUSED = 1,             /* said in a warning */
        LOAD_E_MASKED,                  /* a link to /dev/null */
};

typedef struct Folder {
        const char *path;
        int fd, dropins;                /* -1: not there */
} Folder;

typedef struct Load {
        Policy *policy;
        uid_t uid;
        Folder folders[POLICY_FOLDERS_MAX];
        size_t n_folders;
        char **names;                   /* of drop-ins; owned */
        size_t n_names;
        PolicyWarnFn warn;
        void *userdata;
} Load;

static void load_done(Load *l) {
        for (size_t i = 0; i < l->n_folders; i++) {
                closep(&l->folders[i].fd);
                closep(&l->folders[i].dropins);
        }
        while (l->n_names > 0)
                free(l->names[--l->n_names]);
        free(l->names);
}

PRINTF_LIKE(3, 4) static int refuse(Load *l, const char *path, const char *format, ...) {
        char message[512];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        if (l->warn)
                l->warn(l->userdata, path, 0, message);
        return LOAD_E_REFUSED;
}

static int check_trust(Load *l, int fd, const char *path, struct stat *st) {
        if (fstat(fd, st) < 0)
                return -errno;
        if (S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3))
                return LOAD_E_MASKED;
        if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
                return refuse(l, path, "It is neither a file nor a folder, and is not read.");
        if (st->st_uid != 0 && st->st_uid != l->uid)
                return refuse(l, path,
                              "It belongs to uid %u, and is not read: it must be root's or uid %u's.",
                              (unsigned) st->st_uid, (unsigned) l->uid);
        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return refuse(l, path, "Others than its owner may write it (mode %04o), and it is not read.",
                              (unsigned) st->st_mode & 07777);
        return 0;
}

/* 0 and *ret, which is -1 when the folder is missing or refused. */
static int open_folder(Load *l, int at, const char *name, const char *path, int *ret) {
        CLEANUP(closep) int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;
        int r;

        *ret = -1;
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        r = check_trust(l, fd, path, &st);
        if (r < 0)
                return r;
        if (r == 0)
                *ret = STEAL_FD(fd);
        return 0;
}

static int open_folders(Load *l, const char *const *dirs) {
        char path[PATH_MAX];

        for (; *dirs; dirs++) {
                Folder *f = &l->folders[l->n_folders];
                int r;

                assert(l->n_folders < POLICY_FOLDERS_MAX);
                *f = (Folder) { *dirs, -1, -1 };
                r = open_folder(l, AT_FDCWD, *dirs, *dirs, &f->fd);
                if (r < 0)
                        return r;
                if (f->fd < 0)
                        continue;
                l->n_folders++;
                (void) snprintf(path, sizeof(path), "%s/%s", *dirs, DROPINS_FOLDER);
                r = open_folder(l, f->fd, DROPINS_FOLDER, path, &f->dropins);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_name(Load *l, const char *name) {
        char **grown, *copy;

        for (size_t i = 0; i < l->n_names; i++)
                if (strcmp(l->names[i], name) == 0)
                        return 0;
        grown = reallocarray(l->names, l->n_names + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        l->names = grown;
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        l->names[l->n_names++] = copy;
        return 0;
}

static void closedirp(DIR **d) {
        if (*d)
                closedir(*d);
}

static int list_dropins(Load *l, int folder) {
        CLEANUP(closedirp) DIR *d = NULL;
        CLEANUP(closep) int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        d = fdopendir(fd);
        if (!d)
                return -errno;
        (void) STEAL_FD(fd);
        for (;;) {
                struct dirent *entry;
                size_t length;
                int r;

                errno = 0;
                entry = readdir(d);
                if (!entry)
                        return -errno;
                length = strlen(entry->d_name);
                if (entry->d_name[0] == '.' || length <= 5 ||
                    strcmp(entry->d_name + length - 5, ".conf") != 0)
                        continue;
                r = add_name(l, entry->d_name);
                if (r < 0)
                        return r;
        }
}

static int read_whole(Load *l, int fd, size_t size, const char *path, char **ret) {
        CLEANUP(freep) char *text = malloc(size + 1);
        size_t used = 0;

        if (!text)
                return -ENOMEM;
        while (used < size) {
                ssize_t n = read(fd, text + used, size - used);

                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                used += (size_t) n;
        }
        text[used] = '\0';
        if (memchr(text, '\0', used))
                return refuse(l, path, "It holds a NUL byte, and is not read.");
        *ret = STEAL(text);
        return 0;
}

static int load_file(Load *l, int folder, const char *name, const char *path) {
        /* O_NONBLOCK: a FIFO in its place must not hold us up. */
        CLEANUP(closep) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        CLEANUP(freep) char *text = NULL;
        struct stat st;
        int r;

        if (fd < 0)
                return -errno;
        r = check_trust(l, fd, path, &st);
        if (r != 0)
                return r;
        if (st.st_size > POLICY_FILE_MAX)
                return refuse(l, path, "It has more than %d bytes, and is not read.", POLICY_FILE_MAX);
        r = read_whole(l, fd, (size_t) st.st_size, path, &text);
        if (r != 0)
                return r;
        return policy_parse(l->policy, path, text, l->warn, l->userdata);
}

/* The file of that name in the first folder that has one. */
static int load_first(Load *l, const char *name, int is_dropin) {
        char path[PATH_MAX];

        for (size_t i = 0; i < l->n_folders; i++) {
                const Folder *f = &l->folders[i];
                int at = is_dropin ? f->dropins : f->fd;
                int r;

                if (at < 0)
                        continue;
                (void) snprintf(path, sizeof(path), "%s/%s%s", f->path, is_dropin ? DROPINS_FOLDER "/" : "",
                                name);
                r = load_file(l, at, name, path);
                if (r == -ENOENT)
                        continue;
                return r < 0 ? r : 0;
        }
        return 0;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

int policy_load(const char *const *dirs, uid_t uid, PolicyWarnFn warn, void *userdata, Policy **ret) {
        CLEANUP(policy_freep) Policy *p = NULL;
        CLEANUP(load_done) Load l = { .uid = uid, .warn = warn, .userdata = userdata };
        int r;

        assert(dirs && ret);
        r = policy_new(&p);
        if (r < 0)
                return r;
        l.policy = p;
        r = open_folders(&l, dirs);
        if (r < 0)
                return r;
        for (size_t i = 0; i < l.n_folders && r == 0; i++)
                if (l.folders[i].dropins >= 0)
                        r = list_dropins(&l, l.folders[i].dropins);
        if (l.n_names > 0)
                qsort(l.names, l.n_names, sizeof(*l.names), compare_names);

        if (r == 0)
                r = load_first(&l, MAIN_FILE, 0);
        for (size_t i = 0; i < l.n_names && r == 0; i++)
                r = load_first(&l, l.names[i], 1);
        if (r < 0)
                return r;
        *ret = STEAL(p);
        return 0;
}
