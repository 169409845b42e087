/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test includes: cmocka with the headers it wants before it, and slices compared
 * with text. */
#ifndef TEST_UNIT_H
#define TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/slice.h"

#define assert_slice(slice, text) test_assert_slice((slice), hf_slice_of(text), __FILE__, __LINE__)

/* Shows both texts when they differ. */
static inline void test_assert_slice(struct hf_slice got, struct hf_slice wanted, const char *file,
                                     int line)
{
    if (!hf_slice_eq(got, wanted)) {
        print_error("got    \"%.*s\"\nwanted \"%.*s\"\n", (int)got.len,
                    got.len > 0 ? (const char *)got.ptr : "", HF_SLICE_ARG(wanted));
        _fail(file, line);
    }
}

#endif
