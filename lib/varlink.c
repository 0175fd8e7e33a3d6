/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "lib/base64.h"
#include "lib/utf8.h"
#include "lib/varlink.h"

/* A server has many connections with small requests, a client one with many replies. */
static size_t step(const VarlinkInput *in) {
        return in->max > VARLINK_REQUEST_MAX ? 64 * 1024 : 4096;
}

int varlink_input_room(VarlinkInput *in, char **ret, size_t *ret_size) {
        size_t held = in->end - in->start;

        assert(in->max > 0);
        if (held >= in->max)
                return -EMSGSIZE;
        if (in->start > 0) {
                if (held > 0)
                        memmove(in->data, in->data + in->start, held);
                in->scanned -= in->start;
                in->end = held;
                in->start = 0;
        }
        if (in->allocated - in->end < step(in) / 2) {
                size_t want = MIN_OF(in->allocated * 2, in->max) + step(in);
                char *p = realloc(in->data, want);

                if (!p)
                        return -ENOMEM;
                in->data = p;
                in->allocated = want;
        }
        *ret = in->data + in->end;
        *ret_size = in->allocated - in->end;
        return 0;
}

void varlink_input_filled(VarlinkInput *in, size_t n) {
        assert(n <= in->allocated - in->end);
        in->end += n;
}

int varlink_input_next(VarlinkInput *in, Bytes *ret) {
        size_t left = in->end - in->scanned, size;
        char *nul = left > 0 ? memchr(in->data + in->scanned, 0, left) : NULL;

        if (!nul) {
                in->scanned = in->end;
                return in->end - in->start >= in->max ? -EMSGSIZE : 0;
        }
        size = (size_t) (nul - (in->data + in->start));
        if (size >= in->max)
                return -EMSGSIZE;
        *ret = BYTES(in->data + in->start, size);
        in->start = in->scanned = (size_t) (nul - in->data) + 1;
        return 1;
}

bool varlink_input_partial(const VarlinkInput *in) {
        return in->end > in->start;
}

void varlink_input_done(VarlinkInput *in) {
        free(in->data);
        *in = (VarlinkInput) { .max = in->max };
}

/* jansson needs up to 79 times a text's size for what is in it, and goes 2,048 levels deep; so the size is
 * bounded by VarlinkInput and the depth here, before it sees a byte. */
static bool too_deep(Bytes text) {
        int depth = 0;
        bool string = false;

        for (size_t i = 0; i < text.size; i++) {
                uint8_t c = text.data[i];

                if (string) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                string = false;
                } else if (c == '"') {
                        string = true;
                } else if (c == '{' || c == '[') {
                        if (++depth > VARLINK_DEPTH_MAX)
                                return true;
                } else if (c == '}' || c == ']') {
                        depth--;
                }
        }
        return false;
}

int varlink_load(Bytes text, json_t **ret) {
        CLEANUP(json_decrefp) json_t *json = NULL;

        if (too_deep(text))
                return -EBADMSG;
        json = json_loadb((const char *) text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(json))
                return -EBADMSG;
        *ret = STEAL(json);
        return 0;
}

int varlink_dump(const json_t *json, char **ret, size_t *ret_size) {
        char *text = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);

        if (!text)
                return -ENOMEM;
        *ret_size = strlen(text) + 1;
        *ret = text;
        return 0;
}

/* The members of an envelope, of which none but `method` need be there. */
typedef struct Member {
        const char *name;
        enum { STRING, OBJECT, BOOLEAN } type;
        void *ret;
} Member;

static bool member_take(const Member *m, json_t *value) {
        if (json_is_null(value))
                return true;
        if (m->type == STRING && json_is_string(value))
                *(const char **) m->ret = json_string_value(value);
        else if (m->type == OBJECT && json_is_object(value))
                *(json_t **) m->ret = value;
        else if (m->type == BOOLEAN && json_is_boolean(value))
                *(bool *) m->ret = json_is_true(value);
        else
                return false;
        return true;
}

/* What the members say is borrowed from *ret. */
static int envelope_load(Bytes text, const Member *members, size_t n, json_t **ret) {
        CLEANUP(json_decrefp) json_t *json = NULL;
        const char *key;
        json_t *value;
        int r;

        r = varlink_load(text, &json);
        if (r < 0)
                return r;
        json_object_foreach(json, key, value) {
                const Member *m = members;

                while (m < members + n && strcmp(m->name, key) != 0)
                        m++;
                if (m == members + n || !member_take(m, value))
                        return -EBADMSG;
        }
        *ret = STEAL(json);
        return 0;
}

int varlink_call_parse(Bytes text, VarlinkCall *ret) {
        CLEANUP(json_decrefp) json_t *json = NULL;
        VarlinkCall call = { 0 };
        bool upgrade = false;
        const Member members[] = {
                { "method", STRING, &call.method },
                { "parameters", OBJECT, &call.parameters },
                { "more", BOOLEAN, &call.more },
                { "oneway", BOOLEAN, &call.oneway },
                { "upgrade", BOOLEAN, &upgrade },
        };
        int r;

        r = envelope_load(text, members, ELEMENTS(members), &json);
        if (r < 0)
                return r;
        if (!call.method || upgrade || (call.more && call.oneway))
                return -EBADMSG;
        call.json = STEAL(json);
        *ret = call;
        return 0;
}

void varlink_call_done(VarlinkCall *call) {
        json_decref(call->json);
        *call = (VarlinkCall) { 0 };
}

int varlink_call_format(const char *method, json_t *parameters, unsigned flags, char **ret,
                        size_t *ret_size) {
        CLEANUP(json_decrefp)
        json_t *json = json_pack("{ss sO*}", "method", method, "parameters", parameters);

        if (!json)
                return -ENOMEM;
        if ((flags & VARLINK_MORE) && json_object_set_new(json, "more", json_true()) < 0)
                return -ENOMEM;
        if ((flags & VARLINK_ONEWAY) && json_object_set_new(json, "oneway", json_true()) < 0)
                return -ENOMEM;
        return varlink_dump(json, ret, ret_size);
}

int varlink_reply_parse(Bytes text, VarlinkReply *ret) {
        CLEANUP(json_decrefp) json_t *json = NULL;
        VarlinkReply reply = { 0 };
        const Member members[] = {
                { "parameters", OBJECT, &reply.parameters },
                { "error", STRING, &reply.error },
                { "continues", BOOLEAN, &reply.continues },
        };
        int r;

        r = envelope_load(text, members, ELEMENTS(members), &json);
        if (r < 0)
                return r;
        if (!reply.parameters) {
                reply.parameters = json_object();
                if (json_object_set_new(json, "parameters", reply.parameters) < 0)
                        return -ENOMEM;
        }
        reply.json = STEAL(json);
        *ret = reply;
        return 0;
}

void varlink_reply_done(VarlinkReply *reply) {
        json_decref(reply->json);
        *reply = (VarlinkReply) { 0 };
}

int varlink_reply_format(const char *error, json_t *parameters, bool continues, char **ret,
                         size_t *ret_size) {
        CLEANUP(json_decrefp)
        json_t *json = json_pack("{ss* sO*}", "error", error, "parameters", parameters);

        if (!json)
                return -ENOMEM;
        /* Some clients want `parameters` even when there are none. */
        if (!parameters && json_object_set_new(json, "parameters", json_object()) < 0)
                return -ENOMEM;
        if (continues && json_object_set_new(json, "continues", json_true()) < 0)
                return -ENOMEM;
        return varlink_dump(json, ret, ret_size);
}

/* The member `key` + "Base64" as a string of at most 64 characters. */
static void base64_key(char ret[64], const char *key) {
        assert(strlen(key) < 64 - sizeof("Base64"));
        snprintf(ret, 64, "%sBase64", key);
}

int varlink_set_bytes(json_t *object, const char *key, Bytes value) {
        CLEANUP(freep) char *text = NULL;
        char other[64];

        if (!value.data)
                return 0;
        if (utf8_valid(value)) {
                json_t *s = json_stringn((const char *) value.data, value.size);

                return json_object_set_new(object, key, s) < 0 ? -ENOMEM : 0;
        }
        text = malloc(base64_size(value.size));
        if (!text)
                return -ENOMEM;
        base64_format(value, text);
        base64_key(other, key);
        return json_object_set_new(object, other, json_stringn(text, base64_size(value.size))) < 0 ? -ENOMEM
                                                                                                   : 0;
}

int varlink_get_bytes(const json_t *object, const char *key, uint8_t **ret, size_t *ret_size) {
        json_t *plain = json_object_get(object, key), *encoded;
        char other[64];

        base64_key(other, key);
        encoded = json_object_get(object, other);
        if (json_is_null(plain))
                plain = NULL;
        if (json_is_null(encoded))
                encoded = NULL;
        if ((plain && encoded) || (plain && !json_is_string(plain)) || (encoded && !json_is_string(encoded)))
                return -EBADMSG;

        if (encoded)
                return base64_parse(json_string_value(encoded), json_string_length(encoded), ret, ret_size);
        if (plain) {
                size_t size = json_string_length(plain);
                uint8_t *copy = malloc(size + 1);

                if (!copy)
                        return -ENOMEM;
                memcpy(copy, json_string_value(plain), size);
                copy[size] = 0;
                *ret = copy;
                *ret_size = size;
                return 0;
        }
        *ret = NULL;
        *ret_size = 0;
        return 0;
}
