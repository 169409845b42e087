/* SPDX-License-Identifier: Apache-2.0 */
/* Journals. The input is a list of operations, each a byte and what it needs; they are done to a
 * journal and to a plain array, which must agree after each: records, counts, cost, and where three
 * cursors stand. Allocations fail when an operation says so. */
#include "fuzz.h"
#include "session/journal.h"

#define RECORDS_MAX 4096
#define CURSORS 3
#define BYTES_MAX 70000

/* Of record n at n - 1: its payload is len times the byte fill. */
static struct model_record {
    uint32_t len;
    uint8_t opcode;
    uint8_t fill;
} model[RECORDS_MAX];

static struct world {
    struct hf_journal j;
    struct hf_journal_cursor at[CURSORS];
    uint64_t place[CURSORS]; /* the number that each cursor has read last, as the model has it */
    uint64_t base, end, cost;
    size_t owned; /* bytes that the allocator has given */
    bool fails;
} w;

/* The size stands in front of each block. */
static void *resize(void *context, void *ptr, size_t size)
{
    size_t *block = ptr == NULL ? NULL : (size_t *)ptr - 2;

    if (size == 0) {
        if (block != NULL) {
            w.owned -= *block;
            free(block);
        }
        return NULL;
    }
    HF_ASSERT(ptr == NULL); /* no block ever moves */
    block = w.fails ? NULL : malloc(2 * sizeof(size_t) + size);
    if (block == NULL) {
        return NULL;
    }
    *block = size;
    w.owned += size;
    return block + 2;
}

static const struct hf_allocator counting = {resize, NULL};

static void check_counts(void)
{
    HF_ASSERT(w.j.base == w.base && w.j.end == w.end && w.j.cost == w.cost);
    HF_ASSERT(w.j.bytes == w.owned);
    HF_ASSERT((w.base == w.end) == (w.owned == 0));
    HF_ASSERT(w.owned <= 2 * w.cost + 2 * 4096 + 4096);
}

static void do_add(struct hf_slice *rest)
{
    static uint8_t bytes[BYTES_MAX];
    const uint8_t kind = take_byte(rest);
    size_t len = take_byte(rest);
    struct hf_slice parts[3];
    enum hf_status status;

    if (w.end == RECORDS_MAX) {
        return;
    }
    /* Most are small, a few are as large as a message may be. */
    len *= (kind & 0x1f) == 0x1f ? 257 : (kind & 3) == 1 ? 4 : (kind & 3) == 2 ? 17 : 1;
    memset(bytes, kind, len);
    parts[0] = hf_slice(bytes, len / 3);
    parts[1] = hf_slice(bytes, 0);
    parts[2] = hf_slice(bytes, len - len / 3);
    w.fails = (kind & 0x80) != 0;
    status = hf_journal_add(&w.j, &counting, 1 + (kind >> 2 & 1), parts, 3);
    HF_ASSERT(status == HF_OK || w.fails);
    w.fails = false;
    if (status == HF_OK) {
        model[w.end++] = (struct model_record){(uint32_t)len, 1 + (kind >> 2 & 1), kind};
        w.cost += len + 16;
    }
}

static void do_drop(uint64_t count)
{
    const uint64_t held = w.end - w.base;

    count = held == 0 ? 0 : count % (held + 1);
    for (uint64_t i = 0; i < count; i++) {
        w.cost -= model[w.base++].len + 16;
    }
    hf_journal_drop(&w.j, &counting, w.base);
    for (size_t i = 0; i < CURSORS; i++) {
        w.place[i] = w.place[i] < w.base ? w.base : w.place[i];
    }
}

static void do_next(size_t which, size_t count)
{
    for (; count > 0; count--) {
        struct hf_record record;
        const struct model_record *wanted = &model[w.place[which]];

        if (!hf_journal_next(&w.j, &w.at[which], &record)) {
            HF_ASSERT(w.place[which] == w.end);
            return;
        }
        w.place[which]++;
        HF_ASSERT(record.number == w.place[which] && record.number <= w.end);
        HF_ASSERT(record.opcode == wanted->opcode && record.payload.len == wanted->len);
        /* All bytes are `fill`: the first one is, and each is like the one before it. */
        HF_ASSERT(record.payload.len == 0 || record.payload.ptr[0] == wanted->fill);
        HF_ASSERT(record.payload.len == 0 ||
                  memcmp(record.payload.ptr, record.payload.ptr + 1, record.payload.len - 1) == 0);
    }
}

static void do_seek(size_t which, uint64_t n)
{
    w.place[which] = w.base + n % (w.end - w.base + 1);
    hf_journal_seek(&w.j, &w.at[which], w.place[which]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_slice rest = hf_slice(data, size);

    w = (struct world){.base = 0};
    hf_journal_init(&w.j, 0);
    for (size_t i = 0; i < CURSORS; i++) {
        do_seek(i, 0);
    }
    while (rest.len > 0) {
        const uint8_t operation = take_byte(&rest);
        const size_t which = (operation >> 3) % CURSORS;

        switch (operation & 7) {
        case 0:
            do_drop(take_byte(&rest));
            break;
        case 1:
            do_next(which, take_byte(&rest));
            break;
        case 2:
            do_seek(which, take_byte(&rest));
            break;
        case 3:
            do_drop(w.end - w.base);
            break;
        default:
            do_add(&rest);
            break;
        }
        check_counts();
    }
    for (size_t i = 0; i < CURSORS; i++) {
        do_next(i, RECORDS_MAX);
    }
    do_seek(0, 0);
    do_next(0, RECORDS_MAX);
    hf_journal_fini(&w.j, &counting);
    HF_ASSERT(w.owned == 0 && w.j.base == w.end);
    return 0;
}
