/* SPDX-License-Identifier: Apache-2.0 */
/* The difference between two texts that differ in one place, in the form that patch(1) reads. */
#ifndef HUSK_RUNTIME_TEXT_DIFF_H
#define HUSK_RUNTIME_TEXT_DIFF_H

#include <stdio.h>

/* @before or @after NULL: there is no such file. Lines that are the same in between are shown as removed and added. */
void text_diff(FILE *f, const char *path, const char *before, const char *after);

#endif
