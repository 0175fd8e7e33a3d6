/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/control/methods.h"
#include "lib/embed.h"

static const Method *const tables[] = {
        methods_varlink, methods_service, methods_datasets, methods_record, methods_metrics, methods_store,
        methods_integrity,
};

struct Interfaces {
        Idl **list;
        size_t n;
};

const Method *methods_at(size_t i) {
        for (size_t t = 0; t < ELEMENTS(tables); t++)
                for (const Method *m = tables[t]; m->name; m++)
                        if (i-- == 0)
                                return m;
        return NULL;
}

const Method *methods_find(const char *name, size_t *ret_index) {
        const Method *m;

        for (size_t i = 0; (m = methods_at(i)); i++)
                if (strcmp(m->name, name) == 0) {
                        *ret_index = i;
                        return m;
                }
        return NULL;
}

int interfaces_new(Interfaces **ret) {
        Interfaces *i = calloc(1, sizeof(*i));
        size_t n = 0;
        int r = 0, line = 0;

        if (!i)
                return -ENOMEM;
        while (interface_files[n].name)
                n++;
        i->list = calloc(n, sizeof(*i->list));
        if (!i->list)
                r = -ENOMEM;
        while (r == 0 && i->n < n) {
                r = idl_parse(interface_files[i->n].text, &i->list[i->n], &line);
                if (r == 0)
                        i->n++;
        }
        if (r < 0) {
                interfaces_free(i);
                return r;
        }
        *ret = i;
        return 0;
}

Interfaces *interfaces_free(Interfaces *i) {
        if (!i)
                return NULL;
        for (size_t n = 0; n < i->n; n++)
                idl_free(i->list[n]);
        free(i->list);
        free(i);
        return NULL;
}

const IdlMember *interfaces_member(const Interfaces *i, IdlMemberKind kind, const char *name,
                                   const Idl **ret_idl) {
        const char *dot = strrchr(name, '.');
        size_t size = dot ? (size_t) (dot - name) : 0;

        *ret_idl = NULL;
        for (size_t n = 0; n < i->n && dot; n++)
                if (strlen(i->list[n]->name) == size && strncmp(i->list[n]->name, name, size) == 0) {
                        *ret_idl = i->list[n];
                        return idl_find(i->list[n], kind, dot + 1);
                }
        return NULL;
}

const char *interfaces_text(const char *name) {
        for (const EmbeddedFile *f = interface_files; f->name; f++) {
                size_t size = strlen(name);

                if (strncmp(f->name, name, size) == 0 && strcmp(f->name + size, ".varlink") == 0)
                        return f->text;
        }
        return NULL;
}

static int refuse(Refusal *refusal, const char *error, const char *key, Bytes value) {
        *refusal = (Refusal) { error, key, value };
        return 1;
}

int methods_admit(const Interfaces *i, const VarlinkCall *call, const Peer *peer, const Method **ret,
                  size_t *ret_index, Refusal *refusal) {
        const Method *m = methods_find(call->method, ret_index);
        const char *dot = strrchr(call->method, '.'), *parameter;
        size_t interface = dot ? (size_t) (dot - call->method) : strlen(call->method);
        const IdlMember *member;
        const Idl *idl;

        if (!peer->administrator && !(m && m->anybody))
                return refuse(refusal, "org.varlink.service.PermissionDenied", NULL, BYTES_NONE);
        member = interfaces_member(i, IDL_METHOD, call->method, &idl);
        if (!idl)
                return refuse(refusal, "org.varlink.service.InterfaceNotFound", "interface",
                              BYTES(call->method, interface));
        if (!member)
                return refuse(refusal, "org.varlink.service.MethodNotFound", "method",
                              BYTES_STR(call->method));
        if (!m)
                return refuse(refusal, "org.varlink.service.MethodNotImplemented", "method",
                              BYTES_STR(call->method));
        if (!idl_check(idl, member->type, call->parameters, &parameter))
                return refuse(refusal, "org.varlink.service.InvalidParameter", "parameter",
                              BYTES_STR(parameter));
        if (m->more && !call->more)
                return refuse(refusal, "org.varlink.service.ExpectedMore", NULL, BYTES_NONE);
        *ret = m;
        return 0;
}
