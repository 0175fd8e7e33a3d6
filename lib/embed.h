/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_EMBED_H
#define SCITRACE_LIB_EMBED_H

/* embed: files that are compiled in by build-aux/embed (interface files, schema).
 * May use: nothing.  May not use: anything. */

typedef struct EmbeddedFile {
        const char *name;       /* without folder; NULL ends a table */
        const char *text;
} EmbeddedFile;

extern const EmbeddedFile interface_files[];    /* lib/interfaces, the *.varlink files */

#endif
