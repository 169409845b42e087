/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of what a byte may be part of. */
#include "http/bytes.h"

enum {
    TOKEN = HF_BYTE_TOKEN,
    TEXT = HF_BYTE_TEXT,
    TARGET = HF_BYTE_TARGET,
    ALL = TOKEN | TEXT | TARGET
};

const uint8_t hf_byte_class[256] = {
    ['\t'] = TEXT,
    [' '] = TEXT,
    ['!'] = ALL,
    ['"'] = TEXT | TARGET,
    ['#'] = TOKEN | TEXT,
    ['$' ... '\''] = ALL,
    ['(' ... ')'] = TEXT | TARGET,
    ['*' ... '+'] = ALL,
    [','] = TEXT | TARGET,
    ['-' ... '.'] = ALL,
    ['/'] = TEXT | TARGET,
    ['0' ... '9'] = ALL,
    [':' ... '@'] = TEXT | TARGET,
    ['A' ... 'Z'] = ALL,
    ['[' ... ']'] = TEXT | TARGET,
    ['^' ... 'z'] = ALL,
    ['{'] = TEXT | TARGET,
    ['|'] = ALL,
    ['}'] = TEXT | TARGET,
    ['~'] = ALL,
    [0x80 ... 0xff] = TEXT,
};
