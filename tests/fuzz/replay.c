/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <err.h>
#include <limits.h>
#include <sys/stat.h>

#include "lib/util.h"
#include "tests/fuzz/fuzz.h"

/* In memory exactly as large as the file: the address sanitizer sees a byte past it. */
static void replay(const char *path) {
        CLEANUP(fclosep) FILE *f = fopen(path, "re");
        CLEANUP(freep) uint8_t *data = NULL;
        struct stat st;

        if (!f || fstat(fileno(f), &st) < 0)
                err(1, "%s", path);
        data = malloc(st.st_size > 0 ? (size_t) st.st_size : 1);
        if (!data || fread(data, 1, (size_t) st.st_size, f) != (size_t) st.st_size)
                err(1, "%s", path);
        LLVMFuzzerTestOneInput(data, (size_t) st.st_size);
}

/* The corpus of fuzz-NAME is tests/fuzz/corpus/NAME of the source tree. */
int main(int argc, char *argv[]) {
        const char *source = getenv("SCITRACE_SOURCE"), *name = strstr(argv[0], "fuzz-");
        char folder[PATH_MAX], path[PATH_MAX + 256];
        struct dirent *entry;
        int count = 0;
        DIR *d;

        if (!name)
                errx(1, "%s: not called fuzz-NAME", argv[0]);
        name += strlen("fuzz-");
        snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s", source ? source : ".", name);
        d = opendir(folder);
        if (!d)
                err(1, "%s", folder);
        while ((entry = readdir(d))) {
                if (entry->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
                replay(path);
                count++;
        }
        closedir(d);
        if (count == 0)
                errx(1, "%s is empty", folder);
        printf("1..1\nok 1 - the %d inputs of %s do no harm\n", count, name);
        return 0;
}
