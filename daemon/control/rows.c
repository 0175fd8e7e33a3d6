/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/control/rows.h"
#include "lib/annex.h"

static const char hex[] = "0123456789abcdef";

static char *hex_of(char *p, const uint8_t *bytes, size_t size) {
        for (size_t i = 0; i < size; i++) {
                *p++ = hex[bytes[i] >> 4];
                *p++ = hex[bytes[i] & 15];
        }
        return p;
}

/* As /proc/sys/kernel/random/boot_id has it. */
static void emit_id(Emit *e, const char *key, const uint8_t id[EVENT_ID_SIZE]) {
        static const uint8_t parts[] = { 4, 2, 2, 2, 6 };
        char text[40], *p = text;

        *p++ = '"';
        for (size_t i = 0; i < ELEMENTS(parts); i++) {
                if (i > 0)
                        *p++ = '-';
                p = hex_of(p, id, parts[i]);
                id += parts[i];
        }
        *p++ = '"';
        emit_key(e, key);
        emit_raw(e, text, (size_t) (p - text));
}

static void emit_digest(Emit *e, Bytes digest, DigestSource source) {
        char text[2 * EVENT_DIGEST_SIZE + 16] = "\"sha256:", *p = text + strlen(text);

        if (digest.size != EVENT_DIGEST_SIZE)
                return;
        p = hex_of(p, digest.data, digest.size);
        *p++ = '"';
        emit_key(e, "digest");
        emit_raw(e, text, (size_t) (p - text));
        emit_word(e, "digestSource", digest_source_to_word(source));
}

static void emit_number(Emit *e, const char *key, int64_t value) {
        if (value != 0)
                emit_int(e, key, value);
}

static void emit_state(Emit *e, const Event *v) {
        emit_word(e, "type", type_to_word(v->type));
        if (v->type == TYPE_FILE)
                emit_int(e, "size", v->size);
        emit_int(e, "mode", v->mode);
        emit_int(e, "uid", v->uid);
        emit_int(e, "gid", v->gid);
        if (v->type == TYPE_FILE)
                emit_int(e, "mtimeNsec", v->mtime);
}

/* "N": events up to N; "checkpoints N" */
static void emit_pruned(Emit *e, Bytes detail) {
        char text[48];
        char *blank;

        snprintf(text, sizeof(text), "%.*s", (int) detail.size, (const char *) detail.data);
        blank = strchr(text, ' ');
        emit_number(e, blank ? "thinnedTo" : "prunedTo", strtoll(blank ? blank : text, NULL, 10));
}

/* "N": so many events there had been */
static void emit_lost(Emit *e, Bytes detail) {
        char text[24];

        snprintf(text, sizeof(text), "%.*s", (int) detail.size, (const char *) detail.data);
        emit_number(e, "lostTo", strtoll(text, NULL, 10));
}

/* "N": microseconds, ahead or back */
static void emit_step(Emit *e, Bytes detail) {
        char text[24];

        snprintf(text, sizeof(text), "%.*s", (int) detail.size, (const char *) detail.data);
        emit_int(e, "stepUsec", strtoll(text, NULL, 10));
}

void rows_event(Emit *e, const QueryEvent *row) {
        const Event *v = &row->event;

        emit_int(e, "seq", v->seq);
        emit_int(e, "timeUsec", v->last);
        emit_int(e, "firstUsec", v->first);
        emit_id(e, "bootId", v->boot);
        emit_word(e, "dataset", row->dataset ? row->dataset : "");
        emit_bytes(e, "path", row->path);
        emit_bytes(e, "oldPath", row->old_path);
        emit_word(e, "oldDataset", row->old_dataset);
        emit_word(e, "kind", kind_to_word(v->kind));
        emit_word(e, "origin", origin_to_word(v->origin));
        if (v->has_state)
                emit_state(e, v);
        emit_digest(e, v->digest, v->digest_source);
        if (v->has_state && v->type == TYPE_SYMLINK)
                emit_bytes(e, "target", v->target);
        emit_number(e, "process", v->process);
        emit_int(e, "count", v->count);
        emit_number(e, "replaces", v->replaces);
        emit_number(e, "node", v->node);
        emit_word(e, "cause", cause_to_word(v->cause));
        if (v->kind == KIND_PRUNE)
                emit_pruned(e, v->detail);
        if (v->kind == KIND_CLOCK_STEP)
                emit_step(e, v->detail);
        if (v->kind == KIND_STORE_LOST)
                emit_lost(e, v->detail);
        if (v->kind == KIND_COMMIT)
                emit_bytes(e, "gitCommit", v->detail);  /* its own, not the one before */
        else
                emit_word(e, "gitCommit", row->commit);
}

/* Of a locked file, a symbolic link; an unlocked one whose content is away; an object. */
static void emit_annex_key(Emit *e, const QueryFile *row) {
        Bytes key = row->type == TYPE_SYMLINK ? annex_key_of_target(row->target) :
                    row->type != TYPE_FILE    ? BYTES_NONE :
                    row->target.size > 0      ? row->target : annex_key_of_object(row->path);
        uint8_t plain[ANNEX_KEY_MAX];

        if (key.size > 0)
                emit_bytes(e, "annexKey", BYTES(plain, annex_key_plain(key, plain)));
}

void rows_file(Emit *e, const QueryFile *row) {
        emit_word(e, "dataset", row->dataset);
        emit_bytes(e, "path", row->path);
        emit_word(e, "type", type_to_word(row->type));
        if (row->type == TYPE_FILE)
                emit_int(e, "size", row->size);
        emit_int(e, "mode", row->mode);
        emit_int(e, "uid", row->uid);
        emit_int(e, "gid", row->gid);
        if (row->type == TYPE_FILE)
                emit_int(e, "mtimeNsec", row->mtime);
        emit_int(e, "links", row->links);
        emit_digest(e, row->digest, row->digest_source);
        if (row->type == TYPE_SYMLINK)
                emit_bytes(e, "target", row->target);
        emit_annex_key(e, row);
        emit_int(e, "seq", row->seq);
        emit_int(e, "node", row->node);
        emit_word(e, "gitCommit", row->commit);
        emit_word(e, "gap", cause_to_word(row->gap));
}

void rows_stretch(Emit *e, const QueryStretch *row) {
        emit_int(e, "fromUsec", row->from);
        emit_number(e, "untilUsec", row->until);
        emit_word(e, "state", row->gap ? "gap" : "covered");
        if (!row->gap)
                return;
        emit_word(e, "cause", cause_to_word(row->cause));
        emit_bytes(e, "path", row->path);
        emit_number(e, "closedBy", row->closed_by);
}

static void emit_labels(Emit *e, const char *labels) {
        const char *comma = "";

        emit_key(e, "labels");
        EMIT(e, "{");
        while (*labels) {
                size_t size = strcspn(labels, ","), key = strcspn(labels, "=");

                if (key < size) {
                        emit_raw(e, comma, strlen(comma));
                        emit_string(e, BYTES(labels, key));
                        EMIT(e, ":");
                        emit_string(e, BYTES(labels + key + 1, size - key - 1));
                        comma = ",";
                }
                labels += size + (labels[size] == ',');
        }
        EMIT(e, "}");
}

void rows_point(Emit *e, const char *name, const char *labels, const char *unit, int64_t time,
                double value) {
        emit_word(e, "name", name);
        emit_labels(e, labels);
        emit_float(e, "value", value);
        emit_word(e, "unit", unit);
        emit_int(e, "timeUsec", time);
}
