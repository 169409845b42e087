/* SPDX-License-Identifier: Apache-2.0 */
/* Reading tests/vectors: files of cases that C and TypeScript share; README.md there says how they
 * are written. Whatever is not as it says fails the test that runs. */
#ifndef VECTORS_H
#define VECTORS_H

#include "base/slice.h"

#include <jansson.h>

/* A whole file, to be given back with json_decref. */
json_t *vectors_load(const char *file);
/* The list of that name, which is not empty. Borrowed from the file. */
json_t *vectors_list(json_t *file, const char *name);
/* Fails when the object has another key than these, which are separated by spaces. */
void vector_knows(const json_t *object, const char *keys);
/* Fails when the value is not there. */
json_t *vector_get(const json_t *object, const char *key);
const char *vector_text(const json_t *object, const char *key);
uint64_t vector_number(const json_t *object, const char *key);
bool vector_true(const json_t *object, const char *key);
/* Bytes in one of the four ways of writing them, with nothing behind them, so that the sanitizer
 * finds who reads too far. Freed with vector_free. */
struct hf_slice vector_bytes(const json_t *value);
void vector_free(struct hf_slice bytes);
/* True when the two are equal; bytes is written in one of the four ways. */
bool vector_equals(const json_t *bytes, struct hf_slice got);

#endif
