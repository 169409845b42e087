/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive doubly linked list. A node is on one list or on none; a node on none points to itself.
 * Which list an object is on is its state, so membership is never kept in a flag beside it. */
#ifndef HF_BASE_LIST_H
#define HF_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct hf_list {
    struct hf_list *next;
    struct hf_list *prev;
};

#define HF_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void hf_list_init(struct hf_list *node)
{
    node->next = node;
    node->prev = node;
}
static inline bool hf_list_empty(const struct hf_list *head)
{
    return head->next == head;
}
/* The node must be on no list. */
static inline void hf_list_append(struct hf_list *head, struct hf_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}
/* Does nothing for a node that is on no list. */
static inline void hf_list_remove(struct hf_list *node)
{
    node->next->prev = node->prev;
    node->prev->next = node->next;
    hf_list_init(node);
}
/* Moves all nodes of `from` to the end of `to`. */
static inline void hf_list_splice(struct hf_list *to, struct hf_list *from)
{
    if (!hf_list_empty(from)) {
        from->next->prev = to->prev;
        from->prev->next = to;
        to->prev->next = from->next;
        to->prev = from->prev;
        hf_list_init(from);
    }
}

#endif
