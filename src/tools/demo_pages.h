/* SPDX-License-Identifier: Apache-2.0 */
/* The pages in src/tools/pages as bytes; tools/embed-pages makes the source of it at build time. */
#ifndef HF_TOOLS_DEMO_PAGES_H
#define HF_TOOLS_DEMO_PAGES_H

#include <stddef.h>

struct demo_page {
    const char *path; /* "/" for index.html, else "/NAME" */
    const unsigned char *bytes;
    size_t size;
};

extern const struct demo_page demo_pages[];
extern const size_t demo_page_count;

#endif
