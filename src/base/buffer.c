/* SPDX-License-Identifier: Apache-2.0 */
/* Owned bytes: growth, appending, and the escaping of JSON strings. */
#include "base/buffer.h"

#include <stdio.h>

#define FIRST_CAP 64 /* bytes of the first allocation */

void hf_buffer_init(struct hf_buffer *b, const struct hf_allocator *alloc, size_t max)
{
    *b = (struct hf_buffer){.alloc = alloc, .max = max};
}

void hf_buffer_reset(struct hf_buffer *b)
{
    hf_release(b->alloc, b->data);
    hf_buffer_init(b, b->alloc, b->max);
}

void hf_buffer_clear(struct hf_buffer *b)
{
    b->len = 0;
    b->failed = false;
}

static enum hf_status grow(struct hf_buffer *b, size_t need)
{
    size_t cap = b->cap < FIRST_CAP ? FIRST_CAP : b->cap;
    while (cap < need) {
        cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
    }
    if (cap > b->max) {
        cap = b->max;
    }
    uint8_t *data = b->alloc->resize(b->alloc->context, b->data, cap);
    if (data == NULL) {
        return HF_NO_MEMORY;
    }
    b->data = data;
    b->cap = cap;
    return HF_OK;
}

enum hf_status hf_buffer_reserve(struct hf_buffer *b, size_t more)
{
    if (more <= b->cap - b->len) {
        return HF_OK;
    }
    if (more > b->max - b->len) {
        return HF_NO_MEMORY;
    }
    return grow(b, b->len + more);
}

/* The room of an append, or the failure that stays. */
static enum hf_status make_room(struct hf_buffer *b, size_t more)
{
    if (!b->failed && hf_buffer_reserve(b, more) != HF_OK) {
        b->failed = true;
    }
    return b->failed ? HF_NO_MEMORY : HF_OK;
}

enum hf_status hf_buffer_add(struct hf_buffer *b, struct hf_slice s)
{
    enum hf_status status = make_room(b, s.len);
    if (status == HF_OK && s.len > 0) {
        memcpy(b->data + b->len, s.ptr, s.len);
        b->len += s.len;
    }
    return status;
}

enum hf_status hf_buffer_add_text(struct hf_buffer *b, const char *text)
{
    return hf_buffer_add(b, hf_slice_of(text));
}

enum hf_status hf_buffer_add_byte(struct hf_buffer *b, uint8_t byte)
{
    enum hf_status status = make_room(b, 1);
    if (status == HF_OK) {
        b->data[b->len++] = byte;
    }
    return status;
}

enum hf_status hf_buffer_add_number(struct hf_buffer *b, int64_t value)
{
    char text[20];
    size_t at = sizeof(text);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        text[--at] = '-';
    }
    return hf_buffer_add(b, hf_slice(text + at, sizeof(text) - at));
}

enum hf_status hf_buffer_addf(struct hf_buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum hf_status status = hf_buffer_addv(b, format, args);
    va_end(args);
    return status;
}

/* Formats into the free room first. vsnprintf ends its text with a NUL that is not ours to keep, so
 * a text that fills the buffer to its last byte, where the NUL finds no place, is formatted aside.
 */
enum hf_status hf_buffer_addv(struct hf_buffer *b, const char *format, va_list args)
{
    if (b->failed) {
        return HF_NO_MEMORY;
    }
    va_list again;
    va_copy(again, args);
    size_t room = b->cap - b->len;
    int wanted = vsnprintf(room == 0 ? NULL : (char *)b->data + b->len, room, format, args);
    size_t len = (size_t)wanted;
    if (wanted < 0) {
        b->failed = true;
    } else if (len < room) {
        b->len += len;
    } else if (make_room(b, len) == HF_OK) {
        if (hf_buffer_reserve(b, len + 1) == HF_OK) {
            (void)vsnprintf((char *)b->data + b->len, len + 1, format, again);
            b->len += len;
        } else {
            char *aside = hf_alloc(b->alloc, len + 1);
            if (aside != NULL) {
                (void)vsnprintf(aside, len + 1, format, again);
                (void)hf_buffer_add(b, hf_slice(aside, len));
                hf_release(b->alloc, aside);
            } else {
                b->failed = true;
            }
        }
    }
    va_end(again);
    return b->failed ? HF_NO_MEMORY : HF_OK;
}

void hf_buffer_drop(struct hf_buffer *b, size_t n)
{
    HF_ASSERT(n <= b->len);
    b->len -= n;
    if (b->len > 0 && n > 0) {
        memmove(b->data, b->data + n, b->len);
    }
}

/* Printable ASCII but " and \: what a JSON string and a terminal take as it is. */
static bool is_clean(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Eight bytes at once. A false alarm is allowed (a borrow may run into the next byte), a miss is
 * not. */
static bool is_clean_word(uint64_t word)
{
    uint64_t quote = word ^ EACH('"');
    uint64_t backslash = word ^ EACH('\\');
    uint64_t dirty =
        word | (word - EACH(0x20)) | (word + EACH(1)) | (quote - EACH(1)) | (backslash - EACH(1));
    return (dirty & EACH(0x80)) == 0;
}

static size_t clean_run(const uint8_t *p, size_t len)
{
    size_t n = 0;
    while (len - n >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, p + n, sizeof(word));
        if (!is_clean_word(word)) {
            break;
        }
        n += sizeof(word);
    }
    while (n < len && is_clean(p[n])) {
        n++;
    }
    return n;
}

/* Bytes of the UTF-8 character at p, or 0 when there is none (RFC 3629: no overlong form, no
 * surrogate, nothing beyond U+10FFFF). */
static size_t utf8_len(const uint8_t *p, size_t len)
{
    uint8_t lead = p[0];
    size_t n = lead < 0x80   ? 1
               : lead < 0xc2 ? 0
               : lead < 0xe0 ? 2
               : lead < 0xf0 ? 3
               : lead < 0xf5 ? 4
                             : 0;
    if (n == 0 || n > len) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (lead == 0xe0 && p[1] < 0xa0) || (lead == 0xf0 && p[1] < 0x90);
    bool too_far = (lead == 0xed && p[1] > 0x9f) || (lead == 0xf4 && p[1] > 0x8f);
    return overlong || too_far ? 0 : n;
}

static void add_unicode_escape(struct hf_buffer *b, uint16_t c)
{
    static const char digits[] = "0123456789abcdef";
    char text[6] = {'\\',          'u', digits[c >> 12], digits[c >> 8 & 15], digits[c >> 4 & 15],
                    digits[c & 15]};
    (void)hf_buffer_add(b, hf_slice(text, sizeof(text)));
}

/* U+2028 to U+202E and U+2066 to U+2069: line ends and changes of the writing's direction, with
 * which a stranger's text could make a log say what it does not. */
static bool changes_lines(const uint8_t *p, size_t n)
{
    return n == 3 && p[0] == 0xe2 &&
           ((p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) ||
            (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

/* One character that is not clean; returns how many bytes it took. C1 controls (U+0080 to U+009F)
 * steer terminals as ESC does, so they are escaped too. */
static size_t add_dirty(struct hf_buffer *b, const uint8_t *p, size_t len)
{
    uint8_t c = p[0];
    const char *known = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *k = known; *k != '\0'; k += 2) {
        if (c == (uint8_t)k[0]) {
            (void)hf_buffer_add(b, hf_slice((const char[]){'\\', k[1]}, 2));
            return 1;
        }
    }
    if (c < 0x80) {
        add_unicode_escape(b, c);
        return 1;
    }
    size_t n = utf8_len(p, len);
    if (n == 0) {
        (void)hf_buffer_add(b, HF_LITERAL("\xef\xbf\xbd"));
        return 1;
    }
    if (c == 0xc2 && p[1] < 0xa0) {
        add_unicode_escape(b, p[1]);
    } else if (changes_lines(p, n)) {
        add_unicode_escape(b, (uint16_t)(0x2000 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f)));
    } else {
        (void)hf_buffer_add(b, hf_slice(p, n));
    }
    return n;
}

enum hf_status hf_buffer_add_json(struct hf_buffer *b, struct hf_slice s)
{
    size_t start = b->len;
    size_t at = 0;
    while (at < s.len && !b->failed) {
        size_t run = clean_run(s.ptr + at, s.len - at);
        (void)hf_buffer_add(b, hf_slice(s.ptr + at, run));
        at += run;
        if (at < s.len) {
            at += add_dirty(b, s.ptr + at, s.len - at);
        }
    }
    if (b->failed) {
        b->len = start;
    }
    return b->failed ? HF_NO_MEMORY : HF_OK;
}
