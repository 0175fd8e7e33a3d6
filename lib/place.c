/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "lib/place.h"

static const char *absolute(const char *path) {
        return path && path[0] == '/' ? path : NULL;
}

void place_environment(uid_t uid, PlaceEnvironment *ret) {
        const char *runtime = absolute(getenv("XDG_RUNTIME_DIR"));
        struct stat st;

        *ret = (PlaceEnvironment) {
                .home = absolute(getenv("HOME")),
                .state_home = absolute(getenv("XDG_STATE_HOME")),
                .config_home = absolute(getenv("XDG_CONFIG_HOME")),
        };
        if (!ret->home) {
                struct passwd *pw = getpwuid(uid);

                ret->home = pw ? absolute(pw->pw_dir) : NULL;
        }
        if (runtime && lstat(runtime, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid &&
            (st.st_mode & 07777) == 0700)
                ret->runtime_dir = runtime;
}

/* Joins up to three parts into a malloc'd string; the first NULL part makes NULL. */
static char *join(const char *a, const char *b, const char *c) {
        char *s = NULL;

        if (!a || !b || !c || asprintf(&s, "%s%s%s", a, b, c) < 0)
                return NULL;
        return s;
}

static char *make_absolute(const char *path) {
        CLEANUP(freep) char *here = NULL;

        if (path[0] == '/')
                return strdup(path);
        here = getcwd(NULL, 0);
        return join(here, "/", path);
}

/* XDG's rule: the variable's folder, else a folder beneath the home. */
static char *xdg(const char *set, const char *home, const char *fallback) {
        return set ? join(set, "/scitrace", "") : join(home, fallback, "/scitrace");
}

static int user_paths(Place *p, const char *state, const PlaceEnvironment *e) {
        if (!state && !absolute(e->state_home) && !absolute(e->home))
                return PLACE_E_NO_HOME;
        p->state = state ? make_absolute(state) : xdg(absolute(e->state_home), e->home, "/.local/state");
        p->runtime = !state && e->runtime_dir ? join(e->runtime_dir, "/scitrace", "")
                                              : join(p->state, "/run", "");
        if (absolute(e->config_home) || absolute(e->home)) {
                p->config[0] = xdg(absolute(e->config_home), e->home, "/.config");
                if (!p->config[0])
                        return -ENOMEM;
        }
        p->config[p->config[0] ? 1 : 0] = strdup(POLICYDIR);
        return 0;
}

static int system_paths(Place *p, const char *state) {
        p->state = state ? make_absolute(state) : strdup(STATEPATH);
        p->runtime = strdup(RUNSTATEPATH);
        p->config[0] = join(SYSCONFDIR, "/scitrace", "");
        p->config[1] = strdup(RUNSTATEPATH);
        p->config[2] = strdup(POLICYDIR);
        return p->config[1] && p->config[2] ? 0 : -ENOMEM;
}

int place_new(PlaceMode mode, const char *state, const PlaceEnvironment *environment, Place **ret) {
        CLEANUP(place_freep) Place *p = calloc(1, sizeof(*p));
        int r;

        assert(environment && ret);
        if (!p)
                return -ENOMEM;
        p->mode = mode;
        r = mode == PLACE_SYSTEM ? system_paths(p, state) : user_paths(p, state, environment);
        if (r != 0)
                return r;
        p->socket = join(p->runtime, "/control.sock", "");
        p->lock = join(p->state, "/lock", "");
        if (!p->socket || !p->lock || !p->config[0])
                return -ENOMEM;
        *ret = STEAL(p);
        return 0;
}

Place *place_free(Place *p) {
        if (!p)
                return NULL;
        free(p->state);
        free(p->runtime);
        free(p->socket);
        free(p->lock);
        for (size_t i = 0; i < ELEMENTS(p->config); i++)
                free(p->config[i]);
        free(p);
        return NULL;
}

PlaceMode place_mode(void) {
        struct stat st;

        return stat(RUNSTATEPATH "/control.sock", &st) == 0 && S_ISSOCK(st.st_mode) ? PLACE_SYSTEM
                                                                                    : PLACE_USER;
}

static int make_folder(const char *path) {
        CLEANUP(freep) char *s = strdup(path);

        if (!s)
                return -ENOMEM;
        for (char *slash = strchr(s + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = 0;
                if (mkdir(s, 0700) < 0 && errno != EEXIST)
                        return -errno;
                *slash = '/';
        }
        return mkdir(s, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int place_make(const Place *p) {
        int r = make_folder(p->state);

        return r < 0 ? r : make_folder(p->runtime);
}

/* "PID\nSOCKET\n". Nothing sensible (a daemon is just writing it): pid 0. */
static int lock_read(int fd, pid_t *ret_pid, char **ret_socket) {
        char text[PATH_MAX + 32], *end = NULL, *newline;
        ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
        long pid;

        *ret_pid = 0;
        if (n < 0)
                return -errno;
        text[n] = 0;
        pid = strtol(text, &end, 10);
        newline = end && *end == '\n' ? strchr(end + 1, '\n') : NULL;
        if (!newline || pid <= 0 || pid > INT_MAX)
                return -EAGAIN;
        *newline = 0;
        if (ret_socket) {
                *ret_socket = strdup(end + 1);
                if (!*ret_socket)
                        return -ENOMEM;
        }
        *ret_pid = (pid_t) pid;
        return 0;
}

int place_lock_write(const Place *p, int fd) {
        char text[PATH_MAX + 32];
        int n = snprintf(text, sizeof(text), "%d\n%s\n", (int) getpid(), p->socket);

        if (n < 0 || (size_t) n >= sizeof(text))
                return -ENAMETOOLONG;
        if (pwrite(fd, text, (size_t) n, 0) < 0 || ftruncate(fd, n) < 0)        /* never without a block */
                return -errno;
        return 0;
}

static bool names_socket(int fd, const char *socket) {
        CLEANUP(freep) char *named = NULL;
        pid_t pid;

        return lock_read(fd, &pid, &named) == 0 && strcmp(named, socket) == 0;
}

int place_lock(const Place *p, int *ret_fd, pid_t *ret_pid) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        CLEANUP(closep) int fd = -1;
        int r;

        assert(p && ret_fd && ret_pid);
        fd = open(p->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
                if (errno != EAGAIN && errno != EACCES)
                        return -errno;
                (void) lock_read(fd, ret_pid, NULL);
                return PLACE_E_HELD;
        }
        r = place_lock_write(p, fd);
        /* On a full disk that copies what is written, there is still what the one before us wrote. */
        if (r < 0 && !(is_full(r) && names_socket(fd, p->socket)))
                return r;
        *ret_fd = STEAL_FD(fd);
        return 0;
}

int place_move_socket(Place *p) {
        char *runtime = join(p->state, "/run", ""), *socket = join(p->state, "/run", "/control.sock");

        if (!runtime || !socket) {
                free(runtime);
                free(socket);
                return -ENOMEM;
        }
        free(p->runtime);
        free(p->socket);
        p->runtime = runtime;
        p->socket = socket;
        return 0;
}

int place_holder(const Place *p, pid_t *ret_pid, char **ret_socket) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        CLEANUP(closep) int fd = -1;

        assert(p && ret_pid && ret_socket);
        fd = open(p->lock, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT ? PLACE_E_FREE : -errno;
        if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
                return -errno;
        if (lock.l_type == F_UNLCK)
                return PLACE_E_FREE;
        return lock_read(fd, ret_pid, ret_socket);
}

/* statfs(2)'s f_type: what other hosts can change behind our back, or where locks and fsync mean less
 * than they say. */
static const struct {
        unsigned type;
        const char *name;
} network_types[] = {
        { 0x00006969, "nfs" },    { 0x0000517b, "smb" },    { 0xff534d42, "cifs" },   { 0xfe534d42, "smb3" },
        { 0x5346414f, "afs" },    { 0x00c36400, "ceph" },   { 0x73757245, "coda" },   { 0x01021997, "9p" },
        { 0x0bd00bd0, "lustre" }, { 0x47504653, "gpfs" },   { 0x19830326, "beegfs" }, { 0x01161970, "gfs2" },
        { 0x7461636f, "ocfs2" },  { 0x20030528, "orangefs" }, { 0x0000564c, "ncp" },
};

int place_network(const char *path, const char **ret) {
        CLEANUP(freep) char *s = make_absolute(path);
        struct statfs fs;

        if (!s)
                return -ENOMEM;
        while (statfs(s, &fs) < 0) {
                char *slash = strrchr(s, '/');

                if (errno != ENOENT || slash == NULL || s[1] == 0)
                        return -errno;
                slash[slash == s] = 0;
        }
        *ret = NULL;
        for (size_t i = 0; i < ELEMENTS(network_types); i++)
                if ((unsigned) fs.f_type == network_types[i].type)
                        *ret = network_types[i].name;
        return 0;
}

int place_address(const char *path, struct sockaddr_un *ret, int *ret_folder) {
        CLEANUP(freep) char *folder = NULL;
        const char *name = strrchr(path, '/');
        int fd;

        *ret = (struct sockaddr_un) { .sun_family = AF_UNIX };
        if (strlen(path) < sizeof(ret->sun_path)) {
                memcpy(ret->sun_path, path, strlen(path) + 1);
                *ret_folder = -1;
                return 0;
        }
        if (!name || strlen(name) > 64)
                return -ENAMETOOLONG;
        folder = strndup(path, (size_t) (name - path));
        if (!folder)
                return -ENOMEM;
        fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d%s", fd, name);
        *ret_folder = fd;
        return 0;
}

char *place_program(const char *name) {
        char self[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        char *path = NULL, *slash;

        if (n > 0) {
                self[n] = '\0';
                slash = strrchr(self, '/');
                if (slash && asprintf(&path, "%.*s/%s", (int) (slash - self), self, name) > 0 &&
                    access(path, X_OK) == 0)
                        return path;
                free(path);
        }
        return join(HELPERDIR, "/", name);
}
