/* SPDX-License-Identifier: Apache-2.0 */
/* What refused handshakes are said to mean, and what is left of a page. */
#include "probe/refusal.h"

#include "test_unit.h"

static void means(const char *url, const char *answer, const char *wanted)
{
    struct hf_target target;
    struct hf_buffer out;
    struct hf_head head;
    const char *fault;
    const struct hf_slice all = hf_slice_of(answer);
    hf_target_init(&target);
    hf_buffer_init(&out, &hf_heap, 4096);
    assert_true(hf_url_parse(hf_slice_of(url), &target.url, &fault));
    assert_int_equal(hf_response_read(all, 65536, &head, &fault), HF_HEAD_READ);
    hf_refusal_explain(&target, &head, hf_slice_from(all, head.size), &out);
    hf_buffer_add_byte(&out, 0);
    if (strstr((const char *)out.data, wanted) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", wanted, (const char *)out.data);
    }
    hf_buffer_reset(&out);
}

static void each_status_has_a_meaning_and_the_ones_with_several_look_closer(void **state)
{
    static const struct {
        const char *url, *answer, *wanted;
    } rows[] = {
        {"ws://h/", "HTTP/1.1 403 F\r\n\r\nOrigin not allowed", "speaks of the origin"},
        {"ws://h/", "HTTP/1.1 403 F\r\n\r\n", "--origin http://h"},
        {"wss://h/", "HTTP/1.1 403 F\r\n\r\n", "--origin https://h"},
        {"ws://h/", "HTTP/1.1 403 F\r\ncf-mitigated: challenge\r\n\r\n", "challenge"},
        {"ws://h/", "HTTP/1.1 301 M\r\nLocation: https://h/\r\n\r\n", "use wss:"},
        {"wss://h/ws", "HTTP/1.1 301 M\r\nLocation: https://h/ws/\r\n\r\n", "adds a slash"},
        {"wss://h/", "HTTP/1.1 302 M\r\nLocation: /accounts/login/?next=/\r\n\r\n", "login page"},
        {"wss://h/", "HTTP/1.1 302 M\r\n\r\n", "without a Location"},
        {"ws://h/", "HTTP/1.1 400 B\r\n\r\nsent to HTTPS port", "use wss:"},
        {"ws://h/", "HTTP/1.1 400 B\r\n\r\nCan \"Upgrade\" only to \"WebSocket\"", "drops Upgrade"},
        {"ws://h/", "HTTP/1.1 200 O\r\nContent-Type: text/html\r\n\r\n<h1>Hi</h1>",
         "ordinary page"},
        {"ws://h/", "HTTP/1.1 200 O\r\n\r\n<html>Please log in</html>", "login page"},
        {"ws://h/", "HTTP/1.1 204 O\r\n\r\n", "ordinary HTTP answer"},
        {"ws://h/", "HTTP/1.1 426 U\r\n\r\n", "plain HTTP"},
        {"ws://h/", "HTTP/1.1 522 X\r\n\r\n", "CDN"},
        {"ws://h/", "HTTP/1.1 599 X\r\n\r\n", "log has"},
        {"ws://h/", "HTTP/1.1 418 X\r\n\r\n", "does not accept"},
        {"ws://h/", "HTTP/1.1 101 S\r\n\r\n", "does not belong"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        means(rows[i].url, rows[i].answer, rows[i].wanted);
    }
}

static void fails_as(const char *url, enum hf_trial_how how, enum hf_trial_phase phase,
                     const char *reason, const char *wanted)
{
    struct hf_target target;
    struct hf_buffer out;
    struct hf_trial trial = {.end = {.how = how, .phase = phase}};
    const char *fault;
    hf_target_init(&target);
    hf_buffer_init(&out, &hf_heap, 4096);
    assert_true(hf_url_parse(hf_slice_of(url), &target.url, &fault));
    (void)snprintf(trial.end.reason, sizeof(trial.end.reason), "%s", reason);
    hf_failure_explain(&target, &trial, &out);
    hf_buffer_add_byte(&out, 0);
    if (*wanted == '\0' ? out.len > 1 : strstr((const char *)out.data, wanted) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", wanted, (const char *)out.data);
    }
    hf_buffer_reset(&out);
}

static void what_fails_without_an_answer_is_explained_as_far_as_it_tells(void **state)
{
    fails_as("wss://h/", HF_HOW_TLS, HF_PHASE_TLS, "wrong version number", "use ws:");
    fails_as("wss://h/", HF_HOW_TLS, HF_PHASE_TLS, "certificate verify failed: hostname mismatch",
             "other names");
    fails_as("wss://h/", HF_HOW_TLS, HF_PHASE_TLS,
             "certificate verify failed: certificate has expired", "renew");
    fails_as("wss://h/", HF_HOW_TLS, HF_PHASE_TLS, "something else", "");
    fails_as("ws://h/", HF_HOW_FIN, HF_PHASE_UPGRADE, "", "use wss:");
    fails_as("wss://h/", HF_HOW_RST, HF_PHASE_UPGRADE, "", "its log");
    fails_as("ws://h/", HF_HOW_STATUS, HF_PHASE_UPGRADE, "", "no HTTP server");
    fails_as("ws://h/", HF_HOW_REFUSED, HF_PHASE_TCP, "", "is down");
    fails_as("ws://h/", HF_HOW_FIN, HF_PHASE_OPEN, "", "");
}

static void text_is(const char *body, size_t max, const char *wanted)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 4096);
    hf_refusal_body_text(hf_slice_of(body), max, &out);
    assert_slice(hf_buffer_slice(&out), wanted);
    hf_buffer_reset(&out);
}

static void of_a_page_its_text_alone_is_left(void **state)
{
    text_is("<html>\n <b>not</b>  here\n</html>", 100, "not here");
    text_is("<script>var a = '<b>';</script>x<STYLE>p{}</STYLE >y", 100, "x y");
    text_is("<!-- comment -->text", 100, "text");
    text_is("a < b and 1<2", 100, "a < b and 1<2");
    text_is("<script>never ends", 100, "");
    text_is("<b", 100, "");
    text_is("", 100, "");
    text_is("0123456789", 4, "0123");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_status_has_a_meaning_and_the_ones_with_several_look_closer),
        cmocka_unit_test(what_fails_without_an_answer_is_explained_as_far_as_it_tells),
        cmocka_unit_test(of_a_page_its_text_alone_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
