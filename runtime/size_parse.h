/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HUSK_RUNTIME_SIZE_PARSE_H
#define HUSK_RUNTIME_SIZE_PARSE_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes as users write them: "-1", "1048576", "64M", "64MiB", "1.5g". false: not a size. */
bool size_parse(const char *text, int64_t *out);

/* Milliseconds: "5s", "250ms", "1m30s", "2h". false: not a duration. */
bool duration_parse(const char *text, int64_t *ms);

#endif
