/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <git2.h>
#include <git2/sys/repository.h>
#include <pthread.h>

#include "daemon/identify/git.h"
#include "daemon/identify/identify.h"

/* libgit2 ignores .git by itself; we record it like all else unless a pattern of the policy says no. */
static const char first_rule[] = "!.git\n";

struct IdentifyIgnore {
        pthread_mutex_t mutex;          /* the matcher caches in the repository object */
        git_repository *repository;     /* in memory: no folder, no configuration */
        bool empty;
};

static int add_rules(git_repository *repository, Bytes patterns) {
        CLEANUP(freep) char *text = malloc(sizeof(first_rule) + patterns.size);
        size_t n = sizeof(first_rule) - 1;

        if (!text)
                return -ENOMEM;
        memcpy(text, first_rule, n);
        if (patterns.size > 0)
                memcpy(text + n, patterns.data, patterns.size);
        text[n + patterns.size] = '\0';
        return git_ignore_add_rule(repository, text) < 0 ? -EINVAL : 0;
}

static void ignore_freep(IdentifyIgnore **i) {
        identify_ignore_free(*i);
}

int identify_ignore_new(Bytes patterns, IdentifyIgnore **ret) {
        CLEANUP(ignore_freep) IdentifyIgnore *i = NULL;
        int r;

        assert(ret);
        if (patterns.size > 0 && memchr(patterns.data, '\0', patterns.size))
                return -EINVAL;
        i = calloc(1, sizeof(*i));
        if (!i)
                return -ENOMEM;
        pthread_mutex_init(&i->mutex, NULL);
        i->empty = patterns.size == 0;
        r = git_ready();
        if (r < 0)
                return r;
        if (git_repository_new(&i->repository) < 0 || git_forget_config(i->repository) < 0)
                return -ENOMEM;
        r = add_rules(i->repository, patterns);
        if (r < 0)
                return r;
        *ret = STEAL(i);
        return 0;
}

IdentifyIgnore *identify_ignore_free(IdentifyIgnore *i) {
        if (!i)
                return NULL;
        git_repository_free(i->repository);
        pthread_mutex_destroy(&i->mutex);
        free(i);
        return NULL;
}

/* A directory is told by its trailing slash. */
bool identify_ignored(IdentifyIgnore *i, const char *path, bool directory) {
        CLEANUP(freep) char *slashed = NULL;
        int ignored = 0;

        assert(i && path);
        if (i->empty || path[0] == '\0' || strcmp(path, ".") == 0)
                return false;
        if (directory) {
                if (asprintf(&slashed, "%s/", path) < 0) {
                        slashed = NULL;         /* left undefined */
                        return false;
                }
                path = slashed;
        }
        pthread_mutex_lock(&i->mutex);
        if (git_ignore_path_is_ignored(&ignored, i->repository, path) < 0)
                ignored = 0;            /* in doubt, record */
        pthread_mutex_unlock(&i->mutex);
        return ignored;
}
