/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_TESTS_FUZZ_FUZZ_H
#define SCITRACE_TESTS_FUZZ_FUZZ_H

/* fuzz: a target is a file fuzz-NAME.c with this one function; its corpus is corpus/NAME. `make check` links
 * it with replay.c, which runs it on the corpus; `make fuzz` links it with libFuzzer. */

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
