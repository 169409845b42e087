/* SPDX-License-Identifier: Apache-2.0 */
/* Where a body ends (RFC 9112 6), and chunked coding (RFC 9112 7.1), read as strictly as the heads.
 */
#include "http/bytes.h"
#include "http/head.h"

enum hf_body_kind hf_response_body(const struct hf_head *head, uint64_t *length)
{
    size_t codings = hf_head_count(head, "transfer-encoding");
    size_t lengths = hf_head_count(head, "content-length");

    *length = 0;
    /* RFC 9112 6.3, rule 1: these have no body, whatever their headers say. */
    if (head->status < 200 || head->status == 204 || head->status == 304) {
        return HF_BODY_NONE;
    }
    if (codings > 0) {
        /* RFC 9112 6.1: a response with both, or in HTTP/1.0, has faulty framing. No other coding
         * was asked for. */
        if (codings > 1 || lengths > 0 || head->minor == 0 ||
            !hf_slice_eq_nocase(*hf_head_find(head, "transfer-encoding"), HF_LITERAL("chunked"))) {
            return HF_BODY_BAD;
        }
        return HF_BODY_CHUNKED;
    }
    if (lengths > 0) {
        if (lengths > 1 ||
            !hf_slice_number(*hf_head_find(head, "content-length"), INT64_MAX, length)) {
            *length = 0;
            return HF_BODY_BAD;
        }
        return HF_BODY_LENGTH;
    }
    return HF_BODY_UNTIL_CLOSE;
}

/* A chunk:     hex digits, [";" extension], CR LF, data, CR LF
 * the last:    "0", [";" extension], CR LF, trailer lines, CR LF
 * States up to SIZE_DIGITS_MAX say how many digits of a size were read. */
enum {
    SIZE_DIGITS_MAX = 16,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    END,
    MALFORMED,
};

static bool is_text(uint8_t byte)
{
    return (hf_byte_class[byte] & HF_BYTE_TEXT) != 0;
}

static bool is_name(uint8_t byte)
{
    return (hf_byte_class[byte] & HF_BYTE_TOKEN) != 0;
}

static uint8_t after_size_byte(struct hf_chunked *c, uint8_t byte)
{
    int digit = hf_hex_digit(byte);

    if (digit >= 0 && c->state < SIZE_DIGITS_MAX) {
        c->left = c->left << 4 | (uint64_t)digit;
        return (uint8_t)(c->state + 1);
    }
    if (c->state == 0 || digit >= 0) {
        return MALFORMED;
    }
    return byte == ';' ? EXTENSION : byte == '\r' ? SIZE_LF : MALFORMED;
}

/* The state behind this byte, which is not one of a chunk's data. */
static uint8_t after_byte(struct hf_chunked *c, uint8_t byte)
{
    switch (c->state) {
    case EXTENSION:
        return byte == '\r' ? SIZE_LF : is_text(byte) ? EXTENSION : MALFORMED;
    case SIZE_LF:
        return byte != '\n' ? MALFORMED : c->left == 0 ? TRAILER : DATA;
    case DATA_CR:
        return byte == '\r' ? DATA_LF : MALFORMED;
    case DATA_LF:
        return byte == '\n' ? 0 : MALFORMED;
    case TRAILER:
        return byte == '\r' ? END_LF : is_name(byte) ? TRAILER_NAME : MALFORMED;
    case TRAILER_NAME:
        return byte == ':' ? TRAILER_VALUE : is_name(byte) ? TRAILER_NAME : MALFORMED;
    case TRAILER_VALUE:
        return byte == '\r' ? TRAILER_LF : is_text(byte) ? TRAILER_VALUE : MALFORMED;
    case TRAILER_LF:
        return byte == '\n' ? TRAILER : MALFORMED;
    case END_LF:
        return byte == '\n' ? END : MALFORMED;
    default:
        return c->state <= SIZE_DIGITS_MAX ? after_size_byte(c, byte) : MALFORMED;
    }
}

/* Extensions and trailers are read and dropped, so their sum is limited for the whole body. */
static bool is_ballast(uint8_t state)
{
    return state == EXTENSION || state == TRAILER_NAME || state == TRAILER_VALUE;
}

bool hf_chunked_read(struct hf_chunked *c, struct hf_slice bytes, size_t *taken,
                     struct hf_slice *data)
{
    size_t at = 0;

    *data = hf_slice(NULL, 0);
    while (at < bytes.len && c->state != DATA && c->state < END) {
        c->state = after_byte(c, bytes.ptr[at]);
        if (is_ballast(c->state) && ++c->ballast > HF_CHUNKED_BALLAST_MAX) {
            c->state = MALFORMED;
        }
        at++;
    }
    if (c->state == DATA && at < bytes.len) {
        size_t rest = bytes.len - at;
        size_t run = c->left < rest ? (size_t)c->left : rest;

        *data = hf_slice(bytes.ptr + at, run);
        at += run;
        c->left -= run;
        if (c->left == 0) {
            c->state = DATA_CR;
        }
    }
    *taken = at;
    c->done = c->state == END;
    return c->state != MALFORMED;
}
