/* SPDX-License-Identifier: Apache-2.0 */
/* Records in blocks. A block is a head and then records without gaps:
 *
 *   opcode (1) | length of the payload (4, the machine's order) | payload
 *
 * A small record goes to the last block when there is room, else to a new one: the first has
 * BLOCK_MIN bytes, each next one twice as many up to BLOCK_MAX. A record that would fill much of
 * such a block gets one of its very size, and small ones behind it begin with BLOCK_MIN again. No
 * block ever moves, and one without a record is freed at once. */
#include "session/journal.h"

#define HEAD 5           /* bytes in front of a payload */
#define BLOCK_MIN 112    /* bytes of memory, the block's head counted */
#define BLOCK_MAX 4096   /* the same */
#define RECORD_LARGE 800 /* bytes from which a record that finds no room has its own block */
#define PARTS_MAX 4

struct hf_journal_block {
    struct hf_journal_block *next;
    uint32_t cap;   /* bytes of data */
    uint32_t begin; /* of the first record that is held */
    uint32_t end;   /* behind the last one */
    bool own;       /* made for one large record */
    uint8_t data[];
};
#define BLOCK_HEAD offsetof(struct hf_journal_block, data)

void hf_journal_init(struct hf_journal *j, uint64_t count)
{
    *j = (struct hf_journal){.base = count, .end = count};
}

static void free_first(struct hf_journal *j, const struct hf_allocator *alloc)
{
    struct hf_journal_block *block = j->first;
    j->first = block->next;
    j->bytes -= BLOCK_HEAD + block->cap;
    hf_release(alloc, block);
}

void hf_journal_fini(struct hf_journal *j, const struct hf_allocator *alloc)
{
    while (j->first != NULL) {
        free_first(j, alloc);
    }
    hf_journal_init(j, j->end);
}

static struct hf_journal_block *add_block(struct hf_journal *j, const struct hf_allocator *alloc,
                                          size_t record)
{
    const bool own = record >= RECORD_LARGE;
    size_t size = BLOCK_MIN;
    if (own) {
        size = BLOCK_HEAD + record;
    } else if (j->last != NULL && !j->last->own) {
        size = 2 * (BLOCK_HEAD + j->last->cap);
    }
    while (size < BLOCK_HEAD + record) {
        size *= 2;
    }
    if (!own && size > BLOCK_MAX) {
        size = BLOCK_MAX;
    }
    struct hf_journal_block *block = hf_alloc(alloc, size);
    if (block == NULL) {
        return NULL;
    }
    *block = (struct hf_journal_block){.cap = (uint32_t)(size - BLOCK_HEAD), .own = own};
    if (j->last == NULL) {
        j->first = block;
    } else {
        j->last->next = block;
    }
    j->last = block;
    j->bytes += size;
    return block;
}

enum hf_status hf_journal_add(struct hf_journal *j, const struct hf_allocator *alloc,
                              uint8_t opcode, const struct hf_slice *parts, size_t count)
{
    size_t len = 0;
    HF_ASSERT(count >= 1 && count <= PARTS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > UINT32_MAX / 2 - len) {
            return HF_NO_MEMORY;
        }
        len += parts[i].len;
    }
    struct hf_journal_block *block = j->last;
    if (block == NULL || block->cap - block->end < HEAD + len) {
        block = add_block(j, alloc, HEAD + len);
        if (block == NULL) {
            return HF_NO_MEMORY;
        }
    }
    uint8_t *at = block->data + block->end;
    const uint32_t length = (uint32_t)len;
    at[0] = opcode;
    memcpy(at + 1, &length, sizeof(length));
    at += HEAD;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0) {
            memcpy(at, parts[i].ptr, parts[i].len);
            at += parts[i].len;
        }
    }
    block->end += HEAD + length;
    j->end++;
    j->cost += hf_record_cost(len);
    return HF_OK;
}

static uint32_t length_at(const struct hf_journal_block *block, uint32_t offset)
{
    uint32_t length;
    memcpy(&length, block->data + offset + 1, sizeof(length));
    return length;
}

void hf_journal_drop(struct hf_journal *j, const struct hf_allocator *alloc, uint64_t n)
{
    HF_ASSERT(n >= j->base && n <= j->end);
    if (n == j->end) {
        hf_journal_fini(j, alloc);
        return;
    }
    while (j->base < n) {
        struct hf_journal_block *block = j->first;
        const uint32_t length = length_at(block, block->begin);
        block->begin += HEAD + length;
        j->base++;
        j->cost -= hf_record_cost(length);
        if (block->begin == block->end) {
            free_first(j, alloc);
        }
    }
}

/* A cursor behind record number > base is in the block of that record, which is alive as long as
 * the record is held; one at the base or before it is at the first record, whatever its block was.
 */
static void settle(const struct hf_journal *j, struct hf_journal_cursor *at)
{
    if (at->number <= j->base) {
        at->number = j->base;
        at->block = j->first;
        at->offset = j->first == NULL ? 0 : j->first->begin;
    }
}

bool hf_journal_next(const struct hf_journal *j, struct hf_journal_cursor *at,
                     struct hf_record *record)
{
    HF_ASSERT(at->number <= j->end);
    settle(j, at);
    if (at->number == j->end) {
        return false;
    }
    if (at->offset == at->block->end) {
        at->block = at->block->next;
        at->offset = at->block->begin;
    }
    const uint8_t *head = at->block->data + at->offset;
    const uint32_t length = length_at(at->block, at->offset);
    at->number++;
    at->offset += HEAD + length;
    *record = (struct hf_record){at->number, head[0], hf_slice(head + HEAD, length)};
    return true;
}

void hf_journal_seek(const struct hf_journal *j, struct hf_journal_cursor *at, uint64_t n)
{
    struct hf_record record;
    HF_ASSERT(n >= j->base && n <= j->end);
    *at = (struct hf_journal_cursor){.number = j->base};
    while (at->number < n) {
        (void)hf_journal_next(j, at, &record);
    }
    settle(j, at);
}
