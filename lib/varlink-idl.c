/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "lib/varlink-idl.h"

enum { TYPE_DEPTH_MAX = 8 };

typedef struct Parser {
        const char *at;
        int line;
} Parser;

static IdlType *type_free(IdlType *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->n_fields; i++) {
                free(t->fields[i].name);
                type_free(t->fields[i].type);
        }
        free(t->fields);
        type_free(t->element);
        free(t->name);
        free(t);
        return NULL;
}

Idl *idl_free(Idl *idl) {
        if (!idl)
                return NULL;
        for (size_t i = 0; i < idl->n_members; i++) {
                free(idl->members[i].name);
                type_free(idl->members[i].type);
                type_free(idl->members[i].reply);
        }
        free(idl->members);
        free(idl->name);
        free(idl);
        return NULL;
}

/* Over white space and comments. */
static void skip(Parser *p) {
        for (;; p->at++) {
                if (*p->at == '#')
                        p->at += strcspn(p->at, "\n");
                if (*p->at == '\n')
                        p->line++;
                else if (*p->at == 0 || !strchr(" \t\r", *p->at))
                        return;
        }
}

static bool take(Parser *p, const char *token) {
        skip(p);
        if (strncmp(p->at, token, strlen(token)) != 0)
                return false;
        p->at += strlen(token);
        return true;
}

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char word_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
static const char interface_characters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";

/* 0 and a malloc'd word of these characters that begins with a letter. */
static int word(Parser *p, const char *characters, char **ret) {
        size_t size;

        skip(p);
        size = strspn(p->at, characters);
        if (size == 0 || !strchr(letters, *p->at))
                return -EBADMSG;
        *ret = strndup(p->at, size);
        if (!*ret)
                return -ENOMEM;
        p->at += size;
        return 0;
}

static int type_parse(Parser *p, int depth, IdlType **ret);

static const IdlField *field_find(const IdlType *t, const char *name) {
        for (size_t i = 0; i < t->n_fields; i++)
                if (strcmp(t->fields[i].name, name) == 0)
                        return &t->fields[i];
        return NULL;
}

static IdlField *field_add(IdlType *t, char *name) {
        IdlField *p = realloc(t->fields, (t->n_fields + 1) * sizeof(*p));

        if (!p)
                return NULL;
        t->fields = p;
        p[t->n_fields] = (IdlField) { .name = name };
        return &p[t->n_fields++];
}

/* What follows "(": fields "name: type" make a struct, bare names an enum; nothing is an empty struct. */
static int fields_parse(Parser *p, int depth, IdlType *t) {
        if (take(p, ")"))
                return 0;
        do {
                CLEANUP(freep) char *name = NULL;
                IdlField *field;
                bool typed;
                int r;

                r = word(p, word_characters, &name);
                if (r < 0)
                        return r;
                if (field_find(t, name))
                        return -EBADMSG;
                field = field_add(t, name);
                if (!field)
                        return -ENOMEM;
                name = NULL;
                typed = take(p, ":");
                if (t->n_fields > 1 && typed != (t->kind == IDL_STRUCT))
                        return -EBADMSG;
                t->kind = typed ? IDL_STRUCT : IDL_ENUM;
                r = typed ? type_parse(p, depth, &field->type) : 0;
                if (r < 0)
                        return r;
        } while (take(p, ","));
        return take(p, ")") ? 0 : -EBADMSG;
}

static int name_parse(Parser *p, IdlType *t) {
        static const struct {
                const char *word;
                IdlKind kind;
        } words[] = {
                { "bool", IDL_BOOL },     { "int", IDL_INT },       { "float", IDL_FLOAT },
                { "string", IDL_STRING }, { "object", IDL_OBJECT },
        };
        int r = word(p, word_characters, &t->name);

        if (r < 0)
                return r;
        t->kind = IDL_NAMED;
        for (size_t i = 0; i < ELEMENTS(words); i++)
                if (strcmp(t->name, words[i].word) == 0)
                        t->kind = words[i].kind;
        return t->kind == IDL_NAMED && (t->name[0] < 'A' || t->name[0] > 'Z') ? -EBADMSG : 0;
}

static void type_freep(IdlType **t) {
        type_free(*t);
}

static int type_parse(Parser *p, int depth, IdlType **ret) {
        CLEANUP(type_freep) IdlType *t = NULL;
        int r;

        if (depth > TYPE_DEPTH_MAX)
                return -EBADMSG;
        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->nullable = take(p, "?");
        if (take(p, "[]")) {
                t->kind = IDL_ARRAY;
                r = type_parse(p, depth + 1, &t->element);
        } else if (take(p, "[string]")) {
                t->kind = IDL_MAP;
                r = type_parse(p, depth + 1, &t->element);
        } else if (take(p, "(")) {
                t->kind = IDL_STRUCT;
                r = fields_parse(p, depth + 1, t);
        } else {
                r = name_parse(p, t);
        }
        if (r == 0)
                *ret = STEAL(t);
        return r;
}

/* A struct, as methods and errors have; types may be enums too. */
static int parameters_parse(Parser *p, IdlType **ret) {
        int r;

        skip(p);
        if (*p->at != '(')
                return -EBADMSG;
        r = type_parse(p, 0, ret);
        return r == 0 && (*ret)->kind != IDL_STRUCT ? -EBADMSG : r;
}

static int member_parse(Parser *p, IdlMember *m) {
        int r;

        if (take(p, "type"))
                m->kind = IDL_TYPE;
        else if (take(p, "method"))
                m->kind = IDL_METHOD;
        else if (take(p, "error"))
                m->kind = IDL_ERROR;
        else
                return -EBADMSG;
        if (!strchr(" \t\r\n", *p->at))
                return -EBADMSG;
        r = word(p, word_characters, &m->name);
        if (r < 0)
                return r;
        if (m->name[0] < 'A' || m->name[0] > 'Z')
                return -EBADMSG;
        if (m->kind == IDL_TYPE) {
                skip(p);
                return *p->at == '(' ? type_parse(p, 0, &m->type) : -EBADMSG;
        }
        r = parameters_parse(p, &m->type);
        if (r < 0 || m->kind == IDL_ERROR)
                return r;
        return take(p, "->") ? parameters_parse(p, &m->reply) : -EBADMSG;
}

static bool type_resolves(const Idl *idl, const IdlType *t) {
        if (!t)
                return true;
        if (t->kind == IDL_NAMED && !idl_find(idl, IDL_TYPE, t->name))
                return false;
        for (size_t i = 0; i < t->n_fields; i++)
                if (!type_resolves(idl, t->fields[i].type))
                        return false;
        return type_resolves(idl, t->element);
}

static int members_parse(Parser *p, Idl *idl) {
        for (skip(p); *p->at; skip(p)) {
                IdlMember *m = realloc(idl->members, (idl->n_members + 1) * sizeof(*m));
                int r;

                if (!m)
                        return -ENOMEM;
                idl->members = m;
                m += idl->n_members++;
                *m = (IdlMember) { 0 };
                r = member_parse(p, m);
                if (r < 0)
                        return r;
                for (const IdlMember *other = idl->members; other < m; other++)
                        if (strcmp(other->name, m->name) == 0)
                                return -EBADMSG;
        }
        for (size_t i = 0; i < idl->n_members; i++)
                if (!type_resolves(idl, idl->members[i].type) || !type_resolves(idl, idl->members[i].reply))
                        return -EBADMSG;
        return 0;
}

int idl_parse(const char *text, Idl **ret, int *ret_line) {
        CLEANUP(idl_freep) Idl *idl = NULL;
        Parser p = { .at = text, .line = 1 };
        int r;

        assert(text && ret && ret_line);
        idl = calloc(1, sizeof(*idl));
        if (!idl)
                return -ENOMEM;
        r = take(&p, "interface") ? word(&p, interface_characters, &idl->name) : -EBADMSG;
        if (r == 0)
                r = members_parse(&p, idl);
        if (r < 0) {
                *ret_line = p.line;
                return r;
        }
        *ret = STEAL(idl);
        return 0;
}

const IdlMember *idl_find(const Idl *idl, IdlMemberKind kind, const char *name) {
        for (size_t i = 0; i < idl->n_members; i++)
                if (idl->members[i].kind == kind && strcmp(idl->members[i].name, name) == 0)
                        return &idl->members[i];
        return NULL;
}

static bool value_check(const Idl *idl, const IdlType *t, const json_t *value);

bool idl_check(const Idl *idl, const IdlType *type, const json_t *object, const char **ret) {
        const char *key;
        json_t *value;

        json_object_foreach((json_t *) object, key, value) {
                const IdlField *field = field_find(type, key);

                *ret = key;
                if (!field || !value_check(idl, field->type, value))
                        return false;
        }
        for (size_t i = 0; i < type->n_fields; i++) {
                *ret = type->fields[i].name;
                if (!type->fields[i].type->nullable && !json_object_get(object, *ret))
                        return false;
        }
        return true;
}

static bool elements_check(const Idl *idl, const IdlType *t, const json_t *value) {
        const char *key;
        json_t *element;
        size_t i;

        if (t->kind == IDL_ARRAY) {
                json_array_foreach(value, i, element)
                        if (!value_check(idl, t->element, element))
                                return false;
                return json_is_array(value);
        }
        json_object_foreach((json_t *) value, key, element)
                if (!value_check(idl, t->element, element))
                        return false;
        return json_is_object(value);
}

static bool value_check(const Idl *idl, const IdlType *t, const json_t *value) {
        const char *field;

        if (json_is_null(value))
                return t->nullable;
        switch (t->kind) {
        case IDL_BOOL:
                return json_is_boolean(value);
        case IDL_INT:
                return json_is_integer(value);
        case IDL_FLOAT:
                return json_is_number(value);
        case IDL_STRING:
                return json_is_string(value);
        case IDL_OBJECT:
                return true;
        case IDL_STRUCT:
                return json_is_object(value) && idl_check(idl, t, value, &field);
        case IDL_ENUM:
                return json_is_string(value) && field_find(t, json_string_value(value));
        case IDL_ARRAY:
        case IDL_MAP:
                return elements_check(idl, t, value);
        case IDL_NAMED:
                return value_check(idl, idl_find(idl, IDL_TYPE, t->name)->type, value);
        }
        return false;
}
