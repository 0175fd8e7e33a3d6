/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/watch/table.h"

enum { CHUNK = 256, FIRST_BUCKETS = 256 };      /* places in a chunk, 20 KiB */

struct Table {
        Directory **chunks;             /* places are numbered from 1 on */
        size_t n_chunks, max_chunks;
        uint32_t used, free;            /* places that have ever served; the first that serves no more */
        uint32_t *by_wd, *by_name;      /* hash tables, with chains */
        size_t buckets;                 /* a power of two, of both */
        size_t count;
};

static_assert(sizeof(Directory) == 80, "a directory takes what the header says");

static Directory *at(const Table *t, uint32_t index) {
        return index == 0 ? NULL : &t->chunks[(index - 1) / CHUNK][(index - 1) % CHUNK];
}

static uint64_t mix(uint64_t h) {
        h ^= h >> 33;
        h *= UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 33;
        return h;
}

static uint32_t *wd_bucket(const Table *t, int wd) {
        return &t->by_wd[mix((uint64_t) (unsigned) wd) & (t->buckets - 1)];
}

/* FNV-1a over the name, seeded by the parent's wd, which never changes while the directory lives. */
static uint32_t *name_bucket(const Table *t, const Directory *parent, Bytes name) {
        uint64_t h = mix((uint64_t) (unsigned) parent->wd);

        for (size_t i = 0; i < name.size; i++)
                h = (h ^ name.data[i]) * UINT64_C(0x100000001b3);
        return &t->by_name[mix(h) & (t->buckets - 1)];
}

static uint32_t find(const Table *t, int wd) {
        uint32_t i = *wd_bucket(t, wd);

        while (i != 0 && at(t, i)->wd != wd)
                i = at(t, i)->next_wd;
        return i;
}

static uint32_t index_of(const Table *t, const Directory *d) {
        return d ? find(t, d->wd) : 0;
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

static void name_free(Directory *d) {
        char *far;

        if (d->name_size > TABLE_NAME_NEAR) {
                memcpy(&far, d->name, sizeof(far));
                free(far);
        }
        d->name_size = 0;
}

/* What stands for a name in a directory. */
static int name_make(Bytes name, char ret[TABLE_NAME_NEAR]) {
        char *far;

        if (name.size <= TABLE_NAME_NEAR) {
                if (name.size > 0)
                        memcpy(ret, name.data, name.size);
                return 0;
        }
        far = malloc(name.size);
        if (!far)
                return -ENOMEM;
        memcpy(far, name.data, name.size);
        memcpy(ret, &far, sizeof(far));
        return 0;
}

static void name_set(Directory *d, const char made[TABLE_NAME_NEAR], size_t size) {
        name_free(d);
        memcpy(d->name, made, TABLE_NAME_NEAR);
        d->name_size = (uint8_t) size;
}

Bytes table_name(const Directory *d) {
        const char *far = d->name;

        if (d->name_size > TABLE_NAME_NEAR)
                memcpy(&far, d->name, sizeof(far));
        return BYTES(far, d->name_size);
}

Table *table_free(Table *t) {
        if (!t)
                return NULL;
        for (uint32_t i = 1; i <= t->used; i++)
                name_free(at(t, i));
        for (size_t i = 0; i < t->n_chunks; i++)
                free(t->chunks[i]);
        free(t->chunks);
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
        for (size_t b = 0; b < t->buckets; b++)
                for (uint32_t i = t->by_wd[b]; i != 0; i = at(t, i)->next_wd)
                        ids[n++] = at(t, i)->wd;
        *ret = ids;
        *ret_n = n;
        return 0;
}

Directory *table_parent(const Table *t, const Directory *d) {
        return at(t, d->parent);
}

static void hash_wd(Table *t, Directory *d, uint32_t index) {
        uint32_t *bucket = wd_bucket(t, d->wd);

        d->next_wd = *bucket;
        *bucket = index;
}

static void unhash_wd(Table *t, Directory *d) {
        uint32_t *p = wd_bucket(t, d->wd);

        while (at(t, *p) != d)
                p = &at(t, *p)->next_wd;
        *p = d->next_wd;
}

static void hash_name(Table *t, Directory *d, uint32_t index) {
        uint32_t *bucket = name_bucket(t, table_parent(t, d), table_name(d));

        d->next_name = *bucket;
        *bucket = index;
}

static void unhash_name(Table *t, Directory *d) {
        uint32_t *p = name_bucket(t, table_parent(t, d), table_name(d));

        while (at(t, *p) != d)
                p = &at(t, *p)->next_name;
        *p = d->next_name;
        d->next_name = 0;
}

/* Failing to grow is harmless: chains get longer. */
static void grow(Table *t) {
        uint32_t *by_wd = calloc(2 * t->buckets, sizeof(*by_wd)), *old_wd = t->by_wd;
        uint32_t *by_name = calloc(2 * t->buckets, sizeof(*by_name));
        size_t old = t->buckets;

        if (!by_wd || !by_name) {
                free(by_wd);
                free(by_name);
                return;
        }
        free(t->by_name);
        t->by_wd = by_wd;
        t->by_name = by_name;
        t->buckets = 2 * old;
        for (size_t b = 0; b < old; b++)
                for (uint32_t i = old_wd[b], next; i != 0; i = next) {
                        Directory *d = at(t, i);

                        next = d->next_wd;
                        hash_wd(t, d, i);
                        if (d->parent != 0)
                                hash_name(t, d, i);
                }
        free(old_wd);
}

/* A place for one more directory, empty, and its number; 0: out of memory. */
static uint32_t place_new(Table *t) {
        uint32_t i = t->free;
        Directory **chunks;

        if (i != 0) {
                t->free = at(t, i)->next_wd;
        } else if (t->used / CHUNK < t->n_chunks) {
                i = ++t->used;
        } else {
                chunks = array_room(t->chunks, t->n_chunks, &t->max_chunks, 16, sizeof(*chunks));
                if (!chunks || t->used > TABLE_MAX - CHUNK)
                        return 0;
                t->chunks = chunks;
                chunks[t->n_chunks] = malloc(CHUNK * sizeof(Directory));
                if (!chunks[t->n_chunks])
                        return 0;
                t->n_chunks++;
                i = ++t->used;
        }
        *at(t, i) = (Directory) { 0 };
        return i;
}

static void place_free(Table *t, uint32_t index) {
        Directory *d = at(t, index);

        name_free(d);
        d->next_wd = t->free;
        t->free = index;
}

static void attach(Table *t, Directory *d, Directory *parent) {
        uint32_t index = index_of(t, d);

        d->parent = index_of(t, parent);
        if (!parent)
                return;
        d->previous_sibling = 0;
        d->next_sibling = parent->first_child;
        if (parent->first_child != 0)
                at(t, parent->first_child)->previous_sibling = index;
        parent->first_child = index;
        hash_name(t, d, index);
}

void table_detach(Table *t, Directory *d) {
        assert(t && d);
        if (d->parent == 0)
                return;
        unhash_name(t, d);
        if (d->previous_sibling != 0)
                at(t, d->previous_sibling)->next_sibling = d->next_sibling;
        else
                table_parent(t, d)->first_child = d->next_sibling;
        if (d->next_sibling != 0)
                at(t, d->next_sibling)->previous_sibling = d->previous_sibling;
        d->parent = d->next_sibling = d->previous_sibling = 0;
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
        char made[TABLE_NAME_NEAR] = { 0 };
        uint32_t index;
        Directory *d;

        assert(t && ret && name.size <= 255);
        if (table_find(t, wd))
                return -EEXIST;
        index = place_new(t);
        d = at(t, index);
        if (!d)
                return -ENOMEM;
        if (name_make(name, made) < 0) {
                place_free(t, index);
                return -ENOMEM;
        }
        name_set(d, made, name.size);
        d->wd = wd;
        d->root = root;
        d->inode = inode;
        d->btime = btime;
        if (t->count >= t->buckets)
                grow(t);
        table_vacate(t, parent, name);
        hash_wd(t, d, index);
        attach(t, d, parent);
        t->count++;
        *ret = d;
        return 0;
}

Directory *table_find(const Table *t, int wd) {
        return at(t, find(t, wd));
}

Directory *table_child(const Table *t, const Directory *parent, Bytes name) {
        Directory *d = at(t, *name_bucket(t, parent, name));

        while (d && (table_parent(t, d) != parent || !bytes_equal(table_name(d), name)))
                d = at(t, d->next_name);
        return d;
}

static void set_root(void *userdata, Directory *d) {
        d->root = *(uint32_t *) userdata;
}

int table_move(Table *t, Directory *d, Directory *parent, Bytes name) {
        char made[TABLE_NAME_NEAR] = { 0 };

        assert(t && d && parent && name.size <= 255);
        for (const Directory *p = parent; p; p = table_parent(t, p))
                if (p == d)
                        return -ELOOP;
        if (name_make(name, made) < 0)
                return -ENOMEM;
        table_detach(t, d);
        table_vacate(t, parent, name);
        name_set(d, made, name.size);
        d->armed = 0;                   /* not at this name */
        d->leaving = d->unnameable = false;
        attach(t, d, parent);
        if (d->root != parent->root)
                table_subtree(t, d, set_root, &parent->root);
        return 0;
}

void table_rekey(Table *t, Directory *d, int wd) {
        uint32_t index = index_of(t, d);

        assert(t && d && !table_find(t, wd));
        for (Directory *c = at(t, d->first_child); c; c = at(t, c->next_sibling))
                unhash_name(t, c);
        unhash_wd(t, d);
        d->wd = wd;
        hash_wd(t, d, index);
        for (uint32_t c = d->first_child; c != 0; c = at(t, c)->next_sibling)
                hash_name(t, at(t, c), c);
}

void table_split(Table *t, Directory *d, uint32_t root) {
        table_detach(t, d);
        name_free(d);
        table_subtree(t, d, set_root, &root);
}

void table_remove(Table *t, Directory *d) {
        uint32_t index = index_of(t, d);

        assert(t && d);
        while (d->first_child != 0)
                table_detach(t, at(t, d->first_child));
        table_detach(t, d);
        unhash_wd(t, d);
        place_free(t, index);
        t->count--;
}

/* Post-order without recursion: trees may be thousands deep. */
void table_subtree(const Table *t, Directory *d, void (*fn)(void *userdata, Directory *d), void *userdata) {
        Directory *here = d;

        for (;;) {
                Directory *next, *parent;

                while (here->first_child != 0)
                        here = at(t, here->first_child);
                for (;;) {
                        bool last = here == d;

                        next = at(t, here->next_sibling);
                        parent = table_parent(t, here);
                        fn(userdata, here);
                        if (last)
                                return;
                        if (next)
                                break;
                        here = parent;
                }
                here = next;
        }
}

char *table_path(const Table *t, const Directory *d) {
        size_t size = 0;
        char *path, *to;

        for (const Directory *p = d; p->parent != 0; p = table_parent(t, p))
                size += p->name_size + 1u;
        path = malloc(size + 1);
        if (!path)
                return NULL;
        to = path + (size > 0 ? size - 1 : 0);
        *to = '\0';
        for (const Directory *p = d; p->parent != 0; p = table_parent(t, p)) {
                to -= p->name_size;
                memcpy(to, table_name(p).data, p->name_size);
                if (table_parent(t, p)->parent != 0)
                        *--to = '/';
        }
        return path;
}

const Directory *table_root(const Table *t, const Directory *d) {
        while (d->parent != 0)
                d = table_parent(t, d);
        return d;
}

/* Only a root has no name; what was detached keeps the one it had. */
bool table_attached(const Table *t, const Directory *d) {
        return table_root(t, d)->name_size == 0;
}
