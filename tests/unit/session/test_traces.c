/* SPDX-License-Identifier: Apache-2.0 */
/* The form of tests/vectors/sessions.json: every step is one that README.md there names, what the
 * gateway says in it can be read, and what the library says and offers can be too. Whether a
 * library does as the traces say is for its own runner. */
#include "session/control.h"
#include "session/offer.h"

#include "test_unit.h"
#include "vectors.h"

static const char *name;

static void one_of(const json_t *object, const char *keys)
{
    vector_knows(object, keys);
    if (json_object_size(object) != 1) {
        fail_msg("%s: a step does not say one thing: %s", name, json_dumps(object, 0));
    }
}

/* new_session is set when it is a hello that begins one. */
static bool is_readable(const json_t *bytes, bool *new_session)
{
    struct hf_slice text = vector_bytes(bytes);
    struct hf_buffer room;
    struct hf_control c;
    hf_buffer_init(&room, &hf_heap, HF_CONTROL_AUTH_MAX);
    const bool readable = hf_control_read(text, &room, &c) == NULL;
    *new_session = readable && c.verb == HF_VERB_HELLO && c.resumed == 0;
    hf_buffer_reset(&room);
    vector_free(text);
    return readable;
}

/* An offer with every {name} replaced by a secret. Returns the attempt of a resume, else 0. */
static uint64_t check_offers(const json_t *protocols)
{
    struct hf_offer offer = {0};
    char text[512];
    for (size_t i = 0; i < json_array_size(protocols); i++) {
        const char *member = json_string_value(json_array_get(protocols, i));
        const char *open = strchr(member, '{');
        if (open == NULL) {
            (void)hf_offer_member(&offer, hf_slice_of(member));
            continue;
        }
        (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(open - member), member,
                       "AAECAwQFBgcICQoLDA0ODw", strchr(open, '}') + 1);
        (void)hf_offer_member(&offer, hf_slice_of(text));
    }
    hf_offer_finish(&offer);
    if (offer.kind != HF_OFFER_OPEN && offer.kind != HF_OFFER_RESUME) {
        fail_msg("%s: no offer: %s", name, offer.why);
    }
    return offer.kind == HF_OFFER_RESUME ? offer.attempt : 0;
}

static void check_message(const json_t *message, const char *kinds)
{
    const char *key;
    json_t *value;
    one_of(message, kinds);
    json_object_foreach((json_t *)(uintptr_t)message, key, value)
    {
        if (strcmp(key, "close") == 0) {
            vector_knows(value, "code reason");
        } else {
            vector_free(vector_bytes(value));
        }
    }
}

static void check_event(const json_t *event)
{
    const json_t *messages = json_object_get(json_object_get(event, "lost"), "messages");
    one_of(event, "open message reconnecting resumed rebound lost close");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        check_message(json_array_get(messages, i), "text binary");
    }
    if (json_object_get(event, "message") != NULL) {
        check_message(json_object_get(event, "message"), "text binary");
    }
    if (json_object_get(event, "lost") != NULL) {
        vector_knows(json_object_get(event, "lost"), "reason acked sent old_received messages");
    }
    if (json_object_get(event, "close") != NULL) {
        vector_knows(json_object_get(event, "close"), "code reason end http");
    }
}

static void check_expectation(const json_t *expect, uint64_t *attempt)
{
    const json_t *send = json_object_get(expect, "send");
    one_of(expect, "connect send close app");
    if (json_object_get(expect, "connect") != NULL) {
        const uint64_t n =
            check_offers(vector_get(json_object_get(expect, "connect"), "protocols"));
        if (n > 0 && n <= *attempt) {
            fail_msg("%s: attempt %d does not grow", name, (int)n);
        }
        *attempt = n;
    } else if (send != NULL) {
        check_message(send, "text binary control");
        const json_t *control = json_object_get(send, "control");
        bool unused;
        if (control != NULL && !is_readable(control, &unused)) {
            fail_msg("%s: the library would send what cannot be read", name);
        }
    } else if (json_object_get(expect, "close") != NULL) {
        vector_knows(json_object_get(expect, "close"), "code reason");
    } else {
        check_event(json_object_get(expect, "app"));
    }
}

/* What comes must be readable, unless the next thing is that the library gives the connection up.
 * Attempts begin anew with a session. */
static void check_receive(const json_t *receive, const json_t *next, uint64_t *attempt)
{
    const json_t *control = json_object_get(receive, "control");
    const json_t *close = json_object_get(json_object_get(next, "expect"), "close");
    check_message(receive, "text binary control close");
    bool new_session = false;
    if (control != NULL && !is_readable(control, &new_session)) {
        if (close == NULL || vector_number(close, "code") != 4499) {
            fail_msg("%s: what cannot be read is not answered with 4499: %s", name,
                     json_dumps(control, JSON_ENCODE_ANY));
        }
    }
    *attempt = new_session ? 0 : *attempt;
}

static void check_step(const json_t *step, const json_t *next, uint64_t *attempt)
{
    const json_t *after = json_object_get(step, "after");
    vector_knows(step, "open fail receive lost app wait sleep expect after");
    assert_int_equal(json_object_size(step), after == NULL ? 1 : 2);
    if (after != NULL) {
        assert_non_null(json_object_get(step, "expect"));
        assert_int_equal(json_array_size(after), 2);
        assert_true(json_integer_value(json_array_get(after, 0)) <=
                    json_integer_value(json_array_get(after, 1)));
    }
    if (json_object_get(step, "expect") != NULL) {
        check_expectation(json_object_get(step, "expect"), attempt);
    } else if (json_object_get(step, "receive") != NULL) {
        check_receive(json_object_get(step, "receive"), next, attempt);
    } else if (json_object_get(step, "app") != NULL) {
        vector_knows(json_object_get(step, "app"), "send refused close");
    } else if (json_object_get(step, "wait") != NULL) {
        assert_true(vector_number(step, "wait") > 0);
    }
}

static void every_trace_is_written_as_the_readme_says(void **state)
{
    json_t *file = vectors_load("sessions.json");
    json_t *list = vectors_list(file, "cases");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *test = json_array_get(list, i);
        const json_t *steps = vectors_list((json_t *)(uintptr_t)test, "steps");
        uint64_t attempt = 0;
        name = vector_text(test, "name");
        vector_knows(test, "name options steps");
        vector_knows(vector_get(test, "options"), "protocols");
        for (size_t k = 0; k < json_array_size(steps); k++) {
            check_step(json_array_get(steps, k), json_array_get(steps, k + 1), &attempt);
        }
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(name, vector_text(json_array_get(list, k), "name"));
        }
    }
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_trace_is_written_as_the_readme_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
