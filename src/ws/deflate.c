/* SPDX-License-Identifier: Apache-2.0 */
/* permessage-deflate over zlib; the header says how the two differ. */
#include "ws/deflate.h"

#include <zlib.h>

#define ROOM 4096 /* bytes asked for at a time; more than 6, as deflate() with a flush wants */
#define PIECE_MAX (1U << 30) /* zlib counts in unsigned int */
#define MEMORY_LEVEL 8

static const uint8_t tail[4] = {0x00, 0x00, 0xFF, 0xFF}; /* RFC 7692 7.2.1 */

static void *zlib_alloc(void *context, unsigned items, unsigned size)
{
    return hf_alloc(context, (size_t)items * size);
}

static void zlib_free(void *context, void *ptr)
{
    hf_release(context, ptr);
}

/* zlib's context pointer is not const; the allocator is only read through it. */
static void set_allocator(z_stream *z, const struct hf_allocator *alloc)
{
    z->zalloc = zlib_alloc;
    z->zfree = zlib_free;
    z->opaque = (void *)(uintptr_t)alloc;
}

/* Offers zlib the free room behind out->len, at least `least` and at most `most` bytes. */
static enum hf_status offer_room(z_stream *z, struct hf_buffer *out, size_t least, size_t most)
{
    const enum hf_status status = hf_buffer_reserve(out, least);
    if (status != HF_OK) {
        return status;
    }
    size_t room = out->cap - out->len;
    room = room < most ? room : most;
    z->next_out = out->data + out->len;
    z->avail_out = (unsigned)(room < PIECE_MAX ? room : PIECE_MAX);
    return HF_OK;
}

struct hf_deflater {
    const struct hf_allocator *alloc;
    z_stream z;
    bool no_context_takeover;
};

struct hf_deflater *hf_deflater_new(const struct hf_allocator *alloc, uint8_t window_bits,
                                    bool no_context_takeover)
{
    HF_ASSERT(window_bits >= 8 && window_bits <= 15);
    struct hf_deflater *d = hf_alloc_zero(alloc, sizeof(*d));
    if (d == NULL) {
        return NULL;
    }
    d->alloc = alloc;
    d->no_context_takeover = no_context_takeover;
    set_allocator(&d->z, alloc);
    const int bits = window_bits == 8 ? 9 : window_bits;
    if (deflateInit2(&d->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -bits, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        hf_release(alloc, d);
        return NULL;
    }
    return d;
}

void hf_deflater_free(struct hf_deflater *d)
{
    if (d != NULL) {
        (void)deflateEnd(&d->z);
        hf_release(d->alloc, d);
    }
}

/* Runs deflate until it has taken all its input and has nothing more to say. */
static enum hf_status deflate_all(z_stream *z, int flush, struct hf_buffer *out)
{
    do {
        const enum hf_status status = offer_room(z, out, ROOM, SIZE_MAX);
        if (status != HF_OK) {
            return status;
        }
        const size_t room = z->avail_out;
        const int result = deflate(z, flush);
        HF_ASSERT(result == Z_OK || result == Z_BUF_ERROR); /* BUF_ERROR: nothing is left to do. */
        out->len += room - z->avail_out;
    } while (z->avail_out == 0);
    return HF_OK;
}

/* Ends the message that was written from `start` on: takes the tail off. */
static enum hf_status end_message(struct hf_deflater *d, size_t start, struct hf_buffer *out)
{
    if (d->no_context_takeover) {
        (void)deflateReset(&d->z); /* RFC 7692 7.1.1 */
    }
    if (out->len == start) {
        /* The flush had nothing to add since the last one: RFC 7692 7.2.3.6, an empty block. */
        return hf_buffer_add_byte(out, 0x00);
    }
    HF_ASSERT(out->len - start > sizeof(tail) &&
              memcmp(out->data + out->len - sizeof(tail), tail, sizeof(tail)) == 0);
    out->len -= sizeof(tail);
    return HF_OK;
}

enum hf_status hf_deflater_add(struct hf_deflater *d, struct hf_slice data, bool fin,
                               struct hf_buffer *out)
{
    const size_t start = out->len;
    enum hf_status status;
    do {
        const struct hf_slice piece = hf_slice_first(data, PIECE_MAX);
        data = hf_slice_from(data, piece.len);
        d->z.next_in = (uint8_t *)(uintptr_t)piece.ptr; /* zlib does not write there. */
        d->z.avail_in = (unsigned)piece.len;
        status = deflate_all(&d->z, data.len == 0 ? Z_SYNC_FLUSH : Z_NO_FLUSH, out);
    } while (status == HF_OK && data.len > 0);
    return status == HF_OK && fin ? end_message(d, start, out) : status;
}

struct hf_inflater {
    const struct hf_allocator *alloc;
    z_stream z;
    bool no_context_takeover;
    bool ended; /* the last thing read was the end of a block with BFINAL */
};

struct hf_inflater *hf_inflater_new(const struct hf_allocator *alloc, uint8_t window_bits,
                                    bool no_context_takeover)
{
    HF_ASSERT(window_bits >= 8 && window_bits <= 15);
    struct hf_inflater *i = hf_alloc_zero(alloc, sizeof(*i));
    if (i == NULL) {
        return NULL;
    }
    i->alloc = alloc;
    i->no_context_takeover = no_context_takeover;
    set_allocator(&i->z, alloc);
    if (inflateInit2(&i->z, -window_bits) != Z_OK) {
        hf_release(alloc, i);
        return NULL;
    }
    return i;
}

void hf_inflater_free(struct hf_inflater *i)
{
    if (i != NULL) {
        (void)inflateEnd(&i->z);
        hf_release(i->alloc, i);
    }
}

/* One call of inflate; *more says whether it wants another one. */
static enum hf_inflate inflate_once(struct hf_inflater *i, int flush, size_t max,
                                    struct hf_buffer *out, bool *more)
{
    /* One byte more than max shows that the message is too big without inflating all of it. */
    const size_t most = max - out->len + 1;
    if (offer_room(&i->z, out, most < ROOM ? most : ROOM, most) != HF_OK) {
        return HF_INFLATE_NO_MEMORY;
    }
    if (i->ended && i->z.avail_in > 0) {
        /* RFC 7692 7.2.3.4: after a block with BFINAL more blocks may follow; the window stays. */
        (void)inflateResetKeep(&i->z);
        i->ended = false;
    }
    const size_t room = i->z.avail_out;
    const int result = inflate(&i->z, flush);
    out->len += room - i->z.avail_out;
    if (out->len > max) {
        return HF_INFLATE_TOO_BIG;
    }
    switch (result) {
    case Z_STREAM_END:
        i->ended = true;
        *more = i->z.avail_in > 0;
        return HF_INFLATE_OK;
    case Z_OK:
        *more = i->z.avail_in > 0 || i->z.avail_out == 0;
        return HF_INFLATE_OK;
    case Z_BUF_ERROR:
        *more = false;
        return HF_INFLATE_OK;
    case Z_MEM_ERROR:
        return HF_INFLATE_NO_MEMORY;
    default:
        return HF_INFLATE_BAD;
    }
}

/* At most PIECE_MAX bytes. */
static enum hf_inflate inflate_all(struct hf_inflater *i, struct hf_slice bytes, int flush,
                                   size_t max, struct hf_buffer *out)
{
    bool more = bytes.len > 0;
    enum hf_inflate result = HF_INFLATE_OK;
    i->z.next_in = (uint8_t *)(uintptr_t)bytes.ptr; /* zlib does not write there. */
    i->z.avail_in = (unsigned)bytes.len;
    while (more && result == HF_INFLATE_OK) {
        result = inflate_once(i, flush, max, out, &more);
    }
    return result;
}

enum hf_inflate hf_inflater_add(struct hf_inflater *i, struct hf_slice bytes, size_t max,
                                struct hf_buffer *out)
{
    enum hf_inflate result = HF_INFLATE_OK;
    while (bytes.len > 0 && result == HF_INFLATE_OK) {
        const struct hf_slice piece = hf_slice_first(bytes, PIECE_MAX);
        bytes = hf_slice_from(bytes, piece.len);
        result = inflate_all(i, piece, Z_SYNC_FLUSH, max, out);
    }
    return result;
}

enum hf_inflate hf_inflater_end(struct hf_inflater *i, size_t max, struct hf_buffer *out)
{
    /* A block with BFINAL that ends with the payload leaves the tail (RFC 7692 7.2.2) nothing to
     * complete. */
    if (!i->ended) {
        const struct hf_slice rest = hf_slice(tail, sizeof(tail));
        const enum hf_inflate result = inflate_all(i, rest, Z_BLOCK, max, out);
        if (result != HF_INFLATE_OK) {
            return result;
        }
        /* zlib.h, inflate: 128 says that it stands right behind a block; the low bits count unused
         * bits. */
        if (!i->ended && ((i->z.data_type & 128) == 0 || (i->z.data_type & 7) != 0)) {
            return HF_INFLATE_BAD;
        }
    }
    if (i->no_context_takeover) {
        (void)inflateReset(&i->z); /* RFC 7692 7.1.1 */
        i->ended = false;
    }
    return HF_INFLATE_OK;
}
