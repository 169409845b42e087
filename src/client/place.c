/* SPDX-License-Identifier: Apache-2.0 */
/* Places: see place.h. */
#include "client/place.h"

#include "base/alloc.h"

#include <stdlib.h>

#define FAILURES_MAX 3 /* more do not make a place worse */

void hf_places_init(struct hf_places *places)
{
    hf_list_init(&places->list);
    places->count = 0;
}

static void place_free(struct hf_places *places, struct hf_place *place)
{
    hf_list_remove(&place->node);
    free(place->origin);
    free(place);
    places->count--;
}

void hf_places_fini(struct hf_places *places)
{
    while (!hf_list_empty(&places->list)) {
        place_free(places, HF_CONTAINER(places->list.next, struct hf_place, node));
    }
}

static struct hf_place *place_make(struct hf_places *places, struct hf_slice origin)
{
    struct hf_place *place = calloc(1, sizeof(*place));
    char *text = hf_alloc_text(&hf_heap, origin);
    if (place == NULL || text == NULL) {
        free(place);
        free(text);
        return NULL;
    }
    if (places->count == HF_PLACES_MAX) {
        place_free(places, HF_CONTAINER(places->list.next, struct hf_place, node));
    }
    place->origin = text;
    place->lives = HF_PLACE_UNKNOWN;
    hf_list_append(&places->list, &place->node);
    places->count++;
    return place;
}

struct hf_place *hf_places_find(struct hf_places *places, struct hf_slice origin)
{
    /* From the newest on. */
    for (struct hf_list *node = places->list.prev; node != &places->list; node = node->prev) {
        struct hf_place *place = HF_CONTAINER(node, struct hf_place, node);
        if (hf_slice_eq(hf_slice_of(place->origin), origin)) {
            hf_list_remove(&place->node);
            hf_list_append(&places->list, &place->node);
            return place;
        }
    }
    return place_make(places, origin);
}

bool hf_place_is_better(const struct hf_place *a, const struct hf_place *b)
{
    const unsigned failed_a = a->failures < FAILURES_MAX ? a->failures : FAILURES_MAX;
    const unsigned failed_b = b->failures < FAILURES_MAX ? b->failures : FAILURES_MAX;
    return failed_a != failed_b ? failed_a < failed_b : a->lives > b->lives;
}

void hf_place_lived(struct hf_place *place, hf_time life)
{
    place->lives += (life - place->lives) / 4;
}
