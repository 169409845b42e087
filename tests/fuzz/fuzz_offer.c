/* SPDX-License-Identifier: Apache-2.0 */
/* Offers among subprotocols, tokens and keys. Each line of the input is a member of the list. What
 * is hf1's begins like it; an opening and a resume are written again byte for byte, and so are a
 * token and a key. */
#include "fuzz.h"
#include "session/control.h"
#include "session/offer.h"

static void check_token(struct hf_slice text)
{
    struct hf_token token;
    char again[HF_TOKEN_CHARS];

    if (hf_token_read(text, &token)) {
        hf_token_write(&token, again);
        HF_ASSERT(hf_slice_eq(hf_slice(again, HF_TOKEN_CHARS), text));
    }
    if (hf_key_read(text, &token)) {
        HF_ASSERT(token.generation == 0);
        hf_key_write(&token, again);
        HF_ASSERT(hf_slice_eq(hf_slice(again, HF_KEY_CHARS), text));
    }
}

static void check_again(const struct hf_offer *offer)
{
    struct hf_buffer out;
    struct hf_offer again = {0};

    hf_buffer_init(&out, &hf_heap, 4096);
    if (offer->kind == HF_OFFER_OPEN) {
        HF_ASSERT(offer->open_secret_len >= 16 && offer->open_secret_len <= HF_OPEN_SECRET_MAX);
        hf_offer_write_open(&out, hf_slice(offer->open_secret, offer->open_secret_len));
    } else {
        HF_ASSERT(offer->attempt > 0 && offer->attempt < HF_COUNT_MAX);
        HF_ASSERT(offer->epoch < HF_COUNT_MAX && offer->received < HF_COUNT_MAX);
        hf_offer_write_resume(&out, offer->token, offer->epoch, offer->received, offer->attempt);
        check_token(offer->token);
    }
    HF_ASSERT(hf_offer_member(&again, hf_buffer_slice(&out)));
    HF_ASSERT(hf_offer_member(&again, HF_LITERAL("hf1")));
    hf_offer_finish(&again);
    HF_ASSERT(again.kind == offer->kind && again.epoch == offer->epoch);
    HF_ASSERT(again.received == offer->received && again.attempt == offer->attempt);
    HF_ASSERT(hf_slice_eq(again.token, offer->token));
    HF_ASSERT(memcmp(again.open_secret, offer->open_secret, HF_OPEN_SECRET_MAX) == 0);
    hf_buffer_reset(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_slice copy = exact(hf_slice(data, size));
    struct hf_slice rest = copy;
    struct hf_slice line;
    struct hf_offer offer = {0};
    bool bad = false;

    while (hf_slice_next(&rest, '\n', &line)) {
        bool ours = hf_offer_member(&offer, line);

        HF_ASSERT(ours == (hf_slice_eq(line, HF_LITERAL("hf1")) ||
                           hf_slice_starts(line, HF_LITERAL("hf1."))));
        HF_ASSERT(!bad || offer.kind == HF_OFFER_BAD);
        bad = offer.kind == HF_OFFER_BAD;
        check_token(line);
    }
    hf_offer_finish(&offer);
    HF_ASSERT((offer.kind == HF_OFFER_BAD) == (offer.why != NULL));
    HF_ASSERT(offer.kind <= HF_OFFER_NONE || offer.bare || offer.kind == HF_OFFER_BAD);
    if (offer.kind == HF_OFFER_OPEN || offer.kind == HF_OFFER_RESUME) {
        check_again(&offer);
    }
    exact_free(copy);
    return 0;
}
