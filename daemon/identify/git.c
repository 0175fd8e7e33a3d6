/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <git2.h>
#include <git2/sys/repository.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>

#include "daemon/identify/git.h"
#include "daemon/identify/identify.h"
#include "daemon/identify/open.h"
#include "daemon/identify/stat.h"

/* libgit2 opens by path, and people can swap what a path names between our check and its open. So each look
 * leaves a trail: the identity and ctime of all that was checked, before libgit2 read it. A second look,
 * whose trail is made after the first one's reading, must find the same; a swap and back moves the ctime,
 * unless it is all within one tick of the clock, hence no ctime may be that young. */

enum {
        TRAIL_MAX = 24,
        HOPS_MAX = 5,                   /* symbolic references behind each other, as in git */
        LOOKS_MAX = 20,
        SMALL_FILE_MAX = 65536,
        PACKED_REFS_MAX = 64 << 20,     /* half a million of them; libgit2 reads files whole */
};

typedef struct Trail {
        struct {
                uint64_t inode;
                int64_t ctime;
        } seen[TRAIL_MAX];
        size_t count;
} Trail;

typedef struct Look {
        int root_fd, git_fd, common_fd;
        char root[PATH_MAX];            /* as the kernel spells it */
        char path[PATH_MAX];            /* of the git folder */
        git_repository *repository;
        Trail trail;
        DatasetKind kind;
        char commit[GIT_OID_HEXSZ + 1];
} Look;

#define LOOK_NONE { .root_fd = -1, .git_fd = -1, .common_fd = -1, .kind = DATASET_KIND_PLAIN }

static void look_done(Look *l) {
        git_repository_free(l->repository);
        closep(&l->common_fd);
        closep(&l->git_fd);
        closep(&l->root_fd);
}

static int set_up(void) {
        static const int levels[] = { GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
                                      GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL };

        if (git_libgit2_init() < 0)
                return -ENOMEM;
        if (git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0) < 0)
                return -ENOTSUP;
        for (size_t i = 0; i < ELEMENTS(levels); i++)
                if (git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "") < 0)
                        return -ENOTSUP;
        return 0;
}

static int ready;

static void begin(void) {
        ready = set_up();
}

int git_ready(void) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        (void) pthread_once(&once, begin);
        return ready;
}

int git_forget_config(git_repository *repository) {
        git_config *config = NULL;
        int r = git_config_new(&config);

        if (r == 0)
                r = git_repository_set_config(repository, config);
        git_config_free(config);
        return r < 0 ? -ENOMEM : 0;
}

/* What our opener refuses is refused; what is missing is only missing. */
static int refusal(int error) {
        return error == -ELOOP || error == -EXDEV ? -EPERM : error;
}

static bool is_missing(int error) {
        return error == -ENOENT || error == -ENOTDIR;
}

static int trail_add(Trail *t, const struct statx *stx) {
        IdentifyState state = stx ? state_from(stx) : (IdentifyState) { 0 };

        if (t->count == TRAIL_MAX)
                return -EBADMSG;
        t->seen[t->count].inode = state.inode;
        t->seen[t->count++].ctime = state.ctime;
        return 0;
}

static bool trail_equal(const Trail *a, const Trail *b) {
        return a->count == b->count && memcmp(a->seen, b->seen, a->count * sizeof(a->seen[0])) == 0;
}

static bool trail_is_young(const Trail *t, int64_t began) {
        int64_t ended = ctime_now();

        for (size_t i = 0; i < t->count; i++)
                if (stat_is_young(t->seen[i].ctime, STAT_TICK_NSEC, began, ended))
                        return true;
        return false;
}

/* Looks at what libgit2 will read as `path` in dir_fd: 1 a regular file, 0 nothing to read, -EPERM: it
 * leads out, or reading it could wait for ever; -EFBIG. */
static int check_file(Look *l, int dir_fd, const char *path, uint64_t most) {
        CLEANUP(closep) int fd = open_beneath(dir_fd, path, O_PATH | O_NOFOLLOW);
        struct statx stx;
        int r;

        if (is_missing(fd))
                return trail_add(&l->trail, NULL);
        if (fd < 0)
                return refusal(fd);
        r = stat_entry(fd, "", &stx);
        if (r == 0)
                r = trail_add(&l->trail, &stx);
        if (r < 0)
                return r;
        if (S_ISDIR(stx.stx_mode))
                return 0;
        if (!S_ISREG(stx.stx_mode))
                return -EPERM;
        return stx.stx_size > most ? -EFBIG : 1;
}

static int check_folder(Look *l, int fd) {
        struct statx stx;
        int r = stat_entry(fd, "", &stx);

        return r < 0 ? r : trail_add(&l->trail, &stx);
}

/* A small text file, NUL-terminated. */
static int read_small(int dir_fd, const char *path, char **ret) {
        CLEANUP(closep) int fd = open_beneath(dir_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
        CLEANUP(freep) char *text = malloc(SMALL_FILE_MAX + 1);
        size_t size = 0;
        ssize_t n;

        if (fd < 0)
                return refusal(fd);
        if (!text)
                return -ENOMEM;
        while ((n = read(fd, text + size, SMALL_FILE_MAX - size)) > 0)
                size += (size_t) n;
        if (n < 0)
                return -errno;
        if (size == SMALL_FILE_MAX)
                return -EFBIG;
        text[size] = '\0';
        *ret = STEAL(text);
        return 0;
}

/* Opens, beneath the root, the folder that `path` names when it is told in a folder at `from` (relative to
 * the root). -EPERM: it leads out. */
static int open_told(const Look *l, const char *from, const char *path) {
        char joined[2 * PATH_MAX];
        size_t n = strlen(l->root);
        int size;

        if (path[0] != '/')
                size = snprintf(joined, sizeof(joined), "%s%s%s", from, from[0] ? "/" : "", path);
        else if (strncmp(path, l->root, n) == 0 && path[n] == '/')
                size = snprintf(joined, sizeof(joined), "%s", path + n + strspn(path + n, "/"));
        else
                return -EPERM;
        if ((size_t) size >= sizeof(joined))
                return -ENAMETOOLONG;
        return refusal(open_beneath(l->root_fd, joined, O_PATH | O_DIRECTORY));
}

/* The path of a descriptor as the kernel spells it. */
static int path_of(int fd, char ret[PATH_MAX]) {
        char link[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, ret, PATH_MAX);
        if (n < 0)
                return -errno;
        if (n == PATH_MAX)
                return -ENAMETOOLONG;
        ret[n] = '\0';
        return 0;
}

/* .git may be a file that says where the folder is (submodules, worktrees). */
static int follow_git_file(Look *l) {
        static const char prefix[] = "gitdir:";
        CLEANUP(freep) char *text = NULL;
        char *target;
        int r = read_small(l->root_fd, ".git", &text);

        if (r < 0)
                return r;
        if (strncmp(text, prefix, sizeof(prefix) - 1) != 0)
                return -ENOENT;
        target = text + sizeof(prefix) - 1;
        target += strspn(target, " ");
        target[strcspn(target, "\r\n")] = '\0';
        return open_told(l, "", target);
}

static int find_git_folder(Look *l) {
        int r = check_folder(l, l->root_fd);

        if (r == 0)
                r = check_file(l, l->root_fd, ".git", SMALL_FILE_MAX);
        if (r < 0)
                return r;
        l->git_fd = r == 1 ? follow_git_file(l) :
                             refusal(open_beneath(l->root_fd, ".git", O_PATH | O_DIRECTORY | O_NOFOLLOW));
        if (l->git_fd < 0)
                return l->git_fd;
        r = check_folder(l, l->git_fd);
        return r < 0 ? r : path_of(l->git_fd, l->path);
}

/* Objects are never opened here; but a repository that borrows some elsewhere is not beneath the root. */
static int check_alternates(Look *l, const char *common) {
        CLEANUP(freep) char *text = NULL;
        char *line, *rest, objects[PATH_MAX + 16];
        int r = check_file(l, l->common_fd, "objects/info/alternates", SMALL_FILE_MAX);

        if (r <= 0)
                return r;
        r = read_small(l->common_fd, "objects/info/alternates", &text);
        if (r < 0)
                return r;
        snprintf(objects, sizeof(objects), "%s/objects", common);
        for (rest = text; (line = strsep(&rest, "\n"));) {
                int fd;

                if (line[0] == '\0' || line[0] == '#')
                        continue;
                fd = open_told(l, objects, line);
                if (fd < 0 && !is_missing(fd))
                        return fd;
                closep(&fd);
        }
        return 0;
}

/* Where git keeps what worktrees share; mostly the git folder itself. libgit2 has read `commondir`. */
static int find_common_folder(Look *l) {
        const char *common = git_repository_commondir(l->repository);
        char path[PATH_MAX], *relative;
        size_t n = strlen(l->root);
        int r;

        l->common_fd = open_told(l, "", common);
        if (l->common_fd < 0)
                return l->common_fd;
        r = check_folder(l, l->common_fd);
        if (r == 0)
                r = path_of(l->common_fd, path);
        if (r < 0)
                return r;
        if (strncmp(path, l->root, n) != 0 || path[n] != '/')
                return -EAGAIN;
        relative = path + n + 1;
        r = check_alternates(l, relative);
        if (r == 0)
                r = check_file(l, l->common_fd, "packed-refs", PACKED_REFS_MAX);
        return r < 0 ? r : 0;
}

static int open_repository(Look *l) {
        int r = check_file(l, l->git_fd, "HEAD", SMALL_FILE_MAX);

        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        r = check_file(l, l->git_fd, "commondir", SMALL_FILE_MAX);
        if (r >= 0)
                r = git_ready();
        if (r < 0)
                return r;
        /* As a bare one libgit2 1.5 opens it without its configuration, which could include any file. */
        if (git_repository_open_bare(&l->repository, l->path) < 0)
                return -ENOENT;
        r = git_forget_config(l->repository);
        if (r < 0)
                return r;
        if (strncmp(git_repository_path(l->repository), l->path, strlen(l->path)) != 0)
                return -EAGAIN;         /* swapped since */
        return find_common_folder(l);
}

/* One reference: 1 and the name of the next one in `name`; 0 and the commit, or "": there is none yet. */
static int follow_reference(Look *l, char name[PATH_MAX]) {
        git_reference *reference = NULL;
        int r;

        r = check_file(l, l->git_fd, name, SMALL_FILE_MAX);
        if (r >= 0)
                r = check_file(l, l->common_fd, name, SMALL_FILE_MAX);
        if (r < 0)
                return r;
        r = git_reference_lookup(&reference, l->repository, name);
        if (r == GIT_ENOTFOUND)
                return 0;
        if (r < 0)
                return -EBADMSG;
        r = git_reference_type(reference) == GIT_REFERENCE_SYMBOLIC;
        if (r)
                snprintf(name, PATH_MAX, "%s", git_reference_symbolic_target(reference));
        else
                git_oid_tostr(l->commit, sizeof(l->commit), git_reference_target(reference));
        git_reference_free(reference);
        return r;
}

static int follow_head(Look *l) {
        char name[PATH_MAX] = "HEAD";

        for (int i = 0; i < HOPS_MAX; i++) {
                int r = follow_reference(l, name);

                if (r <= 0)
                        return r;
        }
        return -ELOOP;
}

/* Whether .datalad/config gives the dataset an id: "id = ..." in the section [datalad "dataset"]. */
static bool has_datalad_id(const Look *l) {
        CLEANUP(freep) char *text = NULL;
        bool in_section = false;
        char *line, *rest, quote;

        if (read_small(l->root_fd, ".datalad/config", &text) < 0)
                return false;
        for (rest = text; (line = strsep(&rest, "\n"));) {
                line += strspn(line, " \t\r");
                if (line[0] == '[')
                        in_section = sscanf(line, "[datalad \"dataset%c]", &quote) == 1 && quote == '"';
                else if (in_section && strncmp(line, "id", 2) == 0 &&
                         line[2 + strspn(line + 2, " \t")] == '=')
                        return true;
        }
        return false;
}

static DatasetKind kind_of(const Look *l) {
        CLEANUP(closep) int annex = open_beneath(l->common_fd, "annex", O_PATH | O_DIRECTORY | O_NOFOLLOW);

        if (annex < 0)
                return DATASET_KIND_GIT;
        return has_datalad_id(l) ? DATASET_KIND_DATALAD : DATASET_KIND_ANNEX;
}

static int look_at(const char *root, Look *l) {
        int r;

        l->root_fd = identify_root(root);
        if (l->root_fd < 0)
                return l->root_fd;
        r = path_of(l->root_fd, l->root);
        if (r < 0)
                return r;
        if (strcmp(l->root, "/") == 0)
                l->root[0] = '\0';      /* so that root + "/" begins every path beneath it */
        r = find_git_folder(l);
        if (r == 0)
                r = open_repository(l);
        if (is_missing(r))
                return 0;
        if (r < 0)
                return r;
        l->kind = kind_of(l);
        return follow_head(l);
}

int identify_git_head(const char *root, DatasetKind *ret_kind, char ret_commit[65]) {
        int r = -EAGAIN;

        assert(root && ret_kind && ret_commit);
        for (int i = 0; i < LOOKS_MAX; i++) {
                CLEANUP(look_done) Look first = LOOK_NONE, second = LOOK_NONE;
                int64_t began = ctime_now();

                r = look_at(root, &first);
                if (r < 0 && r != -EAGAIN)
                        return r;
                if (r == 0 && first.kind == DATASET_KIND_PLAIN) {
                        *ret_kind = DATASET_KIND_PLAIN;
                        ret_commit[0] = '\0';
                        return 0;
                }
                if (r == 0 && look_at(root, &second) == 0 && trail_equal(&first.trail, &second.trail) &&
                    !trail_is_young(&first.trail, began)) {
                        *ret_kind = first.kind;
                        memcpy(ret_commit, first.commit, sizeof(first.commit));
                        return 0;
                }
                (void) poll(NULL, 0, STAT_TICK_NSEC / 1000000);
                r = -EAGAIN;
        }
        return r;
}
