/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/control/args.h"
#include "daemon/control/path.h"

const char *args_string(const json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

bool args_bool(const json_t *object, const char *key) {
        return json_is_true(json_object_get(object, key));
}

bool args_number(Call *c, const char *key, int64_t least, int64_t *ret) {
        json_t *value = json_object_get(c->parameters, key);

        *ret = json_integer_value(value);
        if (!json_is_integer(value) || *ret >= least)
                return true;
        call_invalid(c, key);
        return false;
}

bool args_path(Call *c, const json_t *object, const char *parameter, uint8_t **ret, size_t *ret_size) {
        CLEANUP(freep) uint8_t *path = NULL;
        size_t size = 0;

        if (varlink_get_bytes(object, "path", &path, &size) < 0 || !path || !path_normal(path, &size)) {
                call_invalid(c, parameter);
                return false;
        }
        path[size] = 0;
        *ret = STEAL(path);
        *ret_size = size;
        return true;
}

bool args_words(Call *c, const char *key, int (*from_word)(const char *word), uint32_t *ret) {
        json_t *words = json_object_get(c->parameters, key), *word;
        uint32_t bits = 0;
        size_t i;

        json_array_foreach(words, i, word) {
                int number = from_word(json_string_value(word));

                if (number <= 0 || number > 31) {
                        call_invalid(c, key);
                        return false;
                }
                bits |= UINT32_C(1) << number;
        }
        *ret = bits;
        return true;
}
