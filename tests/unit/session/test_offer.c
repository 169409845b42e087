/* SPDX-License-Identifier: Apache-2.0 */
/* Offers, tokens and keys (docs/protocol.md sections 3 and 4), by tests/vectors/offers.json. */
#include "session/offer.h"

#include "test_unit.h"
#include "vectors.h"

static const char *const kinds[] = {
    [HF_OFFER_NONE] = "none",     [HF_OFFER_BARE] = "bare", [HF_OFFER_OPEN] = "open",
    [HF_OFFER_RESUME] = "resume", [HF_OFFER_BAD] = "bad",
};

static void each_case(const char *list_name, void (*check)(const json_t *test))
{
    json_t *file = vectors_load("offers.json");
    json_t *list = vectors_list(file, list_name);
    vector_knows(file, "about offers writes tokens keys");
    for (size_t i = 0; i < json_array_size(list); i++) {
        check(json_array_get(list, i));
    }
    json_decref(file);
}

static bool says(const struct hf_offer *offer, const json_t *wanted)
{
    if (strcmp(vector_text(wanted, "kind"), kinds[offer->kind]) != 0 ||
        (offer->kind == HF_OFFER_BAD) != (offer->why != NULL)) {
        print_error("it is %s: %s\n", kinds[offer->kind], offer->why);
        return false;
    }
    if (offer->kind == HF_OFFER_OPEN) {
        return vector_equals(vector_get(wanted, "secret"),
                             hf_slice(offer->open_secret, offer->open_secret_len));
    }
    return offer->kind != HF_OFFER_RESUME ||
           (vector_equals(vector_get(wanted, "token"), offer->token) &&
            offer->epoch == vector_number(wanted, "epoch") &&
            offer->received == vector_number(wanted, "received") &&
            offer->attempt == vector_number(wanted, "attempt"));
}

static void check_offer(const json_t *test)
{
    const json_t *members = vector_get(test, "members");
    const json_t *backend = vector_get(test, "backend");
    struct hf_offer offer = {0};
    struct hf_slice bytes[16];
    size_t passed = 0;
    const size_t count = json_array_size(members);
    vector_knows(test, "name members offer backend");
    vector_knows(vector_get(test, "offer"), "kind secret token epoch received attempt");
    assert_in_range(count, 0, 16);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = vector_bytes(json_array_get(members, i));
        if (!hf_offer_member(&offer, bytes[i])) {
            assert_true(vector_equals(json_array_get(backend, passed++), bytes[i]));
        }
    }
    hf_offer_finish(&offer);
    if (!says(&offer, vector_get(test, "offer")) || passed != json_array_size(backend)) {
        fail_msg("read otherwise: %s", vector_text(test, "name"));
    }
    for (size_t i = 0; i < count; i++) {
        vector_free(bytes[i]);
    }
}

static void offers_are_read_and_kept_from_the_backend_as_the_vectors_say(void **state)
{
    each_case("offers", check_offer);
}

static void check_written(const json_t *test)
{
    const json_t *resume = json_object_get(test, "resume");
    struct hf_slice borrowed =
        vector_bytes(resume != NULL ? vector_get(resume, "token") : vector_get(test, "open"));
    struct hf_buffer out;
    vector_knows(test, "name member open resume");
    hf_buffer_init(&out, &hf_heap, 4096);
    if (resume != NULL) {
        hf_offer_write_resume(&out, borrowed, vector_number(resume, "epoch"),
                              vector_number(resume, "received"), vector_number(resume, "attempt"));
    } else {
        hf_offer_write_open(&out, borrowed);
    }
    if (out.failed || !vector_equals(vector_get(test, "member"), hf_buffer_slice(&out))) {
        fail_msg("written otherwise: %s", vector_text(test, "name"));
    }
    hf_buffer_reset(&out);
    vector_free(borrowed);
}

static void offers_are_written_as_the_vectors_say(void **state)
{
    each_case("writes", check_written);
}

/* is_key: of keys, which have no generation. */
static bool has_fields(const struct hf_token *t, const json_t *fields, bool is_key)
{
    char id[17];
    (void)snprintf(id, sizeof(id), "%016llx", (unsigned long long)t->id);
    vector_knows(fields,
                 is_key ? "node boot worker id secret" : "node boot worker id generation secret");
    return t->node == vector_number(fields, "node") && t->boot == vector_number(fields, "boot") &&
           t->worker == vector_number(fields, "worker") &&
           strcmp(id, vector_text(fields, "id")) == 0 &&
           t->generation == (is_key ? 0 : vector_number(fields, "generation")) &&
           vector_equals(vector_get(fields, "secret"), hf_slice(t->secret, sizeof(t->secret)));
}

static void check_token(const json_t *test)
{
    struct hf_token token;
    char again[HF_TOKEN_CHARS];
    struct hf_slice text = vector_bytes(vector_get(test, "text"));
    const json_t *fields = vector_get(test, "fields");
    vector_knows(test, "name text fields");
    if (hf_token_read(text, &token) != json_is_object(fields) ||
        (json_is_object(fields) && !has_fields(&token, fields, false))) {
        fail_msg("a token read otherwise: %s", vector_text(test, "name"));
    }
    if (json_is_object(fields)) {
        hf_token_write(&token, again);
        assert_true(hf_slice_eq(hf_slice(again, sizeof(again)), text));
    }
    vector_free(text);
}

static void check_key(const json_t *test)
{
    struct hf_token key;
    char again[HF_KEY_CHARS];
    struct hf_slice text = vector_bytes(vector_get(test, "text"));
    const json_t *fields = vector_get(test, "fields");
    vector_knows(test, "name text fields");
    if (hf_key_read(text, &key) != json_is_object(fields) ||
        (json_is_object(fields) && !has_fields(&key, fields, true))) {
        fail_msg("a key read otherwise: %s", vector_text(test, "name"));
    }
    if (json_is_object(fields)) {
        hf_key_write(&key, again);
        assert_true(hf_slice_eq(hf_slice(again, sizeof(again)), text));
    }
    vector_free(text);
}

static void tokens_are_read_and_written_as_the_vectors_say(void **state)
{
    each_case("tokens", check_token);
}

static void keys_are_read_and_written_as_the_vectors_say(void **state)
{
    each_case("keys", check_key);
}

static void every_beginning_of_an_offer_is_bad_or_ignored_until_it_is_whole(void **state)
{
    static const char whole[] = "hf1.r.tok_-en.7.12.3";
    for (size_t len = 0; len < sizeof(whole); len++) {
        struct hf_offer offer = {0};
        char *part = malloc(len == 0 ? 1 : len);
        memcpy(part, whole, len);
        const bool ours = hf_offer_member(&offer, hf_slice(part, len));
        assert_int_equal(ours, len >= 3 + (len != 3));
        assert_int_equal(offer.kind, len < 3                   ? HF_OFFER_NONE
                                     : len == 3                ? HF_OFFER_BARE
                                     : len < 6                 ? HF_OFFER_NONE
                                     : len < sizeof(whole) - 1 ? HF_OFFER_BAD
                                                               : HF_OFFER_RESUME);
        free(part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_are_read_and_kept_from_the_backend_as_the_vectors_say),
        cmocka_unit_test(offers_are_written_as_the_vectors_say),
        cmocka_unit_test(tokens_are_read_and_written_as_the_vectors_say),
        cmocka_unit_test(keys_are_read_and_written_as_the_vectors_say),
        cmocka_unit_test(every_beginning_of_an_offer_is_bad_or_ignored_until_it_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
