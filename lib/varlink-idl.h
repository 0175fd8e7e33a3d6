/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_VARLINK_IDL_H
#define SCITRACE_LIB_VARLINK_IDL_H

/* varlink-idl: interface files (varlink.org/Interface-Definition): text to a tree, and objects checked
 * against it. Pure. Prefix: idl_.
 * May use: lib, jansson.  May not use: daemon/, ctl/. */

#include <jansson.h>
#include <stdbool.h>

#include "lib/util.h"

typedef struct IdlField IdlField;

typedef enum IdlKind {
        IDL_BOOL,
        IDL_INT,
        IDL_FLOAT,
        IDL_STRING,
        IDL_OBJECT,     /* any JSON */
        IDL_STRUCT,     /* fields */
        IDL_ENUM,       /* fields, of which only the names count */
        IDL_ARRAY,      /* element */
        IDL_MAP,        /* element; keys are strings */
        IDL_NAMED,      /* name: a `type` of the same interface */
} IdlKind;

typedef struct IdlType {
        IdlKind kind;
        bool nullable;
        char *name;
        struct IdlType *element;
        IdlField *fields;
        size_t n_fields;
} IdlType;

struct IdlField {
        char *name;
        IdlType *type;          /* NULL in an enum */
};

typedef enum IdlMemberKind { IDL_TYPE, IDL_METHOD, IDL_ERROR } IdlMemberKind;

typedef struct IdlMember {
        IdlMemberKind kind;
        char *name;             /* without the interface */
        IdlType *type;          /* of a type, what a method takes, what an error carries */
        IdlType *reply;         /* what a method gives */
} IdlMember;

typedef struct Idl {
        char *name;
        IdlMember *members;
        size_t n_members;
} Idl;

/** idl_parse() - one interface. 0; -EBADMSG, and *ret_line (from 1) is where it stops being one: a syntax
 *  error, a name given twice, a type that is not there; -ENOMEM. */
int idl_parse(const char *text, Idl **ret, int *ret_line);
Idl *idl_free(Idl *idl);
static inline void idl_freep(Idl **idl) {
        idl_free(*idl);
}

/** idl_find() - a member, or NULL. */
const IdlMember *idl_find(const Idl *idl, IdlMemberKind kind, const char *name);

/** idl_check() - does the object have the fields of this struct, each of its type, and no others? NULL: an
 *  object without members. true; else *ret is the name of the first field that is wrong (borrowed from
 *  object or idl). */
bool idl_check(const Idl *idl, const IdlType *type, const json_t *object, const char **ret);

#endif
