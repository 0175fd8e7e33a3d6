/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/watch/table.h"

struct Table {
        Directory **by_wd, **by_name;
        size_t buckets;                 /* a power of two, of both */
        size_t count;
};

enum { FIRST_BUCKETS = 256 };

static uint64_t mix(uint64_t h) {
        h ^= h >> 33;
        h *= UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 33;
        return h;
}

static size_t wd_bucket(const Table *t, int wd) {
        return mix((uint64_t) (unsigned) wd) & (t->buckets - 1);
}

/* FNV-1a over the name, seeded by the parent's wd, which never changes while the directory lives. */
static size_t name_bucket(const Table *t, const Directory *parent, Bytes name) {
        uint64_t h = mix((uint64_t) (unsigned) parent->wd);

        for (size_t i = 0; i < name.size; i++)
                h = (h ^ name.data[i]) * UINT64_C(0x100000001b3);
        return mix(h) & (t->buckets - 1);
}

int table_new(Table **ret) {
        Table *t = calloc(1, sizeof(*t));

        assert(ret);
        if (!t)
                return -ENOMEM;
        t->buckets = FIRST_BUCKETS;
        t->by_wd = calloc(t->buckets, sizeof(*t->by_wd));
        t->by_name = calloc(t->buckets, sizeof(*t->by_name));
        if (!t->by_wd || !t->by_name) {
                table_free(t);
                return -ENOMEM;
        }
        *ret = t;
        return 0;
}

Table *table_free(Table *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; t->by_wd && i < t->buckets; i++)
                for (Directory *d = t->by_wd[i], *next; d; d = next) {
                        next = d->next_wd;
                        free(d);
                }
        free(t->by_wd);
        free(t->by_name);
        free(t);
        return NULL;
}

size_t table_count(const Table *t) {
        return t->count;
}

int table_ids(const Table *t, int **ret, size_t *ret_n) {
        int *ids = malloc(MAX_OF(t->count, 1u) * sizeof(*ids));
        size_t n = 0;

        assert(t && ret && ret_n);
        if (!ids)
                return -ENOMEM;
        for (size_t i = 0; i < t->buckets; i++)
                for (const Directory *d = t->by_wd[i]; d; d = d->next_wd)
                        ids[n++] = d->wd;
        *ret = ids;
        *ret_n = n;
        return 0;
}

static void hash_name(Table *t, Directory *d) {
        size_t b = name_bucket(t, d->parent, BYTES(d->name, d->name_size));

        d->next_name = t->by_name[b];
        t->by_name[b] = d;
}

static void unhash_name(Table *t, Directory *d) {
        Directory **p = &t->by_name[name_bucket(t, d->parent, BYTES(d->name, d->name_size))];

        while (*p != d)
                p = &(*p)->next_name;
        *p = d->next_name;
        d->next_name = NULL;
}

/* Failing to grow is harmless: chains get longer. */
static void grow(Table *t) {
        size_t old = t->buckets;
        Directory **old_wd = t->by_wd, **by_wd = calloc(old * 2, sizeof(*by_wd));
        Directory **by_name = calloc(old * 2, sizeof(*by_name));

        if (!by_wd || !by_name) {
                free(by_wd);
                free(by_name);
                return;
        }
        free(t->by_name);
        t->by_wd = by_wd;
        t->by_name = by_name;
        t->buckets = old * 2;
        for (size_t i = 0; i < old; i++)
                for (Directory *d = old_wd[i], *next; d; d = next) {
                        size_t b = wd_bucket(t, d->wd);

                        next = d->next_wd;
                        d->next_wd = t->by_wd[b];
                        t->by_wd[b] = d;
                        if (d->parent)
                                hash_name(t, d);
                }
        free(old_wd);
}

static void attach(Table *t, Directory *d, Directory *parent) {
        d->parent = parent;
        if (!parent)
                return;
        d->previous_sibling = NULL;
        d->next_sibling = parent->first_child;
        if (parent->first_child)
                parent->first_child->previous_sibling = d;
        parent->first_child = d;
        hash_name(t, d);
}

void table_detach(Table *t, Directory *d) {
        assert(t && d);
        if (!d->parent)
                return;
        unhash_name(t, d);
        if (d->previous_sibling)
                d->previous_sibling->next_sibling = d->next_sibling;
        else
                d->parent->first_child = d->next_sibling;
        if (d->next_sibling)
                d->next_sibling->previous_sibling = d->previous_sibling;
        d->parent = d->next_sibling = d->previous_sibling = NULL;
}

static Directory *directory_new(int wd, Bytes name) {
        Directory *d = calloc(1, sizeof(*d) + name.size + 1);

        if (!d)
                return NULL;
        d->wd = wd;
        d->name_size = (uint8_t) name.size;
        if (name.size > 0)
                memcpy(d->name, name.data, name.size);
        return d;
}

void table_vacate(Table *t, Directory *parent, Bytes name) {
        Directory *victim = parent ? table_child(t, parent, name) : NULL;

        if (victim) {
                table_detach(t, victim);
                victim->listed = false;         /* where it is found again, it is new */
        }
}

int table_add(Table *t, int wd, uint32_t root, Directory *parent, Bytes name, uint64_t inode, int64_t btime,
              Directory **ret) {
        Directory *d;
        size_t b;

        assert(t && ret && name.size <= 255);
        if (table_find(t, wd))
                return -EEXIST;
        d = directory_new(wd, name);
        if (!d)
                return -ENOMEM;
        d->root = root;
        d->inode = inode;
        d->btime = btime;
        if (t->count >= t->buckets)
                grow(t);
        table_vacate(t, parent, name);
        b = wd_bucket(t, wd);
        d->next_wd = t->by_wd[b];
        t->by_wd[b] = d;
        attach(t, d, parent);
        t->count++;
        *ret = d;
        return 0;
}

Directory *table_find(const Table *t, int wd) {
        Directory *d = t->by_wd[wd_bucket(t, wd)];

        while (d && d->wd != wd)
                d = d->next_wd;
        return d;
}

Directory *table_child(const Table *t, const Directory *parent, Bytes name) {
        Directory *d = t->by_name[name_bucket(t, parent, name)];

        while (d && (d->parent != parent || d->name_size != name.size ||
                     memcmp(d->name, name.data, name.size) != 0))
                d = d->next_name;
        return d;
}

static void unhash_wd(Table *t, Directory *d) {
        Directory **p = &t->by_wd[wd_bucket(t, d->wd)];

        while (*p != d)
                p = &(*p)->next_wd;
        *p = d->next_wd;
}

static void set_root(void *userdata, Directory *d) {
        d->root = *(uint32_t *) userdata;
}

int table_move(Table *t, Directory *d, Directory *parent, Bytes name, Directory **ret) {
        Directory *moved;
        size_t b;

        assert(t && d && parent && ret && name.size <= 255);
        for (const Directory *p = parent; p; p = p->parent)
                if (p == d)
                        return -ELOOP;
        moved = directory_new(d->wd, name);
        if (!moved)
                return -ENOMEM;
        table_detach(t, d);
        table_vacate(t, parent, name);
        unhash_wd(t, d);
        moved->root = d->root;
        moved->inode = d->inode;
        moved->btime = d->btime;
        moved->removals = d->removals;
        moved->walk = d->walk;
        moved->listed = d->listed;
        moved->polled = d->polled;
        moved->unwatched = d->unwatched;
        moved->poll_said = d->poll_said;
        moved->away = d->away;
        moved->stale = d->stale;
        moved->listing = d->listing;
        moved->clear_mark = d->clear_mark;
        moved->first_child = d->first_child;
        for (Directory *c = moved->first_child; c; c = c->next_sibling)
                c->parent = moved;
        free(d);
        b = wd_bucket(t, moved->wd);
        moved->next_wd = t->by_wd[b];
        t->by_wd[b] = moved;
        attach(t, moved, parent);
        if (moved->root != parent->root)
                table_subtree(moved, set_root, &parent->root);
        *ret = moved;
        return 0;
}

void table_rekey(Table *t, Directory *d, int wd) {
        size_t b = wd_bucket(t, wd);

        assert(t && d && !table_find(t, wd));
        for (Directory *c = d->first_child; c; c = c->next_sibling)
                unhash_name(t, c);
        unhash_wd(t, d);
        d->wd = wd;
        d->next_wd = t->by_wd[b];
        t->by_wd[b] = d;
        for (Directory *c = d->first_child; c; c = c->next_sibling)
                hash_name(t, c);
}

void table_split(Table *t, Directory *d, uint32_t root) {
        table_detach(t, d);
        d->name_size = 0;
        d->name[0] = '\0';
        table_subtree(d, set_root, &root);
}

void table_remove(Table *t, Directory *d) {
        assert(t && d);
        while (d->first_child)
                table_detach(t, d->first_child);
        table_detach(t, d);
        unhash_wd(t, d);
        free(d);
        t->count--;
}

/* Post-order without recursion: trees may be thousands deep. */
void table_subtree(Directory *d, void (*fn)(void *userdata, Directory *d), void *userdata) {
        Directory *at = d;

        for (;;) {
                Directory *next, *parent;

                while (at->first_child)
                        at = at->first_child;
                for (;;) {
                        bool last = at == d;

                        next = at->next_sibling;
                        parent = at->parent;
                        fn(userdata, at);
                        if (last)
                                return;
                        if (next)
                                break;
                        at = parent;
                }
                at = next;
        }
}

char *table_path(const Directory *d) {
        size_t size = 0;
        char *path, *at;

        for (const Directory *p = d; p->parent; p = p->parent)
                size += p->name_size + 1u;
        path = malloc(size + 1);
        if (!path)
                return NULL;
        at = path + (size > 0 ? size - 1 : 0);
        *at = '\0';
        for (const Directory *p = d; p->parent; p = p->parent) {
                at -= p->name_size;
                memcpy(at, p->name, p->name_size);
                if (p->parent->parent)
                        *--at = '/';
        }
        return path;
}

const Directory *table_root(const Directory *d) {
        while (d->parent)
                d = d->parent;
        return d;
}

/* Only a root has no name; what was detached keeps the one it had. */
bool table_attached(const Directory *d) {
        return table_root(d)->name_size == 0;
}
