/* SPDX-License-Identifier: Apache-2.0 */
/* What a loop remembers of the places that its clients connect to: whether a gateway answers there,
 * and how long connections live. */
#ifndef HF_CLIENT_PLACE_H
#define HF_CLIENT_PLACE_H

#include "base/list.h"
#include "base/slice.h"
#include "base/time.h"

#define HF_PLACES_MAX 256
/* What a connection to a place that was never tried is expected to live for. */
#define HF_PLACE_UNKNOWN HF_SECONDS(60)
/* How long it is remembered that a place wants no offers of hf1. */
#define HF_PLACE_PLAIN HF_SECONDS(600)

struct hf_place {
    struct hf_list node;
    char *origin;       /* "wss://host:443" */
    bool hello;         /* a gateway answered */
    hf_time plain_till; /* offers of hf1 are left out; 0: no */
    hf_time lives;      /* how long connections live, a moving mean */
    unsigned failures;  /* attempts that failed since the last that did not */
};

struct hf_places {
    struct hf_list list;
    size_t count;
};

void hf_places_init(struct hf_places *places);
void hf_places_fini(struct hf_places *places);
/* Finds or makes; the one that was not asked for the longest goes when there are too many. NULL: no
 * memory. */
struct hf_place *hf_places_find(struct hf_places *places, struct hf_slice origin);
/* The better of two: fewer failures in a row first, then the longer life. */
bool hf_place_is_better(const struct hf_place *a, const struct hf_place *b);
/* A connection that stood came to its end by itself. */
void hf_place_lived(struct hf_place *place, hf_time life);

#endif
