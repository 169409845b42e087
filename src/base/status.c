/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the statuses, and the end of a process that broke its own assumption. */
#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>

const char *hf_status_text(enum hf_status status)
{
    switch (status) {
    case HF_OK:
        return "ok";
    case HF_NO_MEMORY:
        return "out of memory";
    case HF_NO_DESCRIPTORS:
        return "no file descriptor left";
    case HF_NO_ADDRESS:
        return "address not available";
    case HF_IN_USE:
        return "address already in use";
    case HF_DENIED:
        return "permission denied";
    case HF_NOT_FOUND:
        return "not found";
    case HF_INVALID:
        return "not valid";
    case HF_IO:
        return "input/output error";
    }
    return "unknown status";
}

_Noreturn void hf_assert_failed(const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "holdfast: broken assumption: %s (%s:%d)\n", what, file, line);
    (void)fflush(stderr);
    abort();
}
