/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/watch/outbox.h"

typedef struct Frame {
        struct Frame *next;
        uint8_t *data;
        size_t size;
} Frame;

struct Outbox {
        Frame *first, *last;            /* the last one may still be filled */
        size_t count;
};

int outbox_new(Outbox **ret) {
        assert(ret);
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : -ENOMEM;
}

Outbox *outbox_free(Outbox *o) {
        if (!o)
                return NULL;
        for (Frame *f = o->first, *next; f; f = next) {
                next = f->next;
                free(f->data);
                free(f);
        }
        free(o);
        return NULL;
}

static Frame *frame_new(void) {
        Frame *f = calloc(1, sizeof(*f));

        if (!f)
                return NULL;
        f->data = malloc(FEED_FRAME_MAX);
        if (!f->data) {
                free(f);
                return NULL;
        }
        return f;
}

int outbox_add(Outbox *o, const FeedMessage *m, bool must) {
        Frame *f;
        int r;

        assert(o && m);
        if (o->last) {
                r = feed_add(o->last->data, &o->last->size, m);
                if (r != FEED_E_FULL)
                        return r;
        }
        if (!must && o->count >= OUTBOX_MAX)
                return OUTBOX_E_FULL;
        f = frame_new();
        if (!f)
                return -ENOMEM;
        r = feed_add(f->data, &f->size, m);
        if (r != 0) {
                free(f->data);
                free(f);
                return r;
        }
        if (o->last)
                o->last->next = f;
        else
                o->first = f;
        o->last = f;
        o->count++;
        return 0;
}

size_t outbox_frames(const Outbox *o) {
        return o->count;
}

uint8_t *outbox_take(Outbox *o, size_t *ret_size) {
        Frame *f = o->first;
        uint8_t *data;

        if (!f)
                return NULL;
        o->first = f->next;
        if (!o->first)
                o->last = NULL;
        o->count--;
        data = f->data;
        *ret_size = f->size;
        free(f);
        return data;
}

int outbox_return(Outbox *o, uint8_t *frame, size_t size) {
        Frame *f = calloc(1, sizeof(*f));

        if (!f) {
                free(frame);
                return -ENOMEM;
        }
        f->data = frame;
        f->size = size;
        f->next = o->first;
        o->first = f;
        if (!o->last)
                o->last = f;
        o->count++;
        return 0;
}
