/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/util.h"

/* without CALL COMMAND [ARGUMENT]...: becomes a command for which a system call does not exist, as on an older
 * kernel or in a sandbox. */

static const struct {
        const char *name;
        unsigned number;
} calls[] = { { "openat2", SYS_openat2 }, { "statx", SYS_statx } };

static int forbid(unsigned number) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog program = { .len = ELEMENTS(code), .filter = code };

        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1
                                                          : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv) {
        for (size_t i = 0; argc > 2 && i < ELEMENTS(calls); i++) {
                if (strcmp(argv[1], calls[i].name) != 0)
                        continue;
                if (forbid(calls[i].number) == 0)
                        execvp(argv[2], argv + 2);
                perror(argv[2]);
                return 1;
        }
        fputs("without openat2|statx COMMAND [ARGUMENT]...\n", stderr);
        return 2;
}
